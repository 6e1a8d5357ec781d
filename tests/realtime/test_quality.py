"""How good a connection is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.quality import (
    ClientReport,
    Distribution,
    Grade,
    ReportRefused,
    Trend,
    grade,
    parse_client_report,
    worse,
)

SEED_REPORT = {
    "cachedProfiles": 12,
    "activeSubscriptions": 3,
    "pendingUpdates": 0,
    "latency": 87.5,
    "connectionErrors": 1,
    "retries": 2,
}


@pytest.mark.parametrize(
    ("latency", "silent_for", "expected"),
    [
        (0.0, 0.0, "excellent"),
        (0.099, 0.0, "excellent"),
        (0.1, 0.0, "good"),
        (0.499, 0.0, "good"),
        (0.5, 0.0, "poor"),
        (0.01, 30.0, "excellent"),
        (0.01, 30.001, "poor"),
        (None, 0.0, "good"),
        (None, 31.0, "poor"),
    ],
)
def test_latency_and_silence_make_the_grade(latency: float | None, silent_for: float, expected: Grade) -> None:
    assert grade(latency, silent_for) == expected


def test_a_report_can_make_a_connection_look_worse_but_never_better() -> None:
    assert worse(0.05, 0.4) == 0.4
    assert worse(0.4, 0.05) == 0.4
    assert worse(None, 0.2) == 0.2
    assert worse(0.2, None) == 0.2
    assert worse(None, None) is None


def test_a_report_is_read_with_its_latency_in_milliseconds() -> None:
    assert parse_client_report(SEED_REPORT) == ClientReport(12, 3, 0, 0.0875, 1, 2)


def test_what_a_client_leaves_out_or_does_not_know_is_none() -> None:
    assert parse_client_report({"latency": None, "retries": 4}) == ClientReport(retries=4)


def test_names_that_are_not_known_are_passed_over() -> None:
    assert parse_client_report({"retries": 1, "isConnected": True, "__proto__": {}}) == ClientReport(retries=1)


@pytest.mark.parametrize("name", [each.name for each in fields(ClientReport) if each.name != "latency"])
def test_each_count_may_be_named_as_it_is_shown(name: str) -> None:
    assert parse_client_report({name: 9}) == replace(ClientReport(), **{name: 9})
    assert parse_client_report({name: 9, "latency": 50}) == replace(ClientReport(latency=0.05), **{name: 9})


def test_of_two_spellings_the_clients_own_counts_unless_it_says_nothing() -> None:
    assert parse_client_report({"cachedProfiles": 4, "cached_profiles": 9}).cached_profiles == 4
    assert parse_client_report({"cachedProfiles": 0, "cached_profiles": 9}).cached_profiles == 0
    assert parse_client_report({"cachedProfiles": None, "cached_profiles": 9}).cached_profiles == 9


@pytest.mark.parametrize("value", ["nine", -1, 1.5, True, [9], None, float("nan")])
def test_what_was_passed_over_under_the_name_that_is_shown_is_not_refused_now(value: object) -> None:
    assert parse_client_report({"latency": 50, "cached_profiles": value}) == ClientReport(latency=0.05)
    with pytest.raises(ReportRefused, match="nothing-known"):
        parse_client_report({"cached_profiles": value})


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    assert parse_client_report({"retries": 3.0}) == ClientReport(retries=3)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "not-an-object"),
        ([1], "not-an-object"),
        ("latency", "not-an-object"),
        ({}, "nothing-known"),
        ({"quality": "good"}, "nothing-known"),
        ({f"field {n}": n for n in range(33)}, "too-many-fields"),
        ({"latency": "87"}, "not-a-number"),
        ({"latency": True}, "not-a-number"),
        ({"latency": [87]}, "not-a-number"),
        ({"retries": 1.5}, "not-a-number"),
        ({"latency": -1}, "out-of-range"),
        ({"latency": float("nan")}, "out-of-range"),
        ({"latency": float("inf")}, "out-of-range"),
        ({"latency": 10**400}, "out-of-range"),
        ({"cachedProfiles": 10**10}, "out-of-range"),
    ],
)
def test_junk_is_refused_with_a_reason(payload: object, reason: str) -> None:
    with pytest.raises(ReportRefused) as refused:
        parse_client_report(payload)
    assert refused.value.reason == reason


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*SEED_REPORT, "cached_profiles", "x"]), inner, max_size=7)
    ),
)


@given(anything)
def test_whatever_a_client_sends_is_a_bounded_report_or_refused(payload: object) -> None:
    try:
        report = parse_client_report(payload)
    except ReportRefused:
        return
    assert report.latency is None or 0 <= report.latency <= 600
    for count in (report.cached_profiles, report.pending_updates, report.retries):
        assert count is None or (type(count) is int and 0 <= count <= 10**9)


def test_a_distribution_counts_sessions_by_grade() -> None:
    seen = Distribution.of(["good", "poor", "good"])
    assert seen == Distribution(excellent=0, good=2, poor=1)
    assert seen.total == 3


def test_the_trend_shows_the_last_quarter_of_an_hour_oldest_first() -> None:
    trend = Trend()
    trend.observe(Distribution(excellent=1), now=30.0)
    trend.observe(Distribution(good=2), now=90.0)
    minutes = trend.minutes(now=119.0)
    assert len(minutes) == 15
    assert minutes[-2:] == [Distribution(excellent=1), Distribution(good=2)]
    assert all(minute == Distribution() for minute in minutes[:-2])


def test_a_bad_moment_shows_in_its_minute_however_short_it_was() -> None:
    trend = Trend()
    trend.observe(Distribution(good=5), now=0.0)
    trend.observe(Distribution(poor=5), now=10.0)
    trend.observe(Distribution(good=5), now=20.0)
    assert trend.minutes(now=20.0)[-1] == Distribution(good=10, poor=5)


def test_minutes_in_which_nobody_looked_are_empty_and_old_ones_leave() -> None:
    trend = Trend()
    trend.observe(Distribution(good=1), now=0.0)
    trend.observe(Distribution(poor=1), now=14 * 60.0)
    assert trend.minutes(now=14 * 60.0)[0] == Distribution(good=1)
    assert trend.minutes(now=15 * 60.0) == [*[Distribution()] * 13, Distribution(poor=1), Distribution()]
    assert trend.minutes(now=9999 * 60.0) == [Distribution()] * 15


def test_nothing_is_known_of_the_minutes_before_the_first_look() -> None:
    trend = Trend()
    assert trend.known(now=90.0) == 0
    trend.observe(Distribution(good=1), now=90.0)
    assert trend.known(now=119.0) == 1
    assert trend.known(now=120.0) == 2
    assert trend.known(now=9999 * 60.0) == 15


def test_the_trend_holds_no_more_than_it_shows() -> None:
    trend = Trend()
    for minute in range(1000):
        trend.observe(Distribution(good=minute), now=60.0 * minute)
    assert [minute.good for minute in trend.minutes(now=60.0 * 999)] == list(range(985, 1000))
    assert len(trend._minutes) == 15
