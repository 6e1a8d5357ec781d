"""How this application answers: representations with validators, compressed when asked, in ranges when asked."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

from aiohttp import web

COMPRESSED_FROM = 512
"""Bytes below which compression costs more than it saves."""


def edition_of(*paths: Path) -> str:
    """A short name for the content of these files, to tell one edition of them from the next."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


EDITION = edition_of(*Path(__file__).parent.glob("*.py"), *Path(__file__).parent.glob("page/*.html"))
"""Part of every entity tag: a cache that outlives this process must not have what older code rendered confirmed."""


def weak_tag(*parts: str) -> str:
    """An entity tag for something whose bytes may differ by encoding but never by meaning."""
    return f'W/"{"-".join((EDITION, *parts))}"'


def fingerprint(document: object) -> str:
    """A short name for the content of a document, for when there is no revision to go by."""
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:12]


def strong_tag(body: bytes) -> str:
    """An entity tag for exactly these bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'


def is_unchanged(request: web.Request, tag: str) -> bool:
    """Whether If-None-Match names `tag`, by weak comparison (RFC 9110 section 13.1.2)."""
    value = ",".join(request.headers.getall("If-None-Match", ()))
    return value.strip() == "*" or tag.removeprefix("W/") in re.findall(r'(?:W/)?("[^"]*")', value)


def not_modified(headers: Mapping[str, str]) -> web.Response:
    """A 304 with the fields a 200 would have had (RFC 9110 section 15.4.5)."""
    return web.Response(status=304, headers=headers)


def varied(headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """`headers` plus the Vary that every compressible representation needs, also on its 304."""
    return {**(headers or {}), "Vary": "Accept-Encoding"}


def json_answer(
    request: web.Request, document: object, headers: Mapping[str, str] | None = None, *, status: int = 200
) -> web.Response:
    """`document` as JSON, gzipped when the client accepts that."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text_answer(request, text, "application/json", headers, status=status)


def text_answer(
    request: web.Request,
    text: str,
    content_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    status: int = 200,
) -> web.Response:
    """Text, gzipped when the client accepts that and it is worth the while."""
    body = text.encode()
    fields = varied(headers)
    if len(body) >= COMPRESSED_FROM and accepts_gzip(request.headers.get("Accept-Encoding", "")):
        fields["Content-Encoding"] = "gzip"
        body = gzip.compress(body, 6, mtime=0)
    return web.Response(status=status, body=body, content_type=content_type, charset="utf-8", headers=fields)


def accepts_gzip(value: str) -> bool:
    """Whether an Accept-Encoding field value accepts gzip (RFC 9110 section 12.5.3)."""
    quality: dict[str, bool] = {}
    for member in value.split(","):
        coding, _, weight = member.partition(";")
        quality[coding.strip().lower()] = not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight, re.IGNORECASE)
    return quality.get("gzip", quality.get("*", False))


def file_answer(
    request: web.Request, body: bytes, content_type: str, modified: datetime, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A file with both validators, conditional and byte-range requests (RFC 9110 sections 13 and 14)."""
    tag = strong_tag(body)
    fields = {
        **(headers or {}),
        "ETag": tag,
        "Last-Modified": format_datetime(modified, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    if "If-None-Match" in request.headers:
        if is_unchanged(request, tag):
            return not_modified(fields)
    elif _not_modified_since(request, modified):
        return not_modified(fields)
    span = _byte_range(request, len(body), tag, modified)
    if span is None:
        return web.Response(body=body, content_type=content_type, headers=fields)
    if not span:
        fields["Content-Range"] = f"bytes */{len(body)}"
        return web.Response(status=416, headers=fields)
    fields["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(body)}"
    return web.Response(status=206, body=body[span.start : span.stop], content_type=content_type, headers=fields)


def _not_modified_since(request: web.Request, modified: datetime) -> bool:
    since = _date(request.headers.get("If-Modified-Since"))
    return since is not None and modified <= since


def _byte_range(request: web.Request, length: int, tag: str, modified: datetime) -> range | None:
    """The one satisfiable byte range asked for; empty when it cannot be satisfied; None to send everything.

    Several ranges at once and malformed ones are ignored, as RFC 9110 section 14.2 allows.
    """
    condition = request.headers.get("If-Range")
    # Strong comparison for tags, an exact match for dates: RFC 9110 section 13.1.5.
    if condition is not None and condition != tag and _date(condition) != modified:
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""), re.ASCII)
    if request.method != "GET" or match is None or not any(match.groups()) or max(map(len, match.groups())) > 18:
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, length - int(last)), length)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(length, int(last) + 1) if last else length)


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
