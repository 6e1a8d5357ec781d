"""The Prometheus series of what browsers report of themselves, and of those that are slow to read.

Sums are over the last report of every session that is open now, so they are gauges: who leaves takes its part along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric


class Reported(Protocol):
    """The reports of all sessions, added up. Latencies are seconds, None where nobody told one."""

    @property
    def sessions(self) -> int: ...
    @property
    def latency_mean(self) -> float | None: ...
    @property
    def latency_p50(self) -> float | None: ...
    @property
    def latency_p95(self) -> float | None: ...
    @property
    def latency_largest(self) -> float | None: ...


class Census(Protocol):
    """All sessions of one moment."""

    @property
    def reported(self) -> Reported: ...
    @property
    def slow(self) -> int: ...
    @property
    def queued(self) -> int: ...


_SUMS = (
    ("cached_profiles", "Profiles that browsers say they have cached."),
    ("active_subscriptions", "Subscriptions that browsers say they hold."),
    ("pending_updates", "Updates that browsers say they have not shown yet."),
    ("connection_errors", "Connection errors that browsers of open sessions say they have had."),
    ("retries", "Attempts to connect that browsers of open sessions say they have repeated."),
)

SUMMED = tuple(name for name, _ in _SUMS)
"""What is added up over all reports."""


def client_series(census: Census) -> Iterator[Metric]:
    """Every series of this room."""
    reported = census.reported
    yield GaugeMetricFamily(
        "cachewire_realtime_client_reporting_sessions",
        "Open sessions whose browser has reported about itself.",
        value=reported.sessions,
    )
    for name, what in _SUMS:
        yield GaugeMetricFamily(f"cachewire_realtime_client_{name}", what, value=getattr(reported, name))
    latency = GaugeMetricFamily(
        "cachewire_realtime_client_latency_seconds",
        "Latency that the browsers of open sessions reported last; absent while none did.",
        labels=("statistic",),
    )
    for statistic in ("mean", "p50", "p95", "largest"):
        if (seconds := getattr(reported, f"latency_{statistic}")) is not None:
            latency.add_metric([statistic], seconds)
    yield latency
    yield GaugeMetricFamily(
        "cachewire_realtime_slow_sessions", "Open sessions whose client does not read what is sent.", value=census.slow
    )
    yield GaugeMetricFamily(
        "cachewire_realtime_queued_bytes", "Bytes that wait for slow clients to read them.", value=census.queued
    )
