"""What the edge has done: totals since the start, and the last fifteen minutes second by second.

The rule of this room: `record` runs once per exchange on the event loop, so it only adds plain numbers, and
nothing grows with traffic. Whoever wants a figure pays for it when asking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from proxy.operations.histogram import Histogram
from proxy.operations.seconds import FROM_STORE, NOT_COUNTED, Second
from proxy.outcome import Outcome, Verdict

RING_SECONDS = 900
RECENT_OUTCOMES = 1000
RECENT_FAILURES = 200
MAX_CELLS = 2048
MAX_SERIES = 4096
MAX_REASONS = 64
OTHER = "(other)"

_STATUS_LABELS = {status.value: str(status.value) for status in HTTPStatus}
FALLBACK_REASONS = ("not-stored", "origin-error", "origin-protocol-error", "origin-timeout", "origin-unreachable")
"""Why a stored answer stood in for the origin's, beside `origin-status-` and the status that it replaced."""
FALLBACK_STATUS = "origin-status-"


class SeriesKey(NamedTuple):
    """What distinguishes the counters of `cachewire_http_requests_total`."""

    route: str
    strategy: str
    verdict: str
    status: str


@dataclass(slots=True)
class Traffic:
    """Requests and bytes of one verdict since the start. `bytes_in` from clients, `bytes_out` to them."""

    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Cell:
    """What one route has answered with one verdict since the start. Durations are of what was timed."""

    __slots__ = ("bytes_in", "bytes_out", "durations", "errors", "requests")

    def __init__(self) -> None:
        self.requests = self.errors = self.bytes_in = self.bytes_out = 0
        self.durations = Histogram()


@dataclass(frozen=True, slots=True)
class RouteTraffic:
    """What one route has answered since the start."""

    verdicts: Mapping[str, int]
    errors: int
    bytes_out: int
    hit_ratio: float | None
    byte_hit_ratio: float | None
    durations: Histogram

    @property
    def requests(self) -> int:
        return sum(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Span:
    """What finished within some seconds of the ring; durations are seconds, None where there were none."""

    verdicts: Mapping[str, int]
    requests: int
    hits: int
    counted: int
    bytes_out: int
    bytes_hit: int
    bytes_counted: int
    errors: int
    p50: float | None
    p95: float | None
    p99: float | None
    origin_p95: float | None

    @property
    def stored(self) -> int:
        """Answers that came from the store."""
        return sum(count for verdict, count in self.verdicts.items() if verdict in FROM_STORE)

    @property
    def fetched(self) -> int:
        """Answers that were the origin's."""
        return self.verdicts.get("miss", 0) + self.verdicts.get("bypass", 0)


@dataclass(frozen=True, slots=True)
class Rates:
    """The figures of a recent window. Durations are seconds; None where nothing happened to take it from.

    `window` is the time really covered: less than asked for while the process is young.
    """

    window: float
    requests: int
    requests_per_second: float
    bytes_per_second: float
    hit_ratio: float | None
    byte_hit_ratio: float | None
    error_ratio: float | None
    failure_ratio: float | None
    """The same among what no limit of the realtime core refused: those say nothing of application and edge."""
    response_time: float | None
    """Mean time until an answer began to leave: how long its body then takes is up to the client and the body."""
    p50: float | None
    p95: float | None
    slowest: float | None
    origin_requests: int
    origin_requests_per_second: float
    origin_errors: int
    origin_p50: float | None
    origin_p95: float | None
    timed: int
    """How many of the requests have a response time that says something."""


class Ledger:
    """Counts every finished exchange. `now` is a clock in seconds; a monotonic one is best."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.started = now()
        self._ring = [Second() for _ in range(RING_SECONDS)]
        self._recent: deque[Outcome] = deque(maxlen=RECENT_OUTCOMES)
        self._failed: deque[tuple[int, Outcome]] = deque(maxlen=RECENT_FAILURES)
        self.requests: dict[SeriesKey, int] = {}
        self._cells: dict[tuple[str, Verdict], Cell] = {}
        self.origin_durations = Histogram()
        self.first_bytes = Histogram()
        """Response times since the start: until an answer began to leave."""
        self.recorded = 0
        """How many exchanges were recorded; the number of the newest one."""
        self.fallbacks: dict[str, int] = {}
        self.collapsed = 0
        self.in_flight = 0

    def now(self) -> float:
        """The clock that the ring goes by."""
        return self._now()

    def begin(self) -> None:
        """An exchange has begun; `end` must follow, whatever becomes of it."""
        self.in_flight += 1

    def end(self) -> None:
        """An exchange that had begun is over."""
        self.in_flight -= 1

    def record(self, outcome: Outcome) -> None:
        """Count a finished exchange."""
        self._count_totals(outcome)
        second = self._second(int(self._now()))
        second.add(outcome)
        self.recorded += 1
        self._recent.append(outcome)
        if (outcome.status >= 500 or outcome.verdict == "error") and not outcome.limited:
            # A crowd that is refused must not push out what has really failed.
            self._failed.append((self.recorded, outcome))

    def numbered(self) -> Iterator[tuple[int, Outcome]]:
        """The last finished exchanges with their numbers, newest first. The numbers are the process's own.

        Failures among older ones follow: a night's errors outlive the hits of its morning.
        """
        for behind, outcome in enumerate(reversed(self._recent)):
            yield self.recorded - behind, outcome
        oldest = self.recorded - len(self._recent)
        yield from ((number, outcome) for number, outcome in reversed(self._failed) if number <= oldest)

    def recent(self, limit: int = RECENT_OUTCOMES) -> list[Outcome]:
        """The last finished exchanges, newest first."""
        newest_first = reversed(self._recent)
        return [outcome for outcome, _ in zip(newest_first, range(limit), strict=False)]

    @property
    def total(self) -> int:
        """How many exchanges were recorded since the start."""
        return self.recorded

    @property
    def traffic(self) -> dict[str, Traffic]:
        """Requests and bytes by verdict since the start."""
        summed: dict[str, Traffic] = {}
        for (_, verdict), cell in self._cells.items():
            traffic = summed.setdefault(verdict, Traffic())
            traffic.requests += cell.requests
            traffic.bytes_in += cell.bytes_in
            traffic.bytes_out += cell.bytes_out
        return summed

    @property
    def durations(self) -> dict[str, Histogram]:
        """Durations by verdict since the start."""
        verdicts = {verdict for _, verdict in self._cells}
        return {
            each: Histogram.merged(cell.durations for (_, verdict), cell in self._cells.items() if verdict == each)
            for each in sorted(verdicts)
        }

    def routes(self) -> dict[str, RouteTraffic]:
        """What each route has answered since the start; the edge's own answers have the routes they name themselves."""
        by_route: dict[str, dict[Verdict, Cell]] = {}
        for (route, verdict), cell in self._cells.items():
            by_route.setdefault(route, {})[verdict] = cell
        return {route: _route_traffic(cells) for route, cells in by_route.items()}

    def hit_ratios(self) -> tuple[float | None, float | None]:
        """The share of requests, and of bytes sent, that came from the store since the start."""
        return _hit_ratios([(verdict, cell) for (_, verdict), cell in self._cells.items()])

    def rates(self, window_s: int) -> Rates:
        """The figures of the last `window_s` seconds (at most 900), the running second included."""
        now = self._now()
        window_s = max(1, min(window_s, RING_SECONDS))
        first = int(now) - window_s + 1
        seconds = list(self._seconds(first, int(now)))
        # A second that has only begun, or a process younger than the window, must not look like a lull.
        elapsed = max(now - max(float(first), self.started), 1.0)
        durations = Histogram.merged(s.durations for s in seconds)
        origin = Histogram.merged(s.origin_durations for s in seconds)
        requests = sum(s.requests for s in seconds)
        origin_requests = sum(s.origin_requests for s in seconds)
        timed = sum(s.timed for s in seconds)
        return Rates(
            window=elapsed,
            requests=requests,
            requests_per_second=requests / elapsed,
            bytes_per_second=sum(s.bytes_out for s in seconds) / elapsed,
            hit_ratio=_ratio(sum(s.hits for s in seconds), sum(s.counted for s in seconds)),
            byte_hit_ratio=_ratio(sum(s.bytes_hit for s in seconds), sum(s.bytes_counted for s in seconds)),
            error_ratio=_ratio(sum(s.errors for s in seconds), requests),
            failure_ratio=_ratio(
                sum(s.errors - s.limited_errors for s in seconds), requests - sum(s.limited for s in seconds)
            ),
            response_time=sum(s.response_times for s in seconds) / timed if timed else None,
            p50=durations.quantile(0.5),
            p95=durations.quantile(0.95),
            slowest=durations.largest if requests else None,
            origin_requests=origin_requests,
            origin_requests_per_second=origin_requests / elapsed,
            origin_errors=sum(s.origin_errors for s in seconds),
            origin_p50=origin.quantile(0.5),
            origin_p95=origin.quantile(0.95),
            timed=timed,
        )

    def series(self, seconds: int) -> list[tuple[int, int]]:
        """(requests, hits) of each of the last complete seconds, oldest first."""
        last = int(self._now()) - 1
        seconds = max(1, min(seconds, RING_SECONDS - 1))
        held = {s.second: (s.requests, s.hits) for s in self._seconds(last - seconds + 1, last)}
        return [held.get(second, (0, 0)) for second in range(last - seconds + 1, last + 1)]

    def backwards(self, seconds: int) -> Iterator[Second]:
        """What the last seconds (at most 900) were like, the running one first; those without an answer apart."""
        last = int(self._now())
        yield from reversed(list(self._seconds(last - min(seconds, RING_SECONDS) + 1, last)))

    def span(self, first: int, seconds: int) -> Span:
        """What finished in `seconds` seconds of the clock from `first` on, as far as the ring still has them."""
        return _span(list(self._seconds(first, first + seconds - 1)))

    def _new_cell(self, outcome: Outcome) -> Cell:
        key = (outcome.route, outcome.verdict)
        if len(self._cells) >= MAX_CELLS:
            key = (OTHER, outcome.verdict)
        return self._cells.setdefault(key, Cell())

    def _count_totals(self, outcome: Outcome) -> None:
        key = SeriesKey(outcome.route, outcome.strategy, outcome.verdict, _status_label(outcome.status))
        count = self.requests.get(key)
        if count is None and len(self.requests) >= MAX_SERIES:
            key = SeriesKey(OTHER, OTHER, outcome.verdict, OTHER)
            count = self.requests.get(key)
        self.requests[key] = (count or 0) + 1
        cell = self._cells.get((outcome.route, outcome.verdict)) or self._new_cell(outcome)
        cell.requests += 1
        cell.errors += outcome.status >= 500
        cell.bytes_in += outcome.bytes_in
        cell.bytes_out += outcome.bytes_out
        if outcome.timed:
            cell.durations.observe(outcome.duration)
        if (response_time := outcome.response_time) is not None:
            self.first_bytes.observe(response_time)
        self.collapsed += outcome.collapsed
        if outcome.origin_duration is not None and not outcome.collapsed:
            self.origin_durations.observe(outcome.origin_duration)
        reason = outcome.reason
        if outcome.verdict == "stale" and (reason in FALLBACK_REASONS or reason.startswith(FALLBACK_STATUS)):
            known = reason in self.fallbacks or len(self.fallbacks) < MAX_REASONS
            reason = reason if known else OTHER
            self.fallbacks[reason] = self.fallbacks.get(reason, 0) + 1

    def _second(self, second: int) -> Second:
        slot = self._ring[second % RING_SECONDS]
        if slot.second != second:
            slot.clear(second)
        return slot

    def _seconds(self, first: int, last: int) -> Iterator[Second]:
        for second in range(first, last + 1):
            slot = self._ring[second % RING_SECONDS]
            if slot.second == second:
                yield slot


def _route_traffic(cells: Mapping[Verdict, Cell]) -> RouteTraffic:
    by_requests, by_bytes = _hit_ratios(list(cells.items()))
    return RouteTraffic(
        verdicts={verdict: cell.requests for verdict, cell in cells.items()},
        errors=sum(cell.errors for cell in cells.values()),
        bytes_out=sum(cell.bytes_out for cell in cells.values()),
        hit_ratio=by_requests,
        byte_hit_ratio=by_bytes,
        durations=Histogram.merged(cell.durations for cell in cells.values()),
    )


def _hit_ratios(cells: Sequence[tuple[Verdict, Cell]]) -> tuple[float | None, float | None]:
    counted = [(verdict, cell) for verdict, cell in cells if verdict not in NOT_COUNTED]
    stored = [cell for verdict, cell in counted if verdict in FROM_STORE]
    return (
        _ratio(sum(cell.requests for cell in stored), sum(cell.requests for _, cell in counted)),
        _ratio(sum(cell.bytes_out for cell in stored), sum(cell.bytes_out for _, cell in counted)),
    )


def _span(seconds: list[Second]) -> Span:
    verdicts: dict[str, int] = {}
    for second in seconds:
        for verdict, count in second.verdicts.items():
            verdicts[verdict] = verdicts.get(verdict, 0) + count
    durations = Histogram.merged(s.durations for s in seconds)
    origin = Histogram.merged(s.origin_durations for s in seconds)
    return Span(
        verdicts=verdicts,
        requests=sum(s.requests for s in seconds),
        hits=sum(s.hits for s in seconds),
        counted=sum(s.counted for s in seconds),
        bytes_out=sum(s.bytes_out for s in seconds),
        bytes_hit=sum(s.bytes_hit for s in seconds),
        bytes_counted=sum(s.bytes_counted for s in seconds),
        errors=sum(s.errors for s in seconds),
        p50=durations.quantile(0.5),
        p95=durations.quantile(0.95),
        p99=durations.quantile(0.99),
        origin_p95=origin.quantile(0.95),
    )


def _status_label(status: int) -> str:
    """The code itself where it is registered, else its class: an origin cannot invent series without end."""
    label = _STATUS_LABELS.get(status)
    if label is not None:
        return label
    if 100 <= status <= 599:
        return f"{status // 100}xx"
    return "none" if status == 0 else OTHER


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
