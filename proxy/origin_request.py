"""A request on its way to the origin, and the bytes of its head."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache

from proxy.errors import RequestRefused
from proxy.policy.messages import Fields

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""The methods that may be repeated after a broken connection (RFC 9110 section 9.2.2)."""

_ANTICIPATE_CONTENT = frozenset({"POST", "PUT", "PATCH"})
_OURS = frozenset({"connection", "keep-alive", "proxy-connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """A request ready to be sent: `fields` hold Host and every end-to-end field already.

    `target` goes out exactly as it is. A `body` without a `length` is sent chunked. The iterator stays its
    maker's to close: it may be left before its end when the origin answers early.
    """

    method: str
    target: str
    fields: Fields
    body: AsyncIterator[bytes] | None = None
    length: int | None = None


def request_head(request: OriginRequest, *, upgrade: bool = False) -> bytes:
    """The bytes of the request line and field section.

    Framing and Connection belong to one hop (RFC 9112 section 6, RFC 9110 section 7.6.1): they are written here
    from `body` and `length`, and dropped where `fields` bring their own. Raises RequestRefused when a part
    cannot be written without changing what the origin would read.
    """
    if not _is_token(request.method):
        raise _refused("the method is not a token")
    if _TARGET.fullmatch(request.target) is None:
        raise _refused("the target holds whitespace or a control character, or is empty")
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    for name, value in request.fields:
        if _passes(name):
            lines.append(f"{name}: {value}")
    lines.extend(_hop_lines(request, upgrade))
    return _encode(lines)


def expects_continue(request: OriginRequest) -> bool:
    """Whether the client waits for a 100 before it sends its body (RFC 9110 section 10.1.1)."""
    return request.body is not None and any(m.lower() == "100-continue" for m in request.fields.members("Expect"))


_TARGET = re.compile(r"[!-~\x80-\xff]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@lru_cache(maxsize=1024)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _passes(name: str) -> bool:
    """Whether a field of this name goes out as it is; refuses what is no name."""
    if _TOKEN.fullmatch(name) is None:
        raise _refused(f"the field name {name!r} is not a token")
    return name.lower() not in _OURS


def _hop_lines(request: OriginRequest, upgrade: bool) -> list[str]:
    lines = ["Connection: Upgrade"] if upgrade else []
    if request.body is None:
        # RFC 9110 section 8.6: a method that anticipates content says so when there is none.
        return [*lines, "Content-Length: 0"] if request.method in _ANTICIPATE_CONTENT else lines
    framing = "Transfer-Encoding: chunked" if request.length is None else f"Content-Length: {request.length}"
    return [*lines, framing]


def _encode(lines: list[str]) -> bytes:
    text = "\r\n".join(lines)
    # One count over the whole head finds a line break hidden in any value.
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise _refused("a field value holds CR, LF or NUL")
    try:
        return f"{text}\r\n\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise _refused("a field value or the target is not latin-1") from None


def _refused(detail: str) -> RequestRefused:
    return RequestRefused(400, "unsendable-request", f"this request cannot be sent to the origin: {detail}")
