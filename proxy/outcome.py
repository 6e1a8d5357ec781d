"""What became of one exchange: the single record that metrics, live traffic and the log read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from proxy.selecting import Selecting

Verdict = Literal["hit", "stale", "revalidated", "miss", "bypass", "error", "refused", "local"]
"""`hit`: stored and fresh; `stale`: stored, used although not fresh; `revalidated`: stored, confirmed by the
origin; `miss`: the origin's answer on a route that caches; `bypass`: the origin's answer where nothing is looked
up or stored; `error`: neither origin nor store could answer; `refused`: the request broke a rule; `local`: answered
by the edge itself."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SESSION_LIMITS = frozenset({"realtime-full", "realtime-address", "realtime-handshakes"})
"""Reasons for which the realtime core refuses newcomers although nothing has failed: limits of ours."""


@dataclass(slots=True)
class Outcome:
    """One finished exchange. Times are seconds, `started` since the epoch; `reason` is a short slug that says why.

    `origin_duration` is the time from asking the origin to its response head, None when it was not asked.
    `collapsed` says the answer came from another request's fetch. `complete` is False when the body broke off.
    `request_id` names it in the logs of all who take part, `trace_id` the trace it belongs to, if it says so.
    `timed` is False when `duration` is as long as the client wished (long-polling, WebSocket) and says nothing of us.
    `closed` says why a WebSocket ended, and `bytes_in` and `bytes_out` are then all those after its handshake. `lasts`
    is True for one of the realtime core's that has only begun: at its end it has another outcome, for the log alone.
    `first_byte` is the time until the head of the answer was ready to leave, None when it left with the last byte, or
    never; `begun` is what it counts from, a reading of `time.perf_counter`. `site` is the scheme and host it was asked
    of, `selecting` the fields that chose its answer.
    """

    method: str
    target: str
    client: str
    started: float
    route: str = ""
    strategy: str = ""
    verdict: Verdict = "error"
    reason: str = ""
    status: int = 0
    duration: float = 0.0
    first_byte: float | None = None
    origin_duration: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    collapsed: bool = False
    stored: bool = False
    complete: bool = True
    timed: bool = True
    lasts: bool = False
    closed: str = ""
    request_id: str = ""
    trace_id: str = ""
    begun: float = 0.0
    site: str = ""
    selecting: Selecting = ()

    @property
    def limited(self) -> bool:
        """A newcomer of the realtime core was refused by a limit: neither the application nor the edge has failed."""
        return self.reason in SESSION_LIMITS

    @property
    def response_time(self) -> float | None:
        """How long the client waited for the answer to begin, None when that says nothing of us."""
        if self.first_byte is not None:
            return self.first_byte
        return self.duration if self.timed else None
