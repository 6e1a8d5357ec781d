"""The overview, read off the running edge."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice

from proxy.config.model import Config
from proxy.dashboard.figures import Figures
from proxy.masking import masked
from proxy.operations.failed_messages import FailedMessages
from proxy.operations.history import History
from proxy.operations.ledger import Ledger
from proxy.operations.metrics import KeptFigures
from proxy.operations.readings import WINDOW
from proxy.operations.realtime import RealtimeFigures
from proxy.operations.reasons import sentence
from proxy.operations.refusals import RefusedSessions
from proxy.outcome import Outcome
from proxy.upstream import Origin
from proxy.version import __version__
from webui import chart_shown, snapshot
from webui.health import judge

SPARKLINE = 120
RECENT = 8
TROUBLE = 300


class OverviewSource:
    """The overview of one edge."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        figures: Figures,
        origin: Origin,
        now: Callable[[], float],
        connections: Callable[[], int],
        public_url: Callable[[], str],
        history: History,
        realtime: Callable[[], RealtimeFigures | None] = lambda: None,
        refused: Callable[[], Sequence[RefusedSessions]] = tuple,
        kept: Callable[[], KeptFigures] = KeptFigures,
        failed: Callable[[], FailedMessages | None] = lambda: None,
    ) -> None:
        self._refused = refused
        self._failed = failed
        self._history = history
        self._realtime = realtime
        self._kept = kept
        self._config = config
        self._ledger = ledger
        self._figures = figures
        self._origin = origin
        self._now = now
        self._connections = connections
        self._public_url = public_url
        self._started = now()
        self._errors_seen: deque[tuple[float, int]] = deque([(self._started, 0)], maxlen=1000)

    def overview(self) -> snapshot.Overview:
        """Everything the first page shows, as of now."""
        rates = self._ledger.rates(WINDOW)
        window = covered(rates.window)
        figures = self._figures.store()
        kept = self._kept()
        origin = self._origin_shown()
        core = self._realtime()
        realtime = None if core is None else self._realtime_shown(core)
        kinds = (*chart_shown.HTTP, *(chart_shown.REALTIME if realtime is not None else ()))
        return snapshot.Overview(
            version=__version__,
            now=self._now(),
            uptime=self._now() - self._started,
            health=judge(
                origin,
                now=self._now(),
                requests=self._ledger.total,
                error_ratio=rates.failure_ratio,
                storage_errors=self._recent_storage_errors(figures.storage_errors),
                disk_off=figures.disk_available is False,
                journal_lost=core is not None and not core.journal_available,
                window=window,
                origin_errors=rates.origin_errors,
                recovered_ratio=self._recovered_ratio(origin),
                refused=next((snapshot.Refused(**asdict(each)) for each in self._refused()), None),
                failed=self._failed_shown(),
                dead_writes=kept.dead_writes,
                queues=bool(kept.queued_writes or any(route.offline_queue for route in self._config.routes)),
            ),
            public_url=self._public_url(),
            window=window,
            requests_total=self._ledger.total,
            requests_per_second=rates.requests_per_second,
            bytes_per_second=rates.bytes_per_second,
            hit_ratio=rates.hit_ratio,
            byte_hit_ratio=rates.byte_hit_ratio,
            error_ratio=rates.error_ratio,
            p50=rates.p50,
            p95=rates.p95,
            in_flight=self._ledger.in_flight,
            connections=self._connections(),
            origin=origin,
            stored=figures.entries,
            tiers=(
                snapshot.Tier("memory", figures.memory_entries, figures.memory_bytes, self._figures.memory_limit),
                snapshot.Tier("disk", figures.disk_entries, figures.disk_bytes, self._config.cache.disk),
            ),
            write_behind=figures.write_behind_bytes,
            queued_writes=kept.queued_writes,
            dead_writes=kept.dead_writes,
            oldest_write=kept.oldest_write,
            precache=(kept.precache_stored, kept.precache_total),
            recent=tuple(_shown(number, outcome) for number, outcome in islice(self._ledger.numbered(), RECENT)),
            series=tuple(self._ledger.series(SPARKLINE)),
            charts=chart_shown.charts(self._history.columns(), kinds),
            realtime=realtime,
        )

    def _recovered_ratio(self, origin: snapshot.Origin) -> float | None:
        """The share of failures since the origin has been back; None unless it was away within the window."""
        since = origin.since
        if origin.state != "up" or since is None or origin.last_error_at is None or self._now() - since >= WINDOW:
            return None
        whole_seconds = int(self._now() - since)
        return (self._ledger.rates(whole_seconds).failure_ratio or 0.0) if whole_seconds else 0.0

    def _recent_storage_errors(self, count: int) -> int:
        """How many of them since some look within TROUBLE seconds; trouble that is over is over."""
        now = self._now()
        self._errors_seen.append((now, count))
        while len(self._errors_seen) > 1 and self._errors_seen[1][0] < now - TROUBLE:
            self._errors_seen.popleft()
        return count - self._errors_seen[0][1]

    def _failed_shown(self) -> snapshot.FailedMessages | None:
        failed = self._failed()
        if failed is None:
            return None
        refused = "origin-refused" in failed.reasons
        return snapshot.FailedMessages(failed.lately, failed.of, failed.because, refused)

    def _realtime_shown(self, figures: RealtimeFigures) -> snapshot.RealtimeShown:
        return snapshot.RealtimeShown(
            websocket=figures.websocket,
            polling=figures.polling,
            users=figures.users,
            conversations=figures.conversations,
            messages=self._history.latest("messages"),
            deliveries=self._history.latest("deliveries"),
            excellent=figures.quality.get("excellent", 0),
            good=figures.quality.get("good", 0),
            poor=figures.quality.get("poor", 0),
            queue_drops=sum(figures.counters.queue_drops.values()),
            failed=0 if (failed := self._failed()) is None else failed.lately,
        )

    def _origin_shown(self) -> snapshot.Origin:
        health, rates = self._origin.health, self._ledger.rates(WINDOW)
        return snapshot.Origin(
            url=self._config.origin.url,
            state=health.state,
            since=health.since,
            last_error=health.last_error,
            last_error_at=health.last_failure,
            p50=rates.origin_p50,
            p95=rates.origin_p95,
            requests_per_second=rates.origin_requests_per_second,
            open_connections=health.open_connections,
        )


def covered(window: float) -> float:
    """What a window is said to cover: the second under way is a part of it, so a minute is called so, and not 59 s."""
    return WINDOW if WINDOW - 1 <= window <= WINDOW else window


def _shown(number: int, outcome: Outcome) -> snapshot.RecentExchange:
    return snapshot.RecentExchange(
        started=outcome.started,
        method=outcome.method,
        target=masked(outcome.target),
        status=outcome.status,
        verdict=outcome.verdict,
        reason=outcome.reason,
        duration=outcome.duration,
        route=outcome.route,
        why=sentence(outcome.verdict, outcome.reason),
        number=number,
    )
