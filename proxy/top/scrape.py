"""PURE: one look at an edge, as its metrics tell it, and what lies between two looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples by name and labels; `at` is seconds of a monotonic clock."""

    at: float
    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples that have these labels; None when there are none."""
        found = [value for key, value in self.samples.get(name, {}).items() if labels.items() <= dict(key).items()]
        return sum(found) if found else None

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The sums for each value of a label."""
        sums: dict[str, float] = {}
        for key, value in self.samples.get(name, {}).items():
            known = dict(key)
            if label in known and labels.items() <= known.items():
                sums[known[label]] = sums.get(known[label], 0.0) + value
        return sums


def parse(text: str, at: float) -> Scrape:
    """What a text exposition says. Raises ValueError for anything else."""
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return Scrape(at, samples)


def between(before: Scrape, after: Scrape) -> Scrape:
    """How much every sample grew. What began anew in between, as after a restart, counts from nothing."""
    grown: dict[str, dict[Labels, float]] = {}
    for name, samples in after.samples.items():
        known = before.samples.get(name, {})
        grown[name] = {key: _growth(known.get(key, 0.0), value) for key, value in samples.items()}
    return Scrape(after.at - before.at, grown)


def quantile(buckets: Iterable[tuple[float, float]], q: float) -> float | None:
    """The value below which the share `q` lies, of (upper bound, how many at or below); as Prometheus estimates it."""
    cumulative = sorted(buckets)
    if not cumulative or not cumulative[-1][1]:
        return None
    rank = q * cumulative[-1][1]
    for (lower, below), (upper, count) in pairwise([(0.0, 0.0), *cumulative]):
        if count >= rank and count > below:
            return lower if upper == float("inf") else lower + (upper - lower) * (rank - below) / (count - below)
    return None


def _growth(before: float, after: float) -> float:
    return after - before if after >= before else after
