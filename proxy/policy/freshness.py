"""How long a response is fresh, and how old it is (RFC 9111 section 4.2).

All times are seconds; `now` and every moment count from the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from proxy.policy.dates import moment_or, parse_date
from proxy.policy.directives import parse_seconds, response_directives
from proxy.policy.matching import is_private
from proxy.policy.messages import Response, Rules, StoredResponse, media_type

Source = Literal["s-maxage", "max-age", "expires", "content-type", "route", "heuristic", "assumed", "none"]

HEURISTICALLY_CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""The statuses that may be cached without being told to (RFC 9110 section 15.1)."""

HEURISTIC_FRACTION = 0.1
HEURISTIC_LIMIT = 7 * 86_400.0
_UNASSUMING = ("no-cache", "no-store", "private", "must-revalidate", "proxy-revalidate")
"""Directives of an origin that wants to be asked, or that speaks to one user: nothing is assumed beside them."""

_EXPLICIT = frozenset({"s-maxage", "max-age", "expires"})


@dataclass(frozen=True, slots=True)
class Lifetime:
    """For how many seconds a response is fresh, and what said so."""

    seconds: float
    source: Source

    @property
    def explicit(self) -> bool:
        """Whether the origin itself stated it."""
        return self.source in _EXPLICIT


@dataclass(frozen=True, slots=True)
class Freshness:
    """The freshness of a stored response at one moment. A soft purge shortens `lifetime` to the age it had then."""

    lifetime: float
    source: Source
    age: float
    soft_purged: bool = False

    @property
    def ttl(self) -> float:
        """Seconds until it becomes stale; negative once it is."""
        return self.lifetime - self.age

    @property
    def fresh(self) -> bool:
        return self.lifetime > self.age

    @property
    def staleness(self) -> float:
        """Seconds since it became stale; 0 while fresh."""
        return max(0.0, -self.ttl)


def freshness(stored: StoredResponse, rules: Rules, now: float) -> Freshness:
    """The freshness of a stored response at `now`, a soft purge included."""
    allowed = lifetime(stored, rules)
    current = age(stored, now)
    if stored.stale_since is None or stored.stale_since > now:
        return Freshness(allowed.seconds, allowed.source, current)
    at_purge = age(stored, stored.stale_since)
    return Freshness(min(allowed.seconds, at_purge), allowed.source, current, soft_purged=at_purge < allowed.seconds)


def fresh_until(response: Response | StoredResponse, rules: Rules) -> float:
    """The moment (epoch seconds) from which the response may no longer be used without asking the origin.

    0.0 when it never may: it was stale on arrival, or always requires validation. Requests may demand more.
    """
    remaining = lifetime(response, rules).seconds - _initial_age(response)
    if remaining <= 0 or validation_required(response):
        return 0.0
    until = response.response_time + remaining
    if isinstance(response, StoredResponse) and response.stale_since is not None:
        return min(until, response.stale_since)
    return until


def age(response: Response | StoredResponse, now: float) -> float:
    """The current age by RFC 9111 section 4.2.3. A clock that was set back does not make anything younger."""
    return _initial_age(response) + max(0.0, now - response.response_time)


def lifetime(response: Response | StoredResponse, rules: Rules) -> Lifetime:
    """The freshness lifetime: the origin's explicit one, else the one `rules` assign, else a heuristic one.

    Never longer than a response may be kept: `rules.max_age` counts from the moment it was received.
    """
    found = (
        _explicit(response)
        or _assigned(response, rules)
        or _heuristic(response, rules)
        or _assumed(response, rules)
        or Lifetime(0.0, "none")
    )
    if rules.max_age is None or found.seconds <= rules.max_age:
        return found
    return replace(found, seconds=min(found.seconds, rules.max_age + _initial_age(response)))


def validation_required(response: Response | StoredResponse) -> str | None:
    """Why the response may not be used without successful validation even while fresh, or None.

    The slugs are `response-no-cache`, `response-no-store` and `response-vary`; the last two matter where a 304
    brought them to what was already stored. A qualified `no-cache` counts only while a field it lists is there:
    without those fields the rest may be reused (RFC 9111 section 5.2.2.4).
    """
    directives = response_directives(response.fields)
    listed = directives.field_names("no-cache")
    if directives.unqualified("no-cache") or any(name in response.fields for name in listed):
        return "response-no-cache"
    if "no-store" in directives and "must-understand" not in directives:
        return "response-no-store"
    return "response-vary" if "*" in response.fields.members("Vary") else None


def _initial_age(response: Response | StoredResponse) -> float:
    """`corrected_initial_age` of RFC 9111 section 4.2.3."""
    apparent_age = max(0.0, response.response_time - _date(response))
    response_delay = max(0.0, response.response_time - response.request_time)
    return max(apparent_age, _age_value(response) + response_delay)


def _age_value(response: Response | StoredResponse) -> int:
    # RFC 9111 section 5.1: of a list the first member counts, and an invalid value is ignored.
    members = response.fields.members("Age")
    return (parse_seconds(members[0]) if members else None) or 0


def _date(response: Response | StoredResponse) -> float:
    """The value of Date; the time of arrival when it is missing (RFC 9110 section 6.6.1) or unreadable."""
    return moment_or(response.fields.first("Date"), response.response_time)


def _explicit(response: Response | StoredResponse) -> Lifetime | None:
    directives = response_directives(response.fields)
    if (shared := directives.seconds("s-maxage")) is not None:
        return Lifetime(float(shared), "s-maxage")
    if (stated := directives.seconds("max-age")) is not None:
        return Lifetime(float(stated), "max-age")
    if directives.targeted or (expires := response.fields.first("Expires")) is None:
        return None
    # RFC 9111 section 5.3: an invalid date, "0" above all, lies in the past.
    moment = parse_date(expires, response.response_time)
    return Lifetime(0.0 if moment is None else max(0.0, moment - _date(response)), "expires")


def _assigned(response: Response | StoredResponse, rules: Rules) -> Lifetime | None:
    if not rules.assign_lifetime or not _assignable(response.status, rules):
        return None
    if response_directives(response.fields).unqualified("no-cache"):
        return None
    kind = media_type(response.fields.first("Content-Type"))
    for pattern, seconds in rules.expiry:
        if fnmatchcase(kind, pattern.lower()):
            return Lifetime(seconds if rules.max_age is None else min(seconds, rules.max_age), "content-type")
    return None if rules.max_age is None else Lifetime(rules.max_age, "route")


def _assignable(status: int, rules: Rules) -> bool:
    # A month in the cache is meant for the picture, not for the 404 of the minute before it was uploaded:
    # an error status gets the route's lifetime only when the route names that status.
    if rules.statuses is not None:
        return status in rules.statuses
    return status in HEURISTICALLY_CACHEABLE and status < 400


def _heuristic(response: Response | StoredResponse, rules: Rules) -> Lifetime | None:
    """A tenth of the time since the last modification (RFC 9111 section 4.2.2), at most a week."""
    permitted = response.status in HEURISTICALLY_CACHEABLE or "public" in response_directives(response.fields)
    if rules.origin_freshness_only or not permitted:
        return None
    modified = parse_date(response.fields.first("Last-Modified") or "", response.response_time)
    if modified is None:
        return None
    unchanged = max(0.0, _date(response) - modified)
    return Lifetime(min(unchanged * HEURISTIC_FRACTION, HEURISTIC_LIMIT), "heuristic")


def _assumed(response: Response | StoredResponse, rules: Rules) -> Lifetime | None:
    """The operator's own heuristic (RFC 9111 section 4.2.2), for a plain 200 that everybody gets and that says nothing
    of how long it is good. Pragma says it in the words of HTTP/1.0.
    """
    if not rules.assumed_lifetime or response.status != 200:
        return None
    if isinstance(response, StoredResponse) and (is_private(response.key) or response.method != "GET"):
        return None
    directives = response_directives(response.fields)
    if any(name in directives for name in _UNASSUMING) or "Set-Cookie" in response.fields:
        return None
    if "no-cache" in response.fields.members("Pragma") or "*" in response.fields.members("Vary"):
        return None
    return Lifetime(rules.assumed_lifetime, "assumed")
