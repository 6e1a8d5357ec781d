"""A request's content on its way in: read as it comes, within its deadline and its limit."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Self

from aiohttp import web

from proxy.errors import RequestRefused
from proxy.heads import head_bytes
from proxy.outcome import Outcome
from proxy.policy.forwarding import end_to_end
from proxy.policy.messages import Fields


class Continue:
    """The 100 that a client may wait for: sent once, by the origin or, when content is asked for, by us."""

    def __init__(self, http: web.BaseRequest) -> None:
        self._http = http
        expected = http.headers.get("Expect", "").lower() == "100-continue"
        self._due = expected and http.version >= (1, 1)

    def interim(self, status: int, fields: Fields) -> None:
        """Pass an interim response on to a client that can take it (RFC 9110 section 15.2)."""
        if status == 100:
            self._due = False
        transport = self._http.transport
        if transport is not None and not transport.is_closing() and self._http.version >= (1, 1):
            transport.write(head_bytes(status, "", end_to_end(fields), None, keep_alive=True))

    def wanted(self) -> None:
        """Someone asks for the content now."""
        if self._due:
            self.interim(100, Fields())


class Held:
    """Content that was read whole: it can be told from other content, and sent more than once."""

    MOST = 2**20

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._given = False
        self.length = len(content)
        self.digest = hashlib.sha256(content).hexdigest()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._given = not self._given
        if not self._given or not self._content:
            self._given = False
            raise StopAsyncIteration
        return self._content


async def body_of(
    http: web.BaseRequest, permission: Continue, outcome: Outcome, *, timeout: float, most: int
) -> AsyncIterator[bytes]:
    """The content as the client sends it.

    Raises RequestRefused: 408 after `timeout` seconds of silence, 413 beyond `most` bytes, 400 when its framing
    is broken. Raises ConnectionError when the client leaves before its end.
    """
    permission.wanted()
    content = http.content
    while True:
        try:
            async with asyncio.timeout(timeout):
                chunk = await content.readany()
        except TimeoutError:
            raise RequestRefused(408, "body-timeout", f"no part of the body arrived for {timeout:g} s") from None
        except (RequestRefused, ConnectionError):
            raise
        except Exception as error:
            raise RequestRefused(400, "malformed-body", "the framing of the body is malformed") from error
        if not chunk:
            if content.at_eof():
                return
            continue
        outcome.bytes_in += len(chunk)
        if outcome.bytes_in > most:
            raise RequestRefused(413, "body-too-large", f"a request body may have at most {most} bytes here")
        yield chunk


async def read_up_to(source: AsyncIterator[bytes], most: int) -> tuple[bytes, bool]:
    """The content if it has at most `most` bytes and True, or else its beginning and False."""
    content = bytearray()
    async for chunk in source:
        content += chunk
        if len(content) > most:
            return bytes(content), False
    return bytes(content), True


async def joined(first: bytes, rest: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    """`first`, then `rest`."""
    if first:
        yield first
    if rest is not None:
        async for chunk in rest:
            yield chunk
