"""Asking the origin whether a response is still valid, and answering clients who ask us.

RFC 9111 section 4.3 and RFC 9110 section 13.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from proxy.policy.dates import format_date, parse_date
from proxy.policy.directives import response_directives
from proxy.policy.freshness import fresh_until
from proxy.policy.messages import Fields, Request, Response, Rules, StoredResponse
from proxy.policy.parts import complete_length
from proxy.policy.storing import stored_fields

_KEPT_ON_UPDATE = ("Content-Length", "Content-Encoding", "Content-Range")
"""What the stored bytes themselves depend on, which a 304 does not change (RFC 9111 section 3.2)."""

_NOT_IN_304 = (
    "Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Content-Range", "Content-MD5",
    "Content-Digest", "Repr-Digest", "Digest", "Transfer-Encoding", "Trailer",
)  # fmt: skip

_LISTED_TAG = re.compile(r'[ \t]*+((?:W/)?+"[^"]*+"|[^",]*+)[ \t]*+(?:,|$)')


def has_validator(stored: StoredResponse) -> bool:
    """Whether the origin can be asked conditionally about the stored response."""
    return bool(conditional_lines(stored))


def conditional_lines(stored: StoredResponse) -> list[tuple[str, str]]:
    """The field lines that make a request ask whether the stored response is still valid (RFC 9111 section 4.3.1).

    Both validators go, exactly as they came: an origin that knows entity tags ignores the date.
    """
    lines = []
    if etag := stored.fields.first("ETag"):
        lines.append(("If-None-Match", etag))
    modified = stored.fields.first("Last-Modified")
    if modified and parse_date(modified) is not None:
        lines.append(("If-Modified-Since", modified))
    return lines


def confirms(stored: StoredResponse, response_304: Response) -> bool:
    """Whether the 304 speaks of this stored response, whose validators were sent (RFC 9111 section 4.3.4).

    A strong entity tag in the 304 must match strongly; else one of its weak validators must match. A 304 without
    any confirms too: section 4.3.4 asks the question for a cache that does not know which of its responses
    was meant, while here exactly one was named in the request.
    """
    etag, modified = response_304.fields.first("ETag"), response_304.fields.first("Last-Modified")
    if not etag and not modified:
        return True
    if etag and not etag.startswith("W/"):
        return etag == stored.fields.first("ETag")
    same_tag = etag is not None and _same_weakly(etag, stored.fields.first("ETag") or "")
    return same_tag or _same_date(modified, stored.fields.first("Last-Modified"))


def freshened(stored: StoredResponse, response_304: Response, rules: Rules) -> StoredResponse:
    """The stored response with the 304's fields and times (RFC 9111 sections 3.2 and 4.3.4); the body stays.

    Age belongs to one message, so the stored one goes; a missing Date is the time of arrival (RFC 9110 section
    6.6.1). A cookie that comes with a 304 is for the user who asked, unless the response is `public`.
    """
    news = stored_fields(response_304.fields).without(*_KEPT_ON_UPDATE)
    if "Date" not in news:
        news = news.plus(("Date", format_date(response_304.response_time)))
    merged = stored.fields.without("Age", *(name for name, _ in news)).plus(*news)
    if "Set-Cookie" in news and "public" not in response_directives(merged):
        merged = merged.without("Set-Cookie")
    updated = replace(
        stored,
        fields=stored_fields(merged),
        request_time=response_304.request_time,
        response_time=response_304.response_time,
        stale_since=None,
    )
    return replace(updated, fresh_until=fresh_until(updated, rules))


def head_effect(
    stored: StoredResponse, head_response: Response, rules: Rules
) -> StoredResponse | Literal["invalidate"] | None:
    """What the answer to a HEAD says of a stored response that a GET would have got (RFC 9111 section 4.3.5).

    A 200 whose validators and Content-Length, as far as it has them, are the stored ones brings new fields: the
    freshened response. Another 200 means that the stored one is outdated: "invalidate". Any other status, and what
    is said of a response to another method, says nothing: None.
    """
    if head_response.status != 200 or stored.method not in ("GET", "POST"):
        return None
    known, news = stored.fields, head_response.fields
    length = complete_length(head_response)
    same = (
        stored.status in (200, 206)
        and ("ETag" not in news or news.all("ETag") == known.all("ETag"))
        and ("Last-Modified" not in news or _same_date(news.first("Last-Modified"), known.first("Last-Modified")))
        and ("Content-Length" not in news or length == complete_length(stored))
    )
    return freshened(stored, head_response, rules) if same else "invalidate"


def not_modified(request: Request, fields: Fields, *, status: int = 200, received: float | None = None) -> bool:
    """Whether the client's own precondition turns a stored response with these fields into a 304.

    Only for GET and HEAD and only where the answer would be 2xx (RFC 9110 section 13.2.1). If-None-Match goes
    before If-Modified-Since (section 13.2.2). Without Last-Modified the date compared is Date, else the moment
    the response was `received` (RFC 9111 section 4.3.2).
    """
    if request.method not in ("GET", "HEAD") or not 200 <= status < 300:
        return False
    if "If-None-Match" in request.fields:
        return _names_tag(request.fields.combined("If-None-Match") or "", fields.first("ETag"))
    since = parse_date(request.fields.combined("If-Modified-Since") or "", received)
    if since is None:
        return False
    compared = _dated(fields, received)
    return compared is not None and compared <= since


def not_modified_fields(fields: Fields) -> Fields:
    """What a 304 carries of a stored response's fields (RFC 9110 section 15.4.5).

    It lacks what describes a body that is not sent; Last-Modified only where no entity tag says more.
    """
    bare = fields.without(*_NOT_IN_304)
    return bare.without("Last-Modified") if "ETag" in bare else bare


def _names_tag(value: str, etag: str | None) -> bool:
    """Whether an If-None-Match value is `*` or lists `etag` by weak comparison (RFC 9110 section 13.1.2).

    A value that is not a list of entity tags names nothing. An unquoted tag is compared as it is.
    """
    if value.strip(" \t") == "*":
        return True
    if not etag:
        return False
    named = False
    position = 0
    while position < len(value):
        listed = _LISTED_TAG.match(value, position)
        if listed is None:
            return False
        named = named or _same_weakly(listed[1].rstrip(" \t"), etag)
        position = listed.end()
    return named


def _same_weakly(one: str, other: str) -> bool:
    return one.removeprefix("W/") == other.removeprefix("W/")


def _same_date(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    moment = parse_date(one)
    return one == other or (moment is not None and moment == parse_date(other))


def _dated(fields: Fields, received: float | None) -> float | None:
    if "Last-Modified" in fields:
        return parse_date(fields.first("Last-Modified") or "", received)
    date = parse_date(fields.first("Date") or "", received)
    return received if date is None else date
