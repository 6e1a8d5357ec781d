"""The last fifteen minutes as columns for charts and scripts.

The rule of this room: its memory is fixed. What finishes is taken from the ledger's ring when somebody asks; what has
no ring of its own is sampled every few seconds.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from proxy.operations.ledger import RING_SECONDS, Ledger, Span

SAMPLE_EVERY = 5
STEPS = (5, 10, 15, 30, 60)
"""Seconds that one point may stand for."""

VERDICTS = ("hit", "revalidated", "stale", "miss", "bypass", "error", "refused", "local")
Column = list[float | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stand at one moment. `messages` and `deliveries` are totals since the start.

    `quality` counts sessions by grade; `memory_share` is the share of the memory this process may use, None where
    nobody knows.
    """

    messages: int = 0
    deliveries: int = 0
    sessions: int = 0
    quality: Mapping[str, int] = field(default_factory=dict)
    stored: int = 0
    in_flight: int = 0
    connections: int = 0
    memory_share: float | None = None


class History:
    """`sample` is asked every SAMPLE_EVERY seconds while it is kept; `wall` is the time of day, in seconds."""

    def __init__(self, ledger: Ledger, sample: Callable[[], Sample], wall: Callable[[], float]) -> None:
        self._ledger = ledger
        self._sample = sample
        self._wall = wall
        self._samples: deque[tuple[float, Sample]] = deque(maxlen=RING_SECONDS // SAMPLE_EVERY + 2)
        self._spans: dict[tuple[int, int], Span] = {}
        self._told_state: object = None
        self._told: dict[str, Column] = {}

    async def keep(self) -> None:
        """Sample until cancelled."""
        while True:
            self.observe()
            await asyncio.sleep(SAMPLE_EVERY)

    def observe(self) -> None:
        """Take one sample now."""
        self._samples.append((self._ledger.now(), self._sample()))

    def columns(self, seconds: int = RING_SECONDS, step: int = STEPS[0]) -> dict[str, Column]:
        """One list per series, oldest first, each point the whole `step` seconds that end at its `time`.

        `time` is seconds since the epoch; verdicts, `requests`, `bytes`, `errors`, `messages` and `deliveries` are per
        second; ratios shares of one; durations seconds. None: nothing to say, or before the start. The span that is
        under way is not in. `step` is one of STEPS. Not to be changed: the next who asks may get the same lists.
        """
        now = self._ledger.now()
        end = int(now) - int(now) % step
        state = (seconds, step, end, self._samples[-1][0] if self._samples else None)
        if state != self._told_state:
            self._told_state, self._told = state, self._columns(seconds, step, now, end)
        return self._told

    def _columns(self, seconds: int, step: int, now: float, end: int) -> dict[str, Column]:
        ends = range(end - min(seconds, RING_SECONDS - step) // step * step + step, end + 1, step)
        offset = round(self._wall() - now)
        columns: dict[str, Column] = {"time": [float(at + offset) for at in ends]}
        spans = [self._span(at - step, step) if at > self._ledger.started else None for at in ends]
        for name, of in _SPAN_COLUMNS.items():
            columns[name] = [None if span is None else _short(of(span, step)) for span in spans]
        columns.update(self._sampled(ends, step))
        return columns

    def latest(self, name: str) -> float | None:
        """The newest value of a sampled series, as `columns` has it."""
        end = int(self._ledger.now()) + 1
        return self._sampled(range(end, end + 1), SAMPLE_EVERY)[name][0]

    def _span(self, first: int, step: int) -> Span:
        """What is over does not change any more, so it is summed up once."""
        span = self._spans.get((first, step))
        if span is None:
            if len(self._spans) >= sum(RING_SECONDS // each for each in STEPS):
                self._forget(int(self._ledger.now()) - RING_SECONDS)
            span = self._spans[first, step] = self._ledger.span(first, step)
        return span

    def _forget(self, before: int) -> None:
        self._spans = {key: span for key, span in self._spans.items() if key[0] >= before}

    def _sampled(self, ends: range, step: int) -> dict[str, Column]:
        columns: dict[str, Column] = {name: [] for name in (*_COUNTERS, *_GAUGES)}
        samples, back = list(self._samples), max(step // SAMPLE_EVERY, 1)
        for end in ends:
            last = bisect_right(samples, end, key=itemgetter(0)) - 1
            known = last >= 0 and samples[last][0] > end - step - SAMPLE_EVERY
            for name, total in _COUNTERS.items():
                columns[name].append(_rate(total, samples[max(last - back, 0)], samples[last]) if known else None)
            for name, of in _GAUGES.items():
                columns[name].append(_short(of(samples[last][1])) if known else None)
        return columns


def _rate(total: Callable[[Sample], int], first: tuple[float, Sample], last: tuple[float, Sample]) -> float | None:
    seconds = last[0] - first[0]
    return _short(max(total(last[1]) - total(first[1]), 0) / seconds) if seconds > 0 else None


def _short(value: float | None) -> float | None:
    """Four digits are more than any chart shows."""
    return None if value is None else float(f"{value:.4g}")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _of_verdict(verdict: str) -> Callable[[Span, int], float | None]:
    return lambda span, step: span.verdicts.get(verdict, 0) / step


_SPAN_COLUMNS: dict[str, Callable[[Span, int], float | None]] = {
    "requests": lambda span, step: span.requests / step,
    **{verdict: _of_verdict(verdict) for verdict in VERDICTS},
    "from_store": lambda span, step: span.stored / step,
    "from_origin": lambda span, step: span.fetched / step,
    "bytes": lambda span, step: span.bytes_out / step,
    "errors": lambda span, step: span.errors / step,
    "hit_ratio": lambda span, _: _share(span.hits, span.counted),
    "byte_hit_ratio": lambda span, _: _share(span.bytes_hit, span.bytes_counted),
    "p50": lambda span, _: span.p50,
    "p95": lambda span, _: span.p95,
    "p99": lambda span, _: span.p99,
    "origin_p95": lambda span, _: span.origin_p95,
}
_COUNTERS: dict[str, Callable[[Sample], int]] = {
    "messages": lambda sample: sample.messages,
    "deliveries": lambda sample: sample.deliveries,
}
_GAUGES: dict[str, Callable[[Sample], float | None]] = {
    "sessions": lambda sample: sample.sessions,
    "excellent": lambda sample: sample.quality.get("excellent", 0),
    "good": lambda sample: sample.quality.get("good", 0),
    "poor": lambda sample: sample.quality.get("poor", 0),
    "stored": lambda sample: sample.stored,
    "in_flight": lambda sample: sample.in_flight,
    "connections": lambda sample: sample.connections,
    "memory_share": lambda sample: sample.memory_share,
}
