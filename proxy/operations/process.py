"""The Prometheus series of the process itself, beside those that every client library of Prometheus has."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from proxy.operations.histogram import buckets
from proxy.operations.memory import Memory
from proxy.operations.pulse import Pulse


def process_series(pulse: Pulse, tasks: Callable[[], int], memory: Callable[[], Memory]) -> Iterator[Metric]:
    """Lag of the event loop, tasks, threads, garbage collection, and memory as the alert measures it."""
    lag = HistogramMetricFamily(
        "cachewire_event_loop_lag_seconds", "By how much a timer of the event loop came late, looked at every second."
    )
    lag.add_metric([], buckets(pulse.lags), pulse.lags.sum)
    yield lag
    yield GaugeMetricFamily("cachewire_background_tasks", "Work under way that outlives its request.", value=tasks())
    yield GaugeMetricFamily("cachewire_threads", "Threads of the process.", value=threading.active_count())
    collections = CounterMetricFamily(
        "cachewire_gc_collections", "Garbage collections, by generation.", labels=("generation",)
    )
    for generation, stats in enumerate(gc.get_stats()):
        collections.add_metric([str(generation)], stats["collections"])
    yield collections
    seen = memory()
    if seen.used is not None:
        yield GaugeMetricFamily(
            "cachewire_memory_used_bytes", "Memory that cannot be given back, as the alert counts it.", value=seen.used
        )
    if seen.budget is not None:
        yield GaugeMetricFamily(
            "cachewire_memory_budget_bytes",
            "The smallest of alerts.memory_budget, the control groups' limits and the machine's memory.",
            value=seen.budget.size,
        )
