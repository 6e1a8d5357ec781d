"""HTTP dates, read and written without the machine's locale or time zone (RFC 9110 section 5.6.7)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = 253_402_300_799  # 9999-12-31T23:59:59Z: the grammar has four digits for a year
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DAY_NAME = "(?:" + "|".join(_DAYS) + ")"
_LONG_DAY_NAME = "(?P<day_name>Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# RFC 9111 section 4.2: a cache matches dates without regard to case, and no zone but GMT is valid.
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"{_DAY_NAME}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY_NAME}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def parse_date(value: str, reference: float | None = None) -> float | None:
    """The moment an HTTP-date names, in seconds since the epoch; None when it is not an HTTP-date.

    All three forms are read: IMF-fixdate, RFC 850 and asctime. A two-digit year is the one nearest to
    `reference` (seconds since the epoch) that is not more than 50 years after it, or the one a century before if
    only that has the day name; without a reference, 69 to 99 are the 1900s. A day name that does not fit the date
    is otherwise forgiven, an impossible date is not.
    """
    for form in _FORMS:
        if match := form.fullmatch(value):
            return _moment(match.groupdict(), reference)
    return None


def moment_or(stated: str | None, received: float) -> float:
    """The moment that a Date field names; when it is absent or none, the one at which its message was received."""
    moment = None if stated is None else parse_date(stated, received)
    return received if moment is None else moment


def format_date(seconds: float) -> str:
    """`seconds` since the epoch as an IMF-fixdate, fractions cut off; beyond the years 1970 to 9999 the nearest end."""
    moment = _EPOCH + timedelta(seconds=math.floor(min(max(seconds, 0), _END)))
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04}"
        f" {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    )


def _moment(parts: dict[str, str], reference: float | None) -> float | None:
    month, day = _MONTHS.index(parts["month"].capitalize()) + 1, int(parts["day"])
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"])
    if hour > 23 or minute > 59 or second > 60:  # the grammar admits a leap second
        return None
    if len(parts["year"]) == 4:
        midnight = _midnight(int(parts["year"]), month, day)
    else:
        midnight = _in_some_century(parts["day_name"], day, month, int(parts["year"]), reference)
    if midnight is None:
        return None
    return (midnight - _EPOCH).total_seconds() + hour * 3600 + minute * 60 + second


def _in_some_century(day_name: str, day: int, month: int, two_digits: int, reference: float | None) -> datetime | None:
    year = _full_year(two_digits, reference)
    midnight, earlier = _midnight(year, month, day), _midnight(year - 100, month, day)
    # "Thursday, 01-Jan-70" is how some origins say "long ago"; in 2070 that day is a Wednesday.
    if reference is not None and _is(day_name, earlier) and not _is(day_name, midnight):
        return earlier
    return midnight


def _midnight(year: int, month: int, day: int) -> datetime | None:
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None


def _is(day_name: str, date: datetime | None) -> bool:
    return date is not None and _DAYS[date.weekday()] == day_name[:3].capitalize()


def _full_year(two_digits: int, reference: float | None) -> int:
    if reference is None:
        return two_digits + (1900 if two_digits >= 69 else 2000)
    # RFC 9110 section 5.6.7: what appears to be more than 50 years in the future is the most recent past
    # year with the same last two digits.
    this_year = (_EPOCH + timedelta(seconds=min(max(reference, 0), _END))).year
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year
