"""Every Prometheus series of the edge, in one place, computed when somebody scrapes.

Labels come from the configuration and from closed vocabularies only, never from URLs or users. What a shipped rule or
panel takes a rate of exists at 0 from the start: a rate does not see the step from nothing to the first count.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from proxy.operations.histogram import Histogram, buckets
from proxy.operations.ledger import FALLBACK_REASONS, FALLBACK_STATUS, Ledger, Traffic
from proxy.operations.realtime import RealtimeFigures, realtime_series
from proxy.outcome import VERDICTS


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What the store says of itself. Sizes are bytes, the rest counts; totals are since the start."""

    entries: int = 0
    memory_entries: int = 0
    memory_bytes: int = 0
    disk_entries: int = 0
    disk_bytes: int = 0
    memory_evictions: int = 0
    disk_evictions: int = 0
    write_behind_bytes: int = 0
    dropped_writes: int = 0
    storage_errors: int = 0
    disk_available: bool | None = None
    """False while the disk tier is off until a restart, None when it is configured so."""
    purged: int = 0
    marked_stale: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class KeptFigures:
    """What the edge keeps for later: writes in the outbox, and responses of the precache."""

    queued_writes: int = 0
    dead_writes: int = 0
    oldest_write: float | None = None
    precache_total: int = 0
    precache_stored: int = 0


@dataclass(frozen=True, slots=True)
class OriginFigures:
    """What the origin client says of the origin. `up` is None until it has been asked."""

    up: bool | None = None
    requests: int = 0
    errors: int = 0
    retries: int = 0
    connect_errors: int = 0
    open_connections: int = 0
    idle_connections: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the configuration says may be counted: names of routes, and the statuses that a stored answer replaces."""

    routes: Collection[str] = ()
    replaced: Collection[int] = ()


Series = Callable[[], Iterable[Metric]]
"""The series of one room, as they are now."""


class Metrics:
    """The exposition of one process, in a registry of its own.

    Each source is asked at every scrape and must answer at once, on the event loop; `more` are the series of rooms
    that describe themselves.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        store: Callable[[], StoreFigures],
        origin: Callable[[], OriginFigures],
        connections: Callable[[], int],
        version: str,
        kept: Callable[[], KeptFigures] = KeptFigures,
        realtime: Callable[[], RealtimeFigures | None] = lambda: None,
        expected: Callable[[], Expected] = Expected,
        more: Sequence[Series] = (),
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_EdgeCollector(ledger, store, origin, connections, version, kept, realtime, expected))
        for series in more:
            self.registry.register(_Further(series))
        ProcessCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The series as the `Accept` field value asks (Prometheus text or OpenMetrics), with its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Further(Collector):
    def __init__(self, series: Series) -> None:
        self._series = series

    def collect(self) -> Iterable[Metric]:
        return self._series()


class _EdgeCollector(Collector):
    def __init__(
        self,
        ledger: Ledger,
        store: Callable[[], StoreFigures],
        origin: Callable[[], OriginFigures],
        connections: Callable[[], int],
        version: str,
        kept: Callable[[], KeptFigures],
        realtime: Callable[[], RealtimeFigures | None],
        expected: Callable[[], Expected],
    ) -> None:
        self._kept = kept
        self._realtime = realtime
        self._expected = expected
        self._ledger = ledger
        self._store = store
        self._origin = origin
        self._connections = connections
        self._version = version

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "cachewire_build",
            "What is running.",
            value={"version": self._version, "python": platform.python_version()},
        )
        expected = self._expected()
        yield from _routes(self._ledger, expected)
        yield from self._http(expected)
        yield from _cache(self._store())
        yield from self._origin_series()
        yield from _for_later(self._kept())
        if (realtime := self._realtime()) is not None:
            yield from realtime_series(realtime)

    def _http(self, expected: Expected) -> Iterator[Metric]:
        ledger = self._ledger
        requests = CounterMetricFamily(
            "cachewire_http_requests",
            "Finished exchanges. Hits are the verdicts hit, stale and revalidated.",
            labels=("route", "strategy", "verdict", "status"),
        )
        for key, count in ledger.requests.items():
            requests.add_metric(list(key), count)
        yield requests
        received = CounterMetricFamily(
            "cachewire_http_request_bytes", "Content bytes received from clients.", labels=("verdict",)
        )
        sent = CounterMetricFamily(
            "cachewire_http_response_bytes", "Content bytes sent to clients.", labels=("verdict",)
        )
        counted = ledger.traffic
        for verdict in VERDICTS:
            traffic = counted.get(verdict, Traffic())
            received.add_metric([verdict], traffic.bytes_in)
            sent.add_metric([verdict], traffic.bytes_out)
        yield received
        yield sent
        durations = HistogramMetricFamily(
            "cachewire_http_request_duration_seconds",
            "From the request head to the last byte of the answer.",
            labels=("verdict",),
        )
        observed = ledger.durations
        for verdict in VERDICTS:
            histogram = observed.get(verdict, Histogram())
            durations.add_metric([verdict], buckets(histogram), histogram.sum)
        yield durations
        first_bytes = HistogramMetricFamily(
            "cachewire_http_first_byte_seconds",
            "From the request head until the head of the answer was ready to leave.",
            labels=(),
        )
        first_bytes.add_metric([], buckets(ledger.first_bytes), ledger.first_bytes.sum)
        yield first_bytes
        yield CounterMetricFamily(
            "cachewire_http_requests_collapsed",
            "Requests answered from another request's fetch.",
            value=ledger.collapsed,
        )
        yield GaugeMetricFamily(
            "cachewire_http_requests_in_flight", "Exchanges that have begun and not ended.", value=ledger.in_flight
        )
        fallbacks = CounterMetricFamily(
            "cachewire_fallbacks", "Stored answers used because the origin gave none it could use.", labels=("reason",)
        )
        reasons = (*FALLBACK_REASONS, *(f"{FALLBACK_STATUS}{status}" for status in sorted(expected.replaced)))
        for reason, count in (dict.fromkeys(reasons, 0) | ledger.fallbacks).items():
            fallbacks.add_metric([reason], count)
        yield fallbacks
        yield GaugeMetricFamily(
            "cachewire_connections", "Open client connections of the public listener.", value=self._connections()
        )

    def _origin_series(self) -> Iterator[Metric]:
        figures = self._origin()
        if figures.up is not None:
            yield GaugeMetricFamily(
                "cachewire_origin_up",
                "1 when the origin answered or could be reached last, 0 when not.",
                value=int(figures.up),
            )
        durations = HistogramMetricFamily(
            "cachewire_origin_request_duration_seconds", "From asking the origin to its response head.", labels=()
        )
        durations.add_metric([], buckets(self._ledger.origin_durations), self._ledger.origin_durations.sum)
        yield durations
        for name, what, count in (
            ("requests", "Requests sent to the origin, retries included.", figures.requests),
            ("errors", "Requests the origin gave no usable response head to.", figures.errors),
            ("retries", "Requests sent once more after a connection error.", figures.retries),
            ("connect_errors", "Connections to the origin that could not be made.", figures.connect_errors),
        ):
            yield CounterMetricFamily(f"cachewire_origin_{name}", what, value=count)
        connections = GaugeMetricFamily("cachewire_origin_connections", "Connections to the origin.", labels=("state",))
        connections.add_metric(["open"], figures.open_connections)
        connections.add_metric(["idle"], figures.idle_connections)
        yield connections


def _routes(ledger: Ledger, expected: Expected) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "cachewire_http_route_requests",
        "Finished exchanges by route and verdict, of every route from the start.",
        labels=("route", "verdict"),
    )
    errors = CounterMetricFamily(
        "cachewire_http_server_errors", "Finished exchanges with a status of 500 or above.", labels=("route",)
    )
    counted = ledger.routes()
    for route in dict.fromkeys((*expected.routes, *counted)):
        traffic = counted.get(route)
        for verdict in VERDICTS:
            requests.add_metric([route, verdict], traffic.verdicts.get(verdict, 0) if traffic else 0)
        errors.add_metric([route], traffic.errors if traffic else 0)
    yield from (requests, errors)


def _cache(figures: StoreFigures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "cachewire_cache_stored_responses", "Stored responses, each counted once.", value=figures.entries
    )
    entries = GaugeMetricFamily(
        "cachewire_cache_entries", "Stored responses a tier holds; one may be in both.", labels=("tier",)
    )
    size = GaugeMetricFamily("cachewire_cache_bytes", "Bytes a tier holds.", labels=("tier",))
    evictions = CounterMetricFamily(
        "cachewire_cache_evictions", "Stored responses a tier gave up for room.", labels=("tier",)
    )
    for tier, held, held_bytes, evicted in (
        ("memory", figures.memory_entries, figures.memory_bytes, figures.memory_evictions),
        ("disk", figures.disk_entries, figures.disk_bytes, figures.disk_evictions),
    ):
        entries.add_metric([tier], held)
        size.add_metric([tier], held_bytes)
        evictions.add_metric([tier], evicted)
    yield from (entries, size, evictions)
    available = GaugeMetricFamily(
        "cachewire_cache_tier_available",
        "0 while a tier that should work is off until a restart, else 1.",
        labels=("tier",),
    )
    available.add_metric(["memory"], 1)
    available.add_metric(["disk"], figures.disk_available is not False)
    yield available
    yield GaugeMetricFamily(
        "cachewire_cache_write_behind_bytes", "Bytes waiting to be written to disk.", value=figures.write_behind_bytes
    )
    purged = CounterMetricFamily(
        "cachewire_cache_purged", "Stored responses that purges and writes removed or marked stale.", labels=("effect",)
    )
    purged.add_metric(["removed"], figures.purged)
    purged.add_metric(["marked-stale"], figures.marked_stale)
    yield purged
    for name, what, count in (
        ("cache_dropped_writes", "Writes to disk given up because too many waited.", figures.dropped_writes),
        ("cache_damaged", "Stored responses found damaged and dropped.", figures.damaged),
        ("storage_errors", "Failures of a storage tier; each cost a hit, no answer.", figures.storage_errors),
    ):
        yield CounterMetricFamily(f"cachewire_{name}", what, value=count)


def _for_later(figures: KeptFigures) -> Iterator[Metric]:
    writes = GaugeMetricFamily(
        "cachewire_outbox_writes", "Writes kept in the outbox: waiting, or given up as dead letters.", labels=("state",)
    )
    writes.add_metric(["queued"], figures.queued_writes)
    writes.add_metric(["dead"], figures.dead_writes)
    yield writes
    yield GaugeMetricFamily(
        "cachewire_outbox_oldest_seconds",
        "How long the first write of the queue has been waiting.",
        value=figures.oldest_write or 0.0,
    )
    precache = GaugeMetricFamily(
        "cachewire_precache_responses", "Responses that are to be kept, and those that are stored.", labels=("state",)
    )
    precache.add_metric(["wanted"], figures.precache_total)
    precache.add_metric(["stored"], figures.precache_stored)
    yield precache
