"""What every exchange of one edge shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.background import Background
from proxy.compression import Compression
from proxy.fetching import Fetcher, Landing
from proxy.flight import Flights
from proxy.outbox import Outbox
from proxy.storage.base import Store
from proxy.upstream import Origin
from proxy.variances import Variances


@dataclass(frozen=True, slots=True)
class Edge:
    """The parts of one running edge that its exchanges use.

    `origin_host` replaces the client's Host when set; `name` is how this process signs Via and CDN-Loop; `secret`
    keys the digests that keep users apart; `outbox` keeps the writes of routes that queue them; `written` is when
    something was last written, by route.
    """

    origin: Origin
    store: Store
    flights: Flights[Landing]
    fetcher: Fetcher
    background: Background
    now: Callable[[], float]
    secret: bytes
    origin_host: str | None
    name: str
    variances: Variances = field(default_factory=Variances)
    compression: Compression | None = None
    outbox: Outbox | None = None
    written: dict[str, float] = field(default_factory=dict)
