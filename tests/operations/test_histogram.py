"""Durations in buckets."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.operations.histogram import BOUNDS, Histogram

durations = st.lists(st.floats(min_value=0, max_value=100, allow_nan=False), min_size=1, max_size=60)


def _of(*observed: float) -> Histogram:
    histogram = Histogram()
    for duration in observed:
        histogram.observe(duration)
    return histogram


def test_the_bounds_ascend_and_contain_the_thresholds_that_alerts_look_at() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert {0.05, 0.1, 0.5, 1, 2.5, 10, float("inf")} <= set(BOUNDS)


def test_a_duration_equal_to_a_bound_lies_at_or_below_it() -> None:
    assert dict(_of(0.1).cumulative())[0.1] == 1
    assert dict(_of(0.1000001).cumulative())[0.1] == 0


def test_an_empty_histogram_has_no_mean_and_no_quantile() -> None:
    empty = Histogram()
    assert (empty.mean, empty.quantile(0.5), empty.count) == (None, None, 0)


def test_a_duration_below_zero_counts_as_zero() -> None:
    assert (_of(-5).sum, _of(-5).quantile(1)) == (0.0, 0.0)


def test_the_median_is_interpolated_within_its_bucket() -> None:
    # Four in (0.1, 0.25], largest 0.25: the second of four lies halfway.
    assert _of(0.2, 0.2, 0.2, 0.25).quantile(0.5) == pytest.approx(0.175)


def test_a_duration_beyond_the_last_bound_is_reported_no_longer_than_it_was() -> None:
    assert _of(45.0).quantile(0.99) == pytest.approx(30 + 15 * 0.99)
    assert _of(45.0).quantile(1) == 45.0


@given(durations)
def test_the_cumulative_counts_never_fall_and_end_with_all(observed: list[float]) -> None:
    counts = [count for _, count in _of(*observed).cumulative()]
    assert counts == sorted(counts)
    assert counts[-1] == len(observed)


@given(durations, st.floats(min_value=0, max_value=1))
def test_a_quantile_lies_in_the_bucket_of_the_duration_it_stands_for(observed: list[float], q: float) -> None:
    exact = sorted(observed)[max(ceil(q * len(observed)), 1) - 1]
    estimate = _of(*observed).quantile(q)
    assert estimate is not None
    upper = next(bound for bound in BOUNDS if exact <= bound)
    lower = max((bound for bound in BOUNDS if bound < exact), default=0.0)
    assert lower - 1e-9 <= estimate <= min(upper, max(observed)) + 1e-9


@given(durations, durations)
def test_merging_is_the_same_as_having_observed_all(first: list[float], second: list[float]) -> None:
    merged, whole = Histogram.merged((_of(*first), _of(*second))), _of(*first, *second)
    assert merged.counts == whole.counts
    assert merged.sum == pytest.approx(whole.sum)
    assert merged.largest == whole.largest
