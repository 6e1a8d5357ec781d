"""Parts of a stored response: Range, If-Range, Content-Range and multipart/byteranges (RFC 9110 section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from proxy.policy.dates import parse_date
from proxy.policy.messages import Fields, Request

MOST_RANGES = 16
"""More ranges than this in one request are ignored (RFC 9110 section 14.2 on denial of service)."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to, not including, `stop`; never empty."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """No requested byte exists: answer 416 with `content_range(None, length)`."""

    length: int


def parse_range(value: str, length: int) -> tuple[ByteRange, ...] | Unsatisfiable | None:
    """The parts a Range field asks of a representation of `length` bytes, clipped to it, in the order asked for.

    None: the field is to be ignored and the whole sent. That is so for other units than bytes, for anything
    malformed, for more than MOST_RANGES ranges and for ranges that overlap (RFC 9110 sections 14.1.2 and 14.2).
    """
    match = _SPECIFIER.fullmatch(value)
    if match is None:
        return None
    specs = [spec for raw in match[1].split(",") if (spec := raw.strip(" \t"))]
    if not specs or len(specs) > MOST_RANGES:
        return None
    parts: list[ByteRange] = []
    for spec in specs:
        part = _part(spec, length)
        if part is None:
            return None
        if part.start < part.stop:
            parts.append(part)
    if not parts:
        # A suffix of an empty representation is satisfiable, yet no Content-Range can say so.
        return None if length == 0 and any(_is_suffix(spec) for spec in specs) else Unsatisfiable(length)
    return None if _overlapping(parts) else tuple(parts)


def content_range(part: ByteRange | None, length: int) -> str:
    """The value of Content-Range; without a part that of a 416."""
    return f"bytes */{length}" if part is None else f"bytes {part.start}-{part.stop - 1}/{length}"


def range_applies(request: Request, stored_fields: Fields, date: float | None) -> bool:
    """Whether the request's Range counts for a response with these fields, or If-Range demands the whole.

    `date` is the response's Date in seconds since the epoch. True when there is no If-Range; otherwise its
    validator must be strong and match exactly (RFC 9110 section 13.1.5).
    """
    conditions = request.fields.all("if-range")
    if not conditions:
        return True
    condition = conditions[0]
    if len(conditions) > 1 or condition.startswith("W/"):
        return False
    if condition.startswith('"'):
        return stored_fields.all("etag") == [condition] and bool(_STRONG_TAG.fullmatch(condition))
    modified = stored_fields.first("last-modified")
    if modified is None or condition != modified:
        return False
    moment = parse_date(modified)
    # RFC 9110 section 8.8.2.2: strong only if it lies at least one second before the moment it was said.
    return moment is not None and date is not None and moment <= date - 1


def multipart_head(boundary: str, content_type: str | None, part: ByteRange, length: int) -> bytes:
    """What precedes one part's bytes in a multipart/byteranges body, delimiter included (RFC 9110 section 14.6)."""
    lines = [f"--{boundary}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Range: {content_range(part, length)}")
    return ("\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def multipart_end(boundary: str) -> bytes:
    """The closing delimiter, which follows the last part's bytes."""
    return f"\r\n--{boundary}--\r\n".encode("latin-1")


def multipart_length(boundary: str, content_type: str | None, parts: Sequence[ByteRange], length: int) -> int:
    """The Content-Length of the whole multipart body."""
    heads = sum(len(multipart_head(boundary, content_type, part, length)) + len(part) for part in parts)
    return heads + len(multipart_end(boundary))


_SPECIFIER = re.compile(r"[bB][yY][tT][eE][sS]=(.*)", re.DOTALL)
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


def _part(spec: str, length: int) -> ByteRange | None:
    """One range clipped to `length`, empty if it lies outside; None when it is malformed."""
    match = _SPEC.fullmatch(spec)
    if match is None or spec == "-":
        return None
    first, last = match[1], match[2]
    if not first:
        return ByteRange(max(0, length - _number(last)), length)
    start = _number(first)
    if not last:
        return ByteRange(min(start, length), length)
    stop = _number(last) + 1
    return ByteRange(min(start, length), min(stop, length)) if start < stop else None


def _number(digits: str) -> int:
    """The number, or one beyond any length: int() refuses to read thousands of digits."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= 18 else 10**18


def _is_suffix(spec: str) -> bool:
    return spec.startswith("-") and spec.strip("-0") != ""


def _overlapping(parts: Sequence[ByteRange]) -> bool:
    ordered = sorted(parts, key=lambda part: part.start)
    return any(later.start < earlier.stop for earlier, later in pairwise(ordered))
