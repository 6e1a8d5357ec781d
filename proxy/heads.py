"""What leaves for a client outside of aiohttp's own responses: heads that are exactly the bytes we say.

Beside connection.py, the only file that touches aiohttp's protocol internals.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from proxy.policy.cache_status import cache_status
from proxy.policy.messages import Fields
from proxy.policy.request_id import REQUEST_ID


class HeadResponse(web.StreamResponse):
    """A response whose head is exactly the bytes it is given.

    Body bytes that are there at once leave with it; it does not wait for those that are not.
    `length` is the body's length on the wire, None for one without announced length; `content` how many bytes of
    content stand behind the head already.
    """

    def __init__(
        self, status: int, head: bytes, *, length: int | None, chunked: bool, keep_alive: bool, content: int = 0
    ) -> None:
        super().__init__(status=status)
        self.content = content
        self._head = head
        self._announced = length
        self._chunks = chunked
        self._keep_alive = keep_alive

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._req = request
        writer: Any = request._payload_writer
        self._payload_writer = writer
        writer.chunked = self._chunks
        writer.length = self._announced
        writer._headers_buf = self._head
        writer._headers_written = False
        asyncio.get_running_loop().call_soon(_send_head, writer)
        return writer  # type: ignore[no-any-return]


def _send_head(writer: AbstractStreamWriter) -> None:
    try:
        writer.send_headers()
    except ConnectionError:
        pass  # whoever writes the body will notice that the client has left


class Ended(web.StreamResponse):
    """Stands for an exchange whose bytes have all been written, or never will be; aiohttp then closes."""

    def __init__(self) -> None:
        super().__init__()
        self._keep_alive = False
        self._eof_sent = True


def head_bytes(
    status: int,
    reason: str,
    fields: Fields,
    length: int | None,
    *,
    keep_alive: bool,
    chunked: bool = False,
    http_1_0: bool = False,
) -> bytes:
    """A response head with its framing: `fields` must not bring any of it (RFC 9112 section 6)."""
    lines = [f"HTTP/1.1 {status} {reason or phrase(status)}"]
    lines.extend(f"{name}: {value}" for name, value in fields)
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif length is not None:
        lines.append(f"Content-Length: {length}")
    if not keep_alive:
        lines.append("Connection: close")
    elif http_1_0:
        lines.append("Connection: keep-alive")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1", "replace")


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def problem(
    request: web.BaseRequest,
    status: int,
    reason: str,
    detail: str,
    *,
    close: bool = False,
    fwd: str | None = None,
    request_id: str = "",
) -> HeadResponse:
    """A problem document (RFC 9457) as a whole response; `fwd` says why the origin was asked, if it was."""
    body = problem_body(status, reason, detail, request_id)
    fields = Fields(
        [
            ("Content-Type", "application/problem+json"),
            ("Cache-Control", "no-store"),
            ("Cache-Status", cache_status(fwd=fwd, detail=reason)),
            *([(REQUEST_ID, request_id)] if request_id else ()),
        ]
    )
    keep_alive = not close and request.keep_alive
    head = head_bytes(status, "", fields, len(body), keep_alive=keep_alive)
    content = body if request.method != "HEAD" else b""
    return HeadResponse(status, head + content, length=None, chunked=False, keep_alive=keep_alive, content=len(content))


def problem_body(status: int, reason: str, detail: str, request_id: str = "") -> bytes:
    document = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail, "reason": reason}
    if request_id:
        document["request_id"] = request_id  # an extension member (RFC 9457 section 3.2): what to search the logs for
    return json.dumps(document).encode() + b"\n"
