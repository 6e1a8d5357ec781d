"""The edge's member of Cache-Status: what the cache did with a request, for whoever reads the answer (RFC 9211)."""

from __future__ import annotations

import re

CACHE = "cachewire"
"""The name under which the edge speaks in Cache-Status."""

_LARGEST_INTEGER = 999_999_999_999_999


def cache_status(
    *,
    hit: bool = False,
    fwd: str | None = None,
    fwd_status: int | None = None,
    ttl: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    key: str | None = None,
    detail: str | None = None,
    existing: str | None = None,
) -> str:
    """The value of Cache-Status: `existing`, which caches nearer the origin said, then the edge's own member.

    `fwd` is why the request went forward (`uri-miss`, `stale`, ...); `ttl` seconds of freshness left, negative
    when stale; `key` and `detail` any text. Raises ValueError for a `fwd` that is no token, or beside `hit`,
    which RFC 9211 section 2.2 excludes.
    """
    if fwd is not None and (hit or not _TOKEN.fullmatch(fwd)):
        raise ValueError(f"fwd={fwd!r} is wrong here; give a token such as uri-miss, and only without hit")
    parameters = [
        ("hit", "" if hit else None),
        ("fwd", fwd),
        # Section 2.3 gives it a meaning beside fwd only.
        ("fwd-status", None if fwd_status is None or fwd is None else _integer(fwd_status)),
        ("ttl", None if ttl is None else _integer(ttl)),
        ("stored", "" if stored else None),
        ("collapsed", "" if collapsed else None),
        ("key", None if key is None else _string(key)),
        ("detail", None if detail is None else _string(detail)),
    ]
    member = CACHE + "".join(f"; {name}={v}" if v else f"; {name}" for name, v in parameters if v is not None)
    return f"{existing}, {member}" if existing else member


_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")


def _integer(number: int) -> str:
    """An sf-integer, which has at most fifteen digits (RFC 8941 section 3.3.1)."""
    return str(max(-_LARGEST_INTEGER, min(number, _LARGEST_INTEGER)))


def _string(text: str) -> str:
    """An sf-string (RFC 8941 section 3.3.3); what it cannot hold is percent-encoded as UTF-8."""
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return '"' + re.sub(r"[^\x20-\x7e]", _percent_encoded, escaped) + '"'


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))
