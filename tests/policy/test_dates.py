"""HTTP dates (RFC 9110 section 5.6.7), as a cache reads them (RFC 9111 section 4.2)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.dates import format_date, parse_date

MOMENT = 784111777.0  # the example of RFC 9110: 1994-11-06 08:49:37
MOMENTS = st.integers(min_value=0, max_value=253_402_300_799)


@pytest.mark.parametrize(
    "value",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
def test_all_three_forms_name_the_same_moment(value: str) -> None:
    """RFC 9110 section 5.6.7."""
    assert parse_date(value) == MOMENT


@pytest.mark.parametrize(
    "value",
    ["SUN, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 gmt", "sunday, 06-NOV-94 08:49:37 Gmt"],
)
def test_case_does_not_matter_to_a_cache(value: str) -> None:
    """RFC 9111 section 4.2."""
    assert parse_date(value) == MOMENT


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "-1",
        "784111777",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 EST",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 0\u00b2 Nov 1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 1994 GMT",
    ],
)
def test_rubbish_is_no_date(value: str) -> None:
    """RFC 9110 section 5.6.7, RFC 9111 section 4.2."""
    assert parse_date(value) is None


def test_a_wrong_day_name_is_forgiven() -> None:
    """RFC 9110 section 5.6.7."""
    assert parse_date("Mon, 06 Nov 1994 08:49:37 GMT") == MOMENT


def test_a_leap_second_is_the_first_second_of_the_next_minute() -> None:
    """RFC 9110 section 5.6.7."""
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_date("Sun, 01 Jan 2017 00:00:00 GMT")


def test_the_29th_of_february_exists_in_leap_years() -> None:
    """RFC 9110 section 5.6.7."""
    assert parse_date("Thu, 29 Feb 2024 00:00:00 GMT") == datetime(2024, 2, 29, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("two_digits", "now_year", "expected"),
    [("76", 2026, 2076), ("77", 2026, 1977), ("94", 2026, 1994), ("00", 2026, 2000), ("10", 1999, 1910)],
)
def test_a_two_digit_year_is_never_more_than_fifty_years_ahead(two_digits: str, now_year: int, expected: int) -> None:
    """RFC 9110 section 5.6.7."""
    now = datetime(now_year, 6, 1, tzinfo=UTC).timestamp()
    assert (
        parse_date(f"Sunday, 06-Nov-{two_digits} 08:49:37 GMT", now)
        == datetime(expected, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()
    )


@pytest.mark.parametrize(("day", "year"), [("Thursday", 1970), ("Wednesday", 2070), ("Monday", 2070)])
def test_a_day_name_that_only_fits_a_century_ago_means_that_year(day: str, year: int) -> None:
    """RFC 9110 section 5.6.7."""
    now = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    assert parse_date(f"{day}, 01-Jan-70 00:00:00 GMT", now) == datetime(year, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("two_digits", "expected"), [("69", 1969), ("68", 2068)])
def test_without_a_reference_two_digit_years_turn_at_69(two_digits: str, expected: int) -> None:
    moment = parse_date(f"Sunday, 06-Nov-{two_digits} 00:00:00 GMT")
    assert moment == datetime(expected, 11, 6, tzinfo=UTC).timestamp()


@given(MOMENTS)
def test_what_is_written_is_read_back(seconds: int) -> None:
    """RFC 9110 section 5.6.7."""
    assert parse_date(format_date(seconds)) == seconds


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_writing_agrees_with_the_standard_library(seconds: int) -> None:
    """RFC 9110 section 5.6.7."""
    assert format_date(seconds) == formatdate(seconds, usegmt=True)


@given(MOMENTS)
def test_asctime_agrees_with_the_c_format(seconds: int) -> None:
    """RFC 9110 section 5.6.7."""
    moment = datetime(1970, 1, 1, tzinfo=UTC).timestamp() + seconds
    asctime = datetime.fromtimestamp(moment, UTC).ctime()
    assert parse_date(asctime) == seconds


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"))
def test_reading_never_raises(value: str) -> None:
    """RFC 9110 section 5.6.7."""
    moment = parse_date(value)
    assert moment is None or isinstance(moment, float)


@pytest.mark.parametrize(("seconds", "written"), [(784111777.999, 784111777), (-5.0, 0), (1e15, 253_402_300_799)])
def test_fractions_are_cut_off_and_impossible_years_clamped(seconds: float, written: int) -> None:
    assert parse_date(format_date(seconds)) == written


def test_neither_the_locale_nor_the_time_zone_of_the_machine_matters() -> None:
    """RFC 9111 section 4.2."""
    program = (
        "from proxy.policy.dates import format_date, parse_date\n"
        "print(format_date(784111777), parse_date('Sun, 06 Nov 1994 08:49:37 GMT'))"
    )
    environment = {**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Sun, 06 Nov 1994 08:49:37 GMT 784111777.0"


@given(
    seconds=st.integers(min_value=0, max_value=253_402_300_799),
    day=st.integers(0, 6),
    form=st.sampled_from(["{day}, %d {month} %Y %H:%M:%S GMT", "{day} {month} {monthday:2} %H:%M:%S %Y"]),
    case=st.sampled_from([str.upper, str.lower, str.title, str.swapcase]),
)
def test_neither_case_nor_day_name_changes_the_moment_rfc_9111_section_4_2(
    seconds: int, day: int, form: str, case: Callable[[str], str]
) -> None:
    """RFC 9111 section 4.2."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * moment.month - 3 : 3 * moment.month]
    written = form.format(day=name, month=month, monthday=moment.day)
    for code, number in (("%d", f"{moment.day:02}"), ("%Y", f"{moment.year:04}"), ("%H", f"{moment.hour:02}")):
        written = written.replace(code, number)
    written = written.replace("%M", f"{moment.minute:02}").replace("%S", f"{moment.second:02}")

    assert parse_date(case(written)) == seconds
