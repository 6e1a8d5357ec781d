"""From an answer to bytes on the client's connection: preconditions, ranges, framing, back-pressure."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from aiohttp import web

from proxy.answer import Answer
from proxy.connection import ClientConnection
from proxy.errors import BodyIncomplete, OriginProtocolError
from proxy.heads import Ended, HeadResponse, head_bytes
from proxy.outcome import Outcome
from proxy.policy.cache_status import cache_status
from proxy.policy.dates import parse_date
from proxy.policy.forwarding import to_client
from proxy.policy.freshness import age
from proxy.policy.matching import is_private
from proxy.policy.messages import Fields, Request
from proxy.policy.ranges import (
    ByteRange,
    Unsatisfiable,
    content_range,
    multipart_end,
    multipart_head,
    multipart_length,
    parse_range,
    range_applies,
)
from proxy.policy.request_id import REQUEST_ID
from proxy.policy.structured import is_list
from proxy.policy.validation import not_modified, not_modified_fields

PART = 64 * 2**10
"""Bytes written at a time: a client that takes so many within the write timeout is not stalled."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What part of an answer leaves, and how: `ranges` is empty for the whole body."""

    status: int
    reason: str
    fields: Fields
    length: int | None
    ranges: tuple[ByteRange, ...] = ()
    boundary: str = ""
    bodiless: bool = False


def shaped(request: Request, answer: Answer) -> Shape:
    """Apply the client's preconditions and ranges to a whole response (RFC 9110 sections 13 and 14)."""
    fields = answer.fields.without("Content-Length")
    if request.method == "QUERY":
        # Its preconditions are those of GET; ranges it has none.
        request = replace(request, method="GET", fields=request.fields.without("Range"))
    if answer.stored is not None and not_modified(
        request, answer.fields, status=answer.status, received=answer.stored.response_time
    ):
        return Shape(304, "Not Modified", not_modified_fields(fields), None, bodiless=True)
    shape = Shape(answer.status, answer.reason, fields, answer.length)
    if answer.whole and request.method == "GET" and answer.length is not None and "Range" in request.fields:
        shape = _ranged(request, answer, shape)
    if request.method == "HEAD" or answer.status in (204, 304) or shape.status in (204, 304):
        declared = answer.fields.first("Content-Length")
        length = answer.length if answer.whole else None
        if length is None and declared is not None and declared.isdigit() and answer.status != 204:
            length = int(declared)
        return Shape(shape.status, shape.reason, shape.fields, length, bodiless=True)
    return shape


def _ranged(request: Request, answer: Answer, shape: Shape) -> Shape:
    assert answer.length is not None
    date = None if (text := answer.fields.first("Date")) is None else parse_date(text)
    if answer.status != 200 or not range_applies(request, answer.fields, date):
        return shape
    ranges = parse_range(request.fields.combined("Range") or "", answer.length)
    if ranges is None:
        return shape
    if isinstance(ranges, Unsatisfiable):
        unsatisfied = shape.fields.without("Content-Type", "ETag", "Last-Modified", "Content-Encoding").plus(
            ("Content-Range", content_range(None, answer.length))
        )
        return Shape(416, "Range Not Satisfiable", unsatisfied, 0, bodiless=True)
    if len(ranges) == 1:
        fields = shape.fields.plus(("Content-Range", content_range(ranges[0], answer.length)))
        return Shape(206, "Partial Content", fields, ranges[0].stop - ranges[0].start, ranges)
    boundary = secrets.token_hex(12)
    kind = answer.fields.first("Content-Type")
    fields = shape.fields.replacing(("Content-Type", f"multipart/byteranges; boundary={boundary}"))
    length = multipart_length(boundary, kind, ranges, answer.length)
    return Shape(206, "Partial Content", fields, length, ranges, boundary)


def parts(answer: Answer, shape: Shape) -> AsyncIterator[bytes]:
    """The bytes of the body as they will be on the wire, before transfer coding."""
    if not shape.ranges:
        return answer.body.chunks()
    if not shape.boundary:
        return _chunks_of(answer, shape.ranges[0])
    return _multipart(answer, shape.ranges, shape.boundary)


async def _multipart(answer: Answer, ranges: Sequence[ByteRange], boundary: str) -> AsyncIterator[bytes]:
    assert answer.length is not None
    kind = answer.fields.first("Content-Type")
    for one in ranges:
        yield multipart_head(boundary, kind, one, answer.length)
        async for chunk in _chunks_of(answer, one):
            yield chunk
    yield multipart_end(boundary)


def _chunks_of(answer: Answer, one: ByteRange) -> AsyncIterator[bytes]:
    return answer.body.chunks(one.start - answer.offset, one.stop - answer.offset)


def finished_fields(answer: Answer, shape: Shape, now: float, detail: str, request_id: str) -> Fields:
    """The fields the client gets: end-to-end ones, Via, Age of what was stored, Cache-Status, the request's own id."""
    fields = to_client(shape.fields, "cachewire").without("Content-Length", "Cache-Status", REQUEST_ID)
    if answer.stored is not None and (answer.verdict in ("hit", "stale", "revalidated") or "Age" in fields):
        fields = fields.replacing(("Age", str(int(age(answer.stored, now)))))
    status = cache_status(
        hit=answer.hit,
        fwd=None if answer.hit else answer.fwd,
        fwd_status=answer.fwd_status,
        ttl=answer.ttl,
        stored=answer.kept,
        collapsed=answer.collapsed,
        key=answer.key if answer.key is not None and _may_be_shown(answer.key) else None,
        detail=detail,
        existing=", ".join(lines) if is_list(lines := answer.fields.all("Cache-Status")) else None,
    )
    return fields.plus(("Cache-Status", status), (REQUEST_ID, request_id))


def _may_be_shown(key: str) -> bool:
    """Keys of one user's copies, or with cookies in them, stay in the house; long ones would only be a burden."""
    return len(key) <= 256 and not is_private(key) and " cookies=" not in key


async def deliver(
    http: web.BaseRequest, request: Request, answer: Answer, outcome: Outcome, *, now: float, write_timeout: float
) -> web.StreamResponse:
    """Send an answer. A body that breaks off closes the connection, so that nobody takes it for whole."""
    shape = shaped(request, answer)
    if answer.verdict != "stale":
        detail = answer.why
    else:
        # What is fresh may stand in, too, where the client asked for something newer.
        detail = f"stale: {answer.why}" if (answer.ttl or 0) <= 0 else f"instead: {answer.why}"
    fields = finished_fields(answer, shape, now, detail, outcome.request_id)
    http_1_0 = http.version < (1, 1)
    chunked = shape.length is None and not shape.bodiless and not http_1_0
    keep_alive = http.keep_alive and (shape.length is not None or shape.bodiless or chunked)
    head = head_bytes(
        shape.status,
        shape.reason,
        fields,
        shape.length if shape.status != 204 else None,
        keep_alive=keep_alive,
        chunked=chunked,
        http_1_0=http_1_0,
    )
    outcome.status = shape.status
    response = HeadResponse(
        shape.status, head, length=None if shape.bodiless else shape.length, chunked=chunked, keep_alive=keep_alive
    )
    await response.prepare(http)
    outcome.first_byte = time.perf_counter() - outcome.begun
    if shape.bodiless:
        return response
    try:
        with watched(http):
            async for chunk in parts(answer, shape):
                await _write(response, chunk, outcome, write_timeout)
    except BodyIncomplete as error:
        if http.writer.output_size == 0:
            outcome.first_byte = None
            raise OriginProtocolError(str(error)) from error  # nothing has left: there is still a clear answer
        outcome.complete, outcome.reason = False, error.reason
        # What did arrive is sent; that the end is missing must show, which by mere closing it would not here.
        _end(http, abruptly=not chunked and shape.length is None)
        return Ended()
    except (TimeoutError, ConnectionError):
        outcome.complete, outcome.reason = False, "client-left"
        _end(http, abruptly=True)
        return Ended()
    return response


def _end(http: web.BaseRequest, *, abruptly: bool) -> None:
    if http.transport is not None:
        if abruptly:
            http.transport.abort()
        else:
            http.transport.close()


def watched(http: web.BaseRequest) -> AbstractContextManager[None]:
    """While inside, a client that leaves ends the work for it with ConnectionResetError."""
    assert isinstance(http.protocol, ClientConnection)
    return http.protocol.watched()


async def _write(response: web.StreamResponse, chunk: bytes, outcome: Outcome, timeout: float) -> None:
    view = memoryview(chunk)
    for start in range(0, len(chunk), PART):
        part = view[start : start + PART] if len(chunk) > PART else chunk
        async with asyncio.timeout(timeout):
            await response.write(part)
        outcome.bytes_out += len(part)
