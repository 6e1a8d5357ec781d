"""How good a connection is, from what is measured here and from what its client reports.

The rule of this room: a report is a stranger's word. It may make a connection look worse than what was measured,
never better (and of those that nobody is authenticated on, not even worse: whoever asks for grades sees to that), and
what is not of its shape is refused with a reason. No clock: `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from typing import Literal, NamedTuple

Grade = Literal["excellent", "good", "poor"]

GRADES: tuple[Grade, ...] = ("excellent", "good", "poor")

EXCELLENT_BELOW, GOOD_BELOW, SILENT_AFTER = 0.1, 0.5, 30.0
"""Seconds of latency, exclusive, and seconds of silence that are still not poor."""

TREND_MINUTES = 15

_MOST_FIELDS = 32
_MOST_COUNT = 10**9
_MOST_LATENCY = 600_000.0


def grade(latency: float | None, silent_for: float) -> Grade:
    """The quality of a connection with this latency that has said nothing for `silent_for`; both in seconds.

    As long as nothing was measured it is good: there is nothing to praise and nothing to wake anybody for.
    """
    if silent_for > SILENT_AFTER:
        return "poor"
    if latency is None:
        return "good"
    if latency < EXCELLENT_BELOW:
        return "excellent"
    return "good" if latency < GOOD_BELOW else "poor"


def worse(measured: float | None, reported: float | None) -> float | None:
    """The latency to believe, of the round trip that was measured here and the one that the client reported."""
    return max((latency for latency in (measured, reported) if latency is not None), default=None)


Cause = Literal["silence", "report", "round-trip", "nothing"]
"""What a grade is of: silence, what the client reported, what was measured here, or nothing yet."""


class Verdict(NamedTuple):
    """The quality of one connection and what it is of; `reported` and `silent_for` are seconds."""

    grade: Grade
    cause: Cause
    reported: float | None
    silent_for: float


def judged(measured: float | None, reported: float | None, silent_for: float) -> Verdict:
    """The grade of a connection with these latencies that has said nothing for `silent_for`, and its cause."""
    latency = worse(measured, reported)
    cause: Cause = "nothing" if latency is None else "round-trip" if latency == measured else "report"
    if silent_for > SILENT_AFTER:
        cause = "silence"
    return Verdict(grade(latency, silent_for), cause, reported, silent_for)


Reason = Literal["not-an-object", "too-many-fields", "nothing-known", "not-a-number", "out-of-range"]


class ReportRefused(ValueError):
    """A client's report is not of the shape it must have. `reason` is one of few words, to count by."""

    def __init__(self, reason: Reason, field: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason: Reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What a client said of itself (`client_metrics`). None: it did not say. `latency` is in seconds."""

    cached_profiles: int | None = None
    active_subscriptions: int | None = None
    pending_updates: int | None = None
    latency: float | None = None
    connection_errors: int | None = None
    retries: int | None = None


def parse_client_report(payload: object) -> ClientReport:
    """The report in a `client_metrics` payload, whose latency is in milliseconds. Raises ReportRefused.

    Names that are not known are passed over: clients tell more than is asked. Counts may be named as in ClientReport.
    """
    if not isinstance(payload, Mapping):
        raise ReportRefused("not-an-object")
    if len(payload) > _MOST_FIELDS:
        raise ReportRefused("too-many-fields")
    latency = _number(payload, "latency", _MOST_LATENCY)
    said = {ours: _count(payload, theirs) for ours, theirs in _COUNTS.items()}
    counts = {ours: _count_if_any(payload, ours) if count is None else count for ours, count in said.items()}
    is_known = any(name in payload for name in ("latency", *_COUNTS.values()))
    if not is_known and all(count is None for count in counts.values()):
        raise ReportRefused("nothing-known")
    return ClientReport(latency=None if latency is None else latency / 1000, **counts)


_COUNTS = {
    "cached_profiles": "cachedProfiles",
    "active_subscriptions": "activeSubscriptions",
    "pending_updates": "pendingUpdates",
    "connection_errors": "connectionErrors",
    "retries": "retries",
}


def _number(payload: Mapping[object, object], name: str, most: float) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    # True and False are integers to Python and nobody else.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReportRefused("not-a-number", name)
    if not 0 <= value <= most:  # also NaN, which json.loads accepts
        raise ReportRefused("out-of-range", name)
    return float(value)


def _count(payload: Mapping[object, object], name: str) -> int | None:
    value = _number(payload, name, _MOST_COUNT)
    if value is not None and value != floor(value):
        raise ReportRefused("not-a-number", name)
    return None if value is None else int(value)


def _count_if_any(payload: Mapping[object, object], name: str) -> int | None:
    """The same under a name that was passed over once, whatever it held: what is no count is no reason to refuse."""
    try:
        return _count(payload, name)
    except ReportRefused:
        return None


class Distribution(NamedTuple):
    """How many are of each grade."""

    excellent: int = 0
    good: int = 0
    poor: int = 0

    @classmethod
    def of(cls, grades: Iterable[Grade]) -> Distribution:
        counts = dict.fromkeys(GRADES, 0)
        for each in grades:
            counts[each] += 1
        return cls(**counts)

    def plus(self, other: Distribution) -> Distribution:
        """Both counted together."""
        return Distribution(self.excellent + other.excellent, self.good + other.good, self.poor + other.poor)

    @property
    def total(self) -> int:
        return self.excellent + self.good + self.poor


class Trend:
    """Grades seen per minute during the last quarter of an hour.

    Each look at the sessions adds to its minute, so that a bad moment shows however short it was. Compare shares,
    not sums: how often anybody looked is part of the sums.
    """

    __slots__ = ("_first", "_minutes")

    def __init__(self) -> None:
        self._first: int | None = None
        self._minutes: deque[tuple[int, Distribution]] = deque(maxlen=TREND_MINUTES)

    def observe(self, seen: Distribution, now: float) -> None:
        """Add one look at all sessions."""
        minute = floor(now / 60)
        if self._first is None:
            self._first = minute
        if self._minutes and self._minutes[-1][0] == minute:
            seen = self._minutes.pop()[1].plus(seen)
        self._minutes.append((minute, seen))

    def known(self, now: float) -> int:
        """How many of the last minutes there are since the first look, the one under way among them."""
        return 0 if self._first is None else min(floor(now / 60) - self._first + 1, TREND_MINUTES)

    def minutes(self, now: float) -> list[Distribution]:
        """The last minutes, oldest first, the one under way last; those without a look are all zero."""
        seen = dict(self._minutes)
        current = floor(now / 60)
        return [seen.get(current - ago, Distribution()) for ago in reversed(range(TREND_MINUTES))]
