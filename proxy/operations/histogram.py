"""Durations counted into fixed buckets, cheap enough for every exchange."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

BOUNDS: tuple[float, ...] = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, float("inf"),
)  # fmt: skip
"""Upper bounds in seconds, inclusive as Prometheus' `le`. The alert thresholds (0.05, 0.1, 0.5) are among them."""


class Histogram:
    """Counts of durations by bucket, with their sum and the largest one. Durations are seconds."""

    __slots__ = ("counts", "largest", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.sum = 0.0
        self.largest = 0.0

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """One histogram of everything that `parts` counted."""
        whole = cls()
        for part in parts:
            whole.counts = [a + b for a, b in zip(whole.counts, part.counts, strict=True)]
            whole.sum += part.sum
            whole.largest = max(whole.largest, part.largest)
        return whole

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """The arithmetic mean, or None when nothing was counted."""
        count = self.count
        return self.sum / count if count else None

    def observe(self, duration: float) -> None:
        """Count one duration; one below zero (a clock stepped back) counts as zero."""
        if duration < 0:
            duration = 0.0
        self.counts[bisect_left(BOUNDS, duration)] += 1
        self.sum += duration
        if duration > self.largest:
            self.largest = duration

    def quantile(self, q: float) -> float | None:
        """The duration below which the share `q` lies, None when nothing was counted.

        Interpolated within its bucket, as Prometheus' histogram_quantile does, and never above the largest
        duration seen.
        """
        count = self.count
        if not count:
            return None
        rank = q * count
        below = 0
        lower = 0.0
        for upper, here in zip(BOUNDS, self.counts, strict=True):
            if here and below + here >= rank:
                upper = min(upper, self.largest)
                return lower + (upper - lower) * max(rank - below, 0.0) / here if upper > lower else upper
            below += here
            lower = upper
        return self.largest

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper bound, how many at or below it)."""
        total = 0
        return [(upper, total := total + here) for upper, here in zip(BOUNDS, self.counts, strict=True)]


def buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """(`le`, how many at or below it), as the Prometheus exposition wants them."""
    return list(zip(_LE, (count for _, count in histogram.cumulative()), strict=True))


_LE = tuple("+Inf" if bound == float("inf") else repr(bound) for bound in BOUNDS)
