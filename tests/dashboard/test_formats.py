"""Figures as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui import formats


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (64 * 2**20, "64.0 MiB"), (2**50, "1024 TiB")],
)
def test_sizes_are_in_binary_units(count: int, text: str) -> None:
    assert formats.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 µs"), (0.00035, "350 µs"), (0.0009999, "1.0 ms"), (0.0042, "4.2 ms"), (0.042, "42 ms"), (1.239, "1.24 s"),
     (0.9999, "1.00 s"), (75, "1 min")],
)  # fmt: skip
def test_durations_choose_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (90000, "1 d 1 h"),
        (864000, "10 d"),
    ],
)
def test_ages_show_at_most_two_units(seconds: float, text: str) -> None:
    assert formats.age(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (1, "100 %"), (0.9999, "99.9 %"), (0.00001, "0.1 %"), (0.9314, "93.1 %")]
)
def test_a_ratio_is_100_per_cent_only_when_nothing_is_missing(share: float, text: str) -> None:
    assert formats.ratio(share) == text


@pytest.mark.parametrize(("share", "text"), [(1.677, "167.7 %"), (1.2054, "120.5 %"), (1.0004, "100.0 %")])
def test_a_share_beyond_the_whole_is_shown_as_it_is(share: float, text: str) -> None:
    assert formats.ratio(share) == text


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0"), (12.54, "12.5"), (99.96, "100"), (12345.6, "12,346")])
def test_rates_drop_the_decimal_where_it_says_nothing(value: float, text: str) -> None:
    assert formats.rate(value) == text


def test_a_figure_that_is_not_there_is_a_dash_and_not_a_zero() -> None:
    for show in (formats.size, formats.duration, formats.age, formats.rate, formats.ratio):
        assert show(None) == "–"
    assert formats.count(None) == "–"


def test_moments_are_utc() -> None:
    assert formats.clock(0) == "00:00:00"
    assert formats.timestamp(86399) == "1970-01-01T23:59:59Z"


@given(st.floats(min_value=0, max_value=1e10))
def test_every_figure_fits_its_place(value: float) -> None:
    assert len(formats.size(value)) <= 9
    assert len(formats.duration(value)) <= 13
