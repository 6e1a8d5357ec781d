"""What one second of the ledger's ring holds, and which verdicts count for what.

The rule of this room: `add` runs once per exchange on the event loop, so it only adds plain numbers.
"""

from __future__ import annotations

from proxy.operations.histogram import Histogram
from proxy.outcome import Outcome, Verdict

FROM_STORE: frozenset[Verdict] = frozenset({"hit", "stale", "revalidated"})
"""Verdicts whose body came out of the store: what a hit ratio counts as a hit."""

NOT_COUNTED: frozenset[Verdict] = frozenset({"refused", "local"})
"""Verdicts a hit ratio leaves out: the store could never have answered them. Bypasses and errors do count."""


class Second:
    """What finished within one second of the clock; `longest` is the longest of its response times."""

    __slots__ = (
        "bytes_counted", "bytes_hit", "bytes_out", "counted", "durations", "errors", "hits", "limited",
        "limited_errors", "longest", "origin_durations", "origin_errors", "origin_requests", "requests",
        "response_times", "second", "timed", "verdicts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.clear(-1)

    def clear(self, second: int) -> None:
        self.second = second
        self.requests = self.counted = self.hits = self.errors = 0
        self.bytes_out = self.bytes_counted = self.bytes_hit = 0
        self.origin_requests = self.origin_errors = 0
        self.limited = self.limited_errors = 0
        self.timed = 0
        self.response_times = self.longest = 0.0
        self.verdicts: dict[str, int] = {}
        self.durations = Histogram()
        self.origin_durations = Histogram()

    def add(self, outcome: Outcome) -> None:
        self.requests += 1
        self.verdicts[outcome.verdict] = self.verdicts.get(outcome.verdict, 0) + 1
        self.bytes_out += outcome.bytes_out
        self.errors += outcome.status >= 500
        if outcome.limited:
            self.limited += 1
            self.limited_errors += outcome.status >= 500
        if outcome.timed:
            self.durations.observe(outcome.duration)
        if (response_time := outcome.response_time) is not None:
            self.timed += 1
            self.response_times += response_time
            self.longest = max(self.longest, response_time)
        if outcome.verdict not in NOT_COUNTED:
            self.counted += 1
            self.bytes_counted += outcome.bytes_out
            if outcome.verdict in FROM_STORE:
                self.hits += 1
                self.bytes_hit += outcome.bytes_out
        self._add_origin(outcome)

    def _add_origin(self, outcome: Outcome) -> None:
        # Of requests that shared one fetch, only the one that made it speaks for the origin.
        if outcome.collapsed:
            return
        asked = outcome.origin_duration is not None
        failed = outcome.reason.startswith("origin-") or (asked and outcome.status >= 500)
        self.origin_requests += asked or failed
        self.origin_errors += failed
        if outcome.origin_duration is not None:
            self.origin_durations.observe(outcome.origin_duration)
