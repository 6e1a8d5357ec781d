"""The ledger's arithmetic, under a clock that moves when told."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.operations.ledger import (
    MAX_REASONS,
    MAX_SERIES,
    OTHER,
    RECENT_FAILURES,
    RECENT_OUTCOMES,
    RING_SECONDS,
    Ledger,
    SeriesKey,
)
from proxy.outcome import Outcome


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


HIT = Outcome("GET", "/a", "192.0.2.1", 0.0, "api", "network-first", "hit", "fresh", 200, 0.001, bytes_out=100)
MISS = replace(HIT, verdict="miss", reason="not-stored", duration=0.2, origin_duration=0.15, bytes_out=300)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock)


def test_requests_are_counted_by_route_strategy_verdict_and_status(ledger: Ledger) -> None:
    for outcome in (HIT, HIT, MISS):
        ledger.record(outcome)
    assert ledger.requests == {
        SeriesKey("api", "network-first", "hit", "200"): 2,
        SeriesKey("api", "network-first", "miss", "200"): 1,
    }
    assert ledger.total == 3


@pytest.mark.parametrize(("status", "label"), [(200, "200"), (299, "2xx"), (599, "5xx"), (0, "none"), (999, OTHER)])
def test_a_status_nobody_registered_is_counted_by_its_class(ledger: Ledger, status: int, label: str) -> None:
    ledger.record(replace(HIT, status=status))
    assert [key.status for key in ledger.requests] == [label]


def test_bytes_are_counted_by_verdict(ledger: Ledger) -> None:
    ledger.record(replace(HIT, bytes_in=7))
    ledger.record(HIT)
    assert (ledger.traffic["hit"].bytes_in, ledger.traffic["hit"].bytes_out) == (7, 200)


def test_the_hit_ratio_counts_bypasses_and_errors_but_not_refusals_and_own_answers(ledger: Ledger) -> None:
    for verdict in ("hit", "stale", "revalidated", "miss", "bypass", "error", "refused", "local"):
        ledger.record(replace(HIT, verdict=verdict))
    assert ledger.hit_ratios() == (0.5, 0.5)
    assert ledger.rates(10).hit_ratio == 0.5


def test_the_byte_hit_ratio_weighs_answers_by_their_size(ledger: Ledger) -> None:
    ledger.record(HIT)
    ledger.record(MISS)
    assert ledger.rates(10).byte_hit_ratio == 0.25
    assert ledger.hit_ratios() == (0.5, 0.25)


def test_nothing_recorded_means_no_ratio_and_no_latency_rather_than_zero(ledger: Ledger) -> None:
    rates = ledger.rates(60)
    assert (rates.hit_ratio, rates.byte_hit_ratio, rates.error_ratio, rates.p50, rates.slowest) == (None,) * 5
    assert rates.requests_per_second == 0


def test_the_rate_is_taken_over_the_time_really_covered(ledger: Ledger, clock: Clock) -> None:
    for _ in range(8):
        ledger.record(HIT)
    clock.now += 4
    assert ledger.rates(60).requests_per_second == 2
    assert ledger.rates(60).window == 4


def test_a_process_in_its_first_second_does_not_claim_a_burst(ledger: Ledger, clock: Clock) -> None:
    clock.now += 0.001
    ledger.record(HIT)
    assert ledger.rates(60).requests_per_second == 1


def test_what_is_older_than_the_window_no_longer_counts(ledger: Ledger, clock: Clock) -> None:
    ledger.record(HIT)
    clock.now += 10
    assert ledger.rates(10).requests == 0
    assert ledger.rates(11).requests == 1


def test_the_ring_forgets_after_fifteen_minutes_and_reuses_its_slots(ledger: Ledger, clock: Clock) -> None:
    ledger.record(MISS)
    clock.now += RING_SECONDS
    assert ledger.rates(RING_SECONDS).requests == 0
    ledger.record(HIT)
    assert ledger.rates(RING_SECONDS).requests == 1
    assert ledger.rates(RING_SECONDS).origin_p50 is None


def test_the_series_has_one_place_per_complete_second_oldest_first(ledger: Ledger, clock: Clock) -> None:
    ledger.record(HIT)
    clock.now += 2
    ledger.record(HIT)
    ledger.record(MISS)
    clock.now += 1
    ledger.record(HIT)
    assert ledger.series(4) == [(0, 0), (1, 1), (0, 0), (2, 1)]


def test_latency_percentiles_tell_the_fast_majority_from_the_slow_few(ledger: Ledger) -> None:
    for _ in range(90):
        ledger.record(HIT)
    for _ in range(10):
        ledger.record(MISS)
    rates = ledger.rates(10)
    assert rates.p50 is not None
    assert rates.p50 <= 0.001
    assert rates.p95 is not None
    assert 0.1 < rates.p95 <= 0.2
    assert rates.slowest == 0.2
    assert rates.response_time == pytest.approx((90 * 0.001 + 10 * 0.2) / 100)


def test_answers_with_a_5xx_status_make_the_error_ratio(ledger: Ledger) -> None:
    ledger.record(HIT)
    ledger.record(replace(MISS, verdict="error", status=502))
    assert ledger.rates(10).error_ratio == 0.5


def test_an_origin_that_gave_no_answer_is_an_origin_error_even_when_the_client_got_a_stale_one(ledger: Ledger) -> None:
    ledger.record(replace(HIT, verdict="stale", reason="origin-timeout"))
    ledger.record(MISS)
    rates = ledger.rates(10)
    assert (rates.origin_errors, rates.error_ratio) == (1, 0.0)
    assert rates.origin_requests_per_second == 2


def test_of_requests_that_shared_a_fetch_only_one_speaks_for_the_origin(ledger: Ledger) -> None:
    ledger.record(MISS)
    for _ in range(199):
        ledger.record(replace(MISS, collapsed=True))
    assert ledger.collapsed == 199
    assert ledger.origin_durations.count == 1
    assert ledger.rates(10).origin_requests_per_second == 1


def test_a_stale_answer_is_a_fallback_unless_it_is_being_refreshed(ledger: Ledger) -> None:
    for reason in ("origin-unreachable", "origin-unreachable", "stale-while-revalidate"):
        ledger.record(replace(HIT, verdict="stale", reason=reason))
    assert ledger.fallbacks == {"origin-unreachable": 2}


def test_nothing_grows_without_bound_whatever_is_recorded(ledger: Ledger) -> None:
    for i in range(MAX_SERIES + 50):
        ledger.record(replace(HIT, route=f"r{i}"))
    for i in range(MAX_REASONS + 50):
        ledger.record(replace(HIT, verdict="stale", reason=f"origin-status-{i}"))
    assert len(ledger.requests) <= MAX_SERIES + 2
    assert len(ledger.fallbacks) == MAX_REASONS + 1
    assert ledger.fallbacks[OTHER] == 50
    assert len(ledger.recent(sys.maxsize)) == RECENT_OUTCOMES
    assert ledger.total == MAX_SERIES + MAX_REASONS + 100


def test_recent_outcomes_come_newest_first(ledger: Ledger) -> None:
    for target in ("/1", "/2", "/3"):
        ledger.record(replace(HIT, target=target))
    assert [outcome.target for outcome in ledger.recent(2)] == ["/3", "/2"]


def test_what_begins_is_in_flight_until_it_ends(ledger: Ledger) -> None:
    ledger.begin()
    ledger.begin()
    ledger.end()
    assert ledger.in_flight == 1


@given(st.lists(st.tuples(st.sampled_from(["hit", "miss", "stale", "bypass"]), st.floats(0, 3)), max_size=60))
def test_the_series_and_the_totals_tell_the_same_story(events: list[tuple[str, float]]) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for verdict, pause in events:
        ledger.record(replace(HIT, verdict=verdict))  # type: ignore[arg-type] # drawn from the vocabulary
        clock.now += pause
    clock.now += 1
    series = ledger.series(RING_SECONDS - 1)
    assert sum(requests for requests, _ in series) == ledger.total == len(events)
    assert sum(hits for _, hits in series) == sum(verdict in ("hit", "stale") for verdict, _ in events)


def test_what_lasts_as_long_as_the_client_wishes_counts_but_slows_no_average() -> None:
    ledger = Ledger(lambda: 10.0)
    ledger.record(Outcome("GET", "/", "", 0.0, verdict="hit", status=200, duration=0.1))
    ledger.record(Outcome("GET", "/socket.io/", "", 0.0, verdict="local", status=200, duration=25.0, timed=False))
    assert ledger.rates(60).response_time == 0.1
    assert ledger.total == 2
    assert ledger.durations["local"].mean is None


def test_a_body_that_takes_its_time_makes_no_answer_slow_that_had_begun_at_once() -> None:
    ledger = Ledger(lambda: 10.0)
    ledger.record(replace(HIT, duration=600.0, first_byte=0.02))
    ledger.record(replace(HIT, duration=0.04))
    rates = ledger.rates(60)
    assert rates.response_time == pytest.approx(0.03)
    assert (rates.timed, rates.slowest) == (2, 600.0)
    assert (ledger.first_bytes.count, ledger.first_bytes.largest) == (2, 0.04)


def test_each_route_has_its_own_figures_since_the_start() -> None:
    ledger = Ledger(Clock())
    ledger.record(replace(HIT, route="api", verdict="hit", bytes_out=300, duration=0.01))
    ledger.record(replace(HIT, route="api", verdict="miss", bytes_out=100, duration=0.5))
    ledger.record(replace(HIT, route="pages", verdict="error", status=504, bytes_out=10))
    api, pages = ledger.routes()["api"], ledger.routes()["pages"]
    assert (api.requests, api.hit_ratio, api.byte_hit_ratio, api.errors) == (2, 0.5, 0.75, 0)
    assert api.durations.count == 2
    assert (pages.requests, pages.hit_ratio, pages.errors) == (1, 0.0, 1)


def test_exchanges_are_numbered_in_the_order_they_finished() -> None:
    ledger = Ledger(Clock())
    for i in range(RECENT_OUTCOMES + 3):
        ledger.record(replace(HIT, target=f"/{i + 1}"))
    numbered = list(ledger.numbered())
    assert numbered[0][0] == RECENT_OUTCOMES + 3
    assert all(outcome.target == f"/{number}" for number, outcome in numbered)
    assert len(numbered) == RECENT_OUTCOMES


@pytest.mark.parametrize("failure", [{"verdict": "error"}, {"status": 502}])
def test_failures_outlive_what_came_after_them_and_keep_their_numbers(failure: dict[str, Any]) -> None:
    ledger = Ledger(Clock())
    for i in range(2 * RECENT_FAILURES):
        ledger.record(replace(HIT, target=f"/{i + 1}", **failure))
    for i in range(RECENT_OUTCOMES - 1):
        ledger.record(replace(HIT, target=f"/{2 * RECENT_FAILURES + i + 1}"))
    numbered = list(ledger.numbered())
    assert len(numbered) == RECENT_OUTCOMES + RECENT_FAILURES - 1
    assert all(outcome.target == f"/{number}" for number, outcome in numbered)
    assert [number for number, _ in numbered] == sorted((number for number, _ in numbered), reverse=True)
