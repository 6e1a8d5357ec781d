"""What the pages show: frozen values, filled by the composition root, rendered by the templates.

Moments are seconds since the epoch, spans seconds, sizes bytes, ratios shares of one. None: no figure yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from webui.chart_shown import Chart

OriginState = Literal["up", "down", "unknown"]


@dataclass(frozen=True, slots=True)
class Mend:
    """Where something can be looked at or mended: a page by its name, the address on it, and what to find there."""

    page: str
    path: str
    label: str


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict of the whole: `state` for the eye, `sentence` for the reader at two in the morning."""

    state: Literal["healthy", "waiting", "degraded", "failing"]
    sentence: str
    advice: str = ""
    mends: tuple[Mend, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Newcomers of the realtime core that were refused for one reason: `lately` in the last minute, `in_all` ever.

    `because` and `advice` are sentences; `everybody`: nobody new gets in. `whence` says from how many addresses.
    """

    reason: str
    because: str
    advice: str
    lately: int
    in_all: int
    everybody: bool = False
    whence: str = ""


@dataclass(frozen=True, slots=True)
class FailedMessages:
    """Chat messages of the last minute: `lately` of `of` failed. `because` says why, without a full stop.

    `refused`: the application was asked and said no to some of them.
    """

    lately: int
    of: int
    because: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """The application behind the edge, as its client sees it. `since` is when `state` began."""

    url: str
    state: OriginState
    since: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    p50: float | None = None
    p95: float | None = None
    requests_per_second: float | None = None
    open_connections: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """One storage tier and its limit."""

    name: str
    entries: int
    used: int
    limit: int

    @property
    def share(self) -> float:
        return min(self.used / self.limit, 1.0) if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class RecentExchange:
    """One finished exchange of the recent-traffic list."""

    started: float
    method: str
    target: str
    status: int
    verdict: str
    reason: str
    duration: float
    route: str = ""
    why: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class RealtimeShown:
    """The realtime core in figures; rates are per second, None while there is nothing to take them from."""

    websocket: int
    polling: int
    users: int
    conversations: int
    messages: float | None
    deliveries: float | None
    excellent: int
    good: int
    poor: int
    queue_drops: int = 0
    failed: int = 0
    """Messages that failed in the last minute."""

    @property
    def sessions(self) -> int:
        return self.websocket + self.polling


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the overview shows. `window` is the span the rates and latencies are taken over.

    `series` holds (requests, hits) of the last seconds, oldest first. `queued_writes` wait for the origin, the first
    since `oldest_write` seconds; `precache` is how many responses are stored of how many that are to be.
    """

    version: str
    now: float
    uptime: float
    health: Health
    public_url: str
    window: float
    requests_total: int
    requests_per_second: float
    bytes_per_second: float
    hit_ratio: float | None
    byte_hit_ratio: float | None
    error_ratio: float | None
    p50: float | None
    p95: float | None
    in_flight: int
    connections: int
    origin: Origin
    stored: int
    tiers: tuple[Tier, ...]
    write_behind: int
    queued_writes: int = 0
    dead_writes: int = 0
    oldest_write: float | None = None
    precache: tuple[int, int] = (0, 0)
    recent: tuple[RecentExchange, ...] = ()
    series: tuple[tuple[int, int], ...] = ()
    charts: tuple[Chart, ...] = ()
    realtime: RealtimeShown | None = None
