"""Parts of a representation that is not stored whole: what 206 responses bring and how they add up.

RFC 9110 sections 14.4 and 15.3.7, RFC 9111 sections 3.3 and 3.4. Positions count bytes; stops are exclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from proxy.policy.dates import parse_date
from proxy.policy.messages import Fields, Request, Response, StoredResponse
from proxy.policy.ranges import ByteRange, Unsatisfiable, content_range, parse_range, range_applies

_CONTENT_RANGE = re.compile(r"[bB][yY][tT][eE][sS] ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_ONE_RANGE = re.compile(r"[bB][yY][tT][eE][sS]=[ \t]*(?:[0-9]+-[0-9]*|-[0-9]+)[ \t]*")
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` up to, not including, `stop` of a representation of `total` bytes (None: not said)."""

    start: int
    stop: int
    total: int | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing of the representation is missing."""
        return self.start == 0 and self.stop == self.total


def parse_content_range(value: str) -> Part | None:
    """The part a Content-Range names; None when it is not one of bytes, or not possible (RFC 9110 section 14.4)."""
    match = _CONTENT_RANGE.fullmatch(value)
    if match is None:
        return None
    start, stop = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    return Part(start, stop, total) if start < stop and (total is None or stop <= total) else None


def received_part(request: Request, response: Response) -> Part | None:
    """The one part that a 206 brings to a GET for one range; None when there is any doubt about it.

    Its Content-Length, if there is one, must agree: a part that is shorter than it says would shift all that follows.
    """
    asked, named = request.fields.all("Range"), response.fields.all("Content-Range")
    if request.method != "GET" or response.status != 206 or len(asked) != 1 or len(named) != 1:
        return None
    part = parse_content_range(named[0]) if _ONE_RANGE.fullmatch(asked[0]) else None
    lengths = set(response.fields.all("Content-Length"))
    return part if part is not None and lengths <= {str(part.stop - part.start)} else None


def stored_part(fields: Fields) -> Part | None:
    """The part that a stored 206 with these fields holds."""
    return parse_content_range(fields.combined("Content-Range") or "")


def combined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The same bytes in as few parts as possible, in order; parts that touch become one.

    Raises ValueError when they disagree about the total, as parts of one representation cannot.
    """
    listed = sorted(parts, key=lambda part: part.start)
    totals = {part.total for part in listed if part.total is not None}
    if len(totals) > 1:
        raise ValueError(f"parts of {sorted(totals)} bytes are not of one representation; combine only combinable ones")
    total = totals.pop() if totals else None
    merged: list[Part] = []
    for part in listed:
        if merged and part.start <= merged[-1].stop:
            merged[-1] = replace(merged[-1], stop=max(merged[-1].stop, part.stop))
        else:
            merged.append(Part(part.start, part.stop, total))
    return tuple(merged)


def satisfies(parts: Iterable[Part], wanted: ByteRange) -> bool:
    """Whether the parts together hold every wanted byte."""
    return any(part.start <= wanted.start and wanted.stop <= part.stop for part in combined(parts))


def missing(parts: Iterable[Part], wanted: ByteRange, total: int | None) -> ByteRange | None:
    """The shortest single range that, added to the parts, holds all wanted bytes; None when nothing is missing.

    Bytes beyond `total` do not exist and so are not missing. What lies between two gaps is asked for again: one
    range is one request, and servers refuse or ignore many.
    """
    start, stop = wanted.start, wanted.stop if total is None else min(wanted.stop, total)
    held = combined(parts)
    for part in held:
        if part.start <= start < part.stop:
            start = part.stop
    for part in reversed(held):
        if part.start < stop <= part.stop:
            stop = part.start
    return ByteRange(start, stop) if start < stop else None


def combinable(stored: StoredResponse | Response, new_response: StoredResponse | Response) -> bool:
    """Whether parts of both belong to one representation: they share a strong validator (RFC 9110 section 15.3.7.3).

    That is the entity tag where either has one, else Last-Modified where it was at least a second old when each was
    sent (section 8.8.2.2). Parts that disagree about the total never belong together.
    """
    one, other = stored.fields, new_response.fields
    totals = {length for length in (complete_length(stored), complete_length(new_response)) if length is not None}
    if len(totals) > 1:
        return False
    if "ETag" in one or "ETag" in other:
        tags = {*one.all("ETag"), *other.all("ETag")}
        return "ETag" in one and "ETag" in other and len(tags) == 1 and bool(_STRONG_TAG.fullmatch(tags.pop()))
    modified = {_strongly_modified(stored), _strongly_modified(new_response)}
    return len(modified) == 1 and None not in modified


def complete_length(response: StoredResponse | Response) -> int | None:
    """How many bytes the whole representation has, as far as the response says or the store counted."""
    if response.status == 206:
        part = stored_part(response.fields)
        return None if part is None else part.total
    if isinstance(response, StoredResponse):
        return response.length
    stated = set(response.fields.all("Content-Length"))
    length = stated.pop() if len(stated) == 1 else ""
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def combined_fields(stored_fields: Fields, new_fields: Fields, part: Part) -> Fields:
    """The head of two combined responses, which now hold `part` (RFC 9111 section 3.4).

    The new response's fields replace the stored ones, except those that say which bytes these are. A whole
    representation has no Content-Range and is a 200.
    """
    news = new_fields.without("Content-Range", "Content-Length", "Content-Encoding", "Content-Type")
    merged = stored_fields.without("Age", "Content-Range", "Content-Length").replacing(*news)
    if part.whole:
        return merged
    named = f"bytes {part.start}-{part.stop - 1}/*" if part.total is None else content_range(_range(part), part.total)
    return merged.plus(("Content-Range", named))


def answerable(request: Request, stored: StoredResponse) -> bool:
    """Whether a stored 206 answers the request: all it asks for lies within the part (RFC 9111 section 3.3)."""
    part, asked = stored_part(stored.fields), request.fields.all("Range")
    if part is None or part.total is None or request.method != "GET" or len(asked) != 1:
        return False
    date = parse_date(stored.fields.first("Date") or "", stored.response_time)
    if not range_applies(request, stored.fields, date):
        return False
    wanted = parse_range(asked[0], part.total)
    return wanted is not None and not isinstance(wanted, Unsatisfiable) and _all_held(part, wanted)


def _all_held(part: Part, wanted: Sequence[ByteRange]) -> bool:
    return all(satisfies((part,), each) for each in wanted)


def _range(part: Part) -> ByteRange:
    return ByteRange(part.start, part.stop)


def _strongly_modified(response: StoredResponse | Response) -> float | None:
    """Last-Modified where it is a strong validator (RFC 9110 section 8.8.2.2), else None."""
    modified = parse_date(response.fields.first("Last-Modified") or "", response.response_time)
    date = parse_date(response.fields.first("Date") or "", response.response_time)
    return modified if modified is not None and date is not None and modified <= date - 1 else None
