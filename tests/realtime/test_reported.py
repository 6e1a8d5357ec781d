"""What browsers report, added up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.quality import ClientReport
from realtime.reported import Reported, added_up, nearest_rank


def test_nobody_reported() -> None:
    assert added_up([]) == Reported()


def test_counts_are_summed_and_what_was_not_said_counts_nothing() -> None:
    reports = [ClientReport(12, 3, 1, 0.1, 2, 4), ClientReport(cached_profiles=8), ClientReport(latency=0.3, retries=1)]
    summed = added_up(reports)
    assert (summed.sessions, summed.timed) == (3, 2)
    assert (summed.cached_profiles, summed.active_subscriptions, summed.pending_updates) == (20, 3, 1)
    assert (summed.connection_errors, summed.retries) == (2, 5)
    assert (summed.latency_mean, summed.latency_p50, summed.latency_largest) == (0.2, 0.1, 0.3)


def test_of_a_hundred_latencies_ninety_five_are_within_the_p95() -> None:
    summed = added_up(ClientReport(latency=number / 1000) for number in range(1, 101))
    assert (summed.latency_p50, summed.latency_p95, summed.latency_largest) == (0.05, 0.095, 0.1)


@given(st.lists(st.floats(0, 600), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_enough_of_them_are_within_it(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = nearest_rank(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
