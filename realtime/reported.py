"""What browsers report of themselves, added up over all sessions. PURE.

The rule of this room: only the last report of a session that is still there counts, so every sum is of this moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from realtime.quality import ClientReport


@dataclass(frozen=True, slots=True)
class Reported:
    """Sums over `sessions` reports. Latencies are seconds, of the `timed` reports that have one; None without any."""

    sessions: int = 0
    cached_profiles: int = 0
    active_subscriptions: int = 0
    pending_updates: int = 0
    connection_errors: int = 0
    retries: int = 0
    timed: int = 0
    latency_mean: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_largest: float | None = None


def added_up(reports: Iterable[ClientReport]) -> Reported:
    """All reports as one."""
    known = list(reports)
    latencies = sorted([each.latency for each in known if each.latency is not None])
    timed = len(latencies)
    return Reported(
        sessions=len(known),
        cached_profiles=sum([each.cached_profiles or 0 for each in known]),
        active_subscriptions=sum([each.active_subscriptions or 0 for each in known]),
        pending_updates=sum([each.pending_updates or 0 for each in known]),
        connection_errors=sum([each.connection_errors or 0 for each in known]),
        retries=sum([each.retries or 0 for each in known]),
        timed=timed,
        latency_mean=sum(latencies) / timed if timed else None,
        latency_p50=nearest_rank(latencies, 0.5),
        latency_p95=nearest_rank(latencies, 0.95),
        latency_largest=latencies[-1] if timed else None,
    )


def nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of them does not exceed; None when there are none."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1] if ordered else None
