"""The detailed performance report of the admin listener: server, client, realtime, cache and origin, of this moment.

The rule of this room: every figure is read from whoever counts it, and rounded for eyes here. Spans are seconds, sizes
bytes, shares parts of one; rates and latencies are of the last minute, everything else is since the start or of now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.operations import client_series, grades
from proxy.operations.flow import Flow
from proxy.operations.ledger import Ledger
from proxy.operations.memory import Memory
from proxy.operations.metrics import StoreFigures

WINDOW = 60


class Quality(Protocol):
    """Sessions by the grade of their connection."""

    @property
    def excellent(self) -> int: ...
    @property
    def good(self) -> int: ...
    @property
    def poor(self) -> int: ...


class Census(client_series.Census, Protocol):
    """All sessions of one moment."""

    @property
    def quality(self) -> Quality: ...
    @property
    def websocket(self) -> int: ...
    @property
    def polling(self) -> int: ...
    @property
    def users(self) -> int: ...


class Totals(Protocol):
    """What the realtime core has counted since its start."""

    @property
    def messages(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def batch_messages(self) -> int: ...
    @property
    def deliveries(self) -> int: ...
    @property
    def queue_drops(self) -> Mapping[str, int]: ...
    @property
    def recovered(self) -> int: ...
    @property
    def recovery_failed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Live:
    """The realtime core as it stands."""

    census: Census
    totals: Totals
    conversations: int
    trend: Sequence[Quality]
    """Grades seen in each of the last minutes, oldest first; told as shares, as looks are not equally many."""


class Health(Protocol):
    """How the application behind the edge fared."""

    @property
    def state(self) -> str: ...
    @property
    def last_error(self) -> str: ...
    @property
    def requests(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def connect_errors(self) -> int: ...
    @property
    def open_connections(self) -> int: ...
    @property
    def idle_connections(self) -> int: ...
    @property
    def waiting_requests(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Lag:
    """By how many seconds the event loop was late: at the last look, and at the worst."""

    last: float
    largest: float


class PerformanceDetail:
    """The report. `live` is None without the realtime core.

    `flow` has the rates of `cpu` (seconds) and `messages`; `most_connections` is the origin pool's limit.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        uptime: Callable[[], float],
        connections: Callable[[], int],
        store: Callable[[], StoreFigures],
        origin: Callable[[], Health],
        most_connections: int,
        flow: Flow,
        live: Callable[[], Live | None],
        lag: Callable[[], Lag],
        memory: Callable[[], Memory],
    ) -> None:
        self._ledger = ledger
        self._uptime = uptime
        self._connections = connections
        self._store = store
        self._origin_health = origin
        self._most_connections = most_connections
        self._flow = flow
        self._live = live
        self._lag = lag
        self._memory = memory

    def report(self) -> dict[str, Any]:
        """The whole of it."""
        live, rates = self._live(), self._flow.rates()
        return {
            "server": self._server(rates),
            "client": None if live is None else _client(live),
            "realtime": None if live is None else _realtime(live, rates),
            "cache": self._cache(),
            "origin": self._origin(),
        }

    def _server(self, flow: Mapping[str, float]) -> dict[str, Any]:
        rates, lag, memory = self._ledger.rates(WINDOW), self._lag(), self._memory()
        budget = memory.budget
        return {
            "uptime": int(self._uptime()),
            "cpu": {"seconds": _rounded(time.process_time()), "share": _rounded(flow.get("cpu"))},
            "memory": {
                "used": memory.used,
                "budget": None if budget is None else budget.size,
                "source": None if budget is None else budget.source,
                "share": _rounded(memory.share),
                "grade": grades.of_memory(memory.share),
            },
            "connections": self._connections(),
            "in_flight": self._ledger.in_flight,
            "requests": {"total": self._ledger.total, "per_second": _rounded(rates.requests_per_second)},
            "latency": {
                "mean": _rounded(rates.response_time),
                "p50": _rounded(rates.p50),
                "p95": _rounded(rates.p95),
                "slowest": None if rates.p50 is None else _rounded(rates.slowest),
                "grade": grades.of_time(rates.response_time),
            },
            "errors": {"share": _rounded(rates.error_ratio), "grade": grades.of_errors(rates.error_ratio)},
            "loop_lag": {"last": _rounded(lag.last), "largest": _rounded(lag.largest)},
        }

    def _cache(self) -> dict[str, Any]:
        store = self._store()
        rates = self._ledger.rates(WINDOW)
        by_requests, by_bytes = self._ledger.hit_ratios()
        return {
            "stored": store.entries,
            "memory": {
                "entries": store.memory_entries,
                "bytes": store.memory_bytes,
                "evictions": store.memory_evictions,
            },
            "disk": {"entries": store.disk_entries, "bytes": store.disk_bytes, "evictions": store.disk_evictions},
            "hit_ratio": {"requests": _rounded(by_requests), "bytes": _rounded(by_bytes)},
            "recent_hit_ratio": {"requests": _rounded(rates.hit_ratio), "bytes": _rounded(rates.byte_hit_ratio)},
        }

    def _origin(self) -> dict[str, Any]:
        health, rates = self._origin_health(), self._ledger.rates(WINDOW)
        return {
            "state": health.state,
            "last_error": health.last_error or None,
            "latency": {
                "p50": _rounded(rates.origin_p50),
                "p95": _rounded(rates.origin_p95),
                "grade": grades.of_time(rates.origin_p50),
            },
            "requests": {"total": health.requests, "per_second": _rounded(rates.origin_requests_per_second)},
            "errors": health.errors,
            "retries": health.retries,
            "connect_errors": health.connect_errors,
            "pool": {
                "open": health.open_connections,
                "idle": health.idle_connections,
                "waiting": health.waiting_requests,
                "most": self._most_connections,
            },
        }


def _client(live: Live) -> dict[str, Any]:
    census, reported = live.census, live.census.reported
    return {
        "sessions": census.websocket + census.polling,
        "reporting": reported.sessions,
        **{name: getattr(reported, name) for name in client_series.SUMMED},
        "latency": {
            "mean": _rounded(reported.latency_mean),
            "p50": _rounded(reported.latency_p50),
            "p95": _rounded(reported.latency_p95),
            "largest": _rounded(reported.latency_largest),
            "grade": grades.of_time(reported.latency_p50),
        },
        "quality": {
            "excellent": census.quality.excellent,
            "good": census.quality.good,
            "poor": census.quality.poor,
            "trend": [_shares(minute) for minute in live.trend],
        },
    }


def _shares(quality: Quality) -> dict[str, float | None] | None:
    whole = quality.excellent + quality.good + quality.poor
    if not whole:
        return None
    return {name: _rounded(getattr(quality, name) / whole) for name in ("excellent", "good", "poor")}


def _realtime(live: Live, rates: Mapping[str, float]) -> dict[str, Any]:
    census, totals = live.census, live.totals
    return {
        "sessions": {"websocket": census.websocket, "polling": census.polling},
        "users": census.users,
        "conversations": live.conversations,
        "messages": {
            "total": totals.messages,
            "per_second": _rounded(rates.get("messages")),
            "grade": grades.of_messages(rates.get("messages")),
        },
        "batches": {
            "total": totals.batches,
            "mean_messages": _rounded(totals.batch_messages / totals.batches) if totals.batches else None,
        },
        "deliveries": totals.deliveries,
        "queues": {"slow_sessions": census.slow, "bytes": census.queued, "drops": dict(totals.queue_drops)},
        "recoveries": {"recovered": totals.recovered, "failed": totals.recovery_failed},
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 6)
