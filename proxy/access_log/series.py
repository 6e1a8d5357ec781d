"""The Prometheus series of the access log."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from proxy.access_log.writer import AccessLog


def access_log_series(log: AccessLog) -> Iterator[Metric]:
    """Lines by what became of them."""
    lines = CounterMetricFamily(
        "cachewire_access_log_lines", "Lines of the access log, by what became of them.", labels=("fate",)
    )
    lines.add_metric(["written"], log.written)
    lines.add_metric(["dropped"], log.dropped)
    yield lines
