"""What two readers could understand differently is refused, and nobody may keep the edge waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply, silence, when

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

REFUSED = {
    "both lengths": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400),
    "two equal Content-Length": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "a signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "a negative length": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "a coding besides chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a folded line": (GET + b"A: b\r\n c\r\n\r\n", 400),
    "a NUL": (GET + b"A: b\0c\r\n\r\n", 400),
    "a control byte": (GET + b"A: b\x01c\r\n\r\n", 400),
    "a bare CR": (GET + b"A: b\rc\r\n\r\n", 400),
    "bare LF line ends": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "a space before the colon": (GET + b"A : b\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (GET + b"Host: a\r\n\r\n", 400),
    "a Host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a Host with a path": (b"GET / HTTP/1.1\r\nHost: a/evil\r\n\r\n", 400),
    "a Host with userinfo": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "HTTP/2.0 in the request line": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    "a fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TRACE": (b"TRACE / HTTP/1.1\r\nHost: a\r\nCookie: s=1\r\n\r\n", 405),
    "a Host with a comma": (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    "a Host with a parameter": (b"GET / HTTP/1.1\r\nHost: a;for=6.6.6.6\r\n\r\n", 400),
    "a Host of dots": (b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400),
    "a target without an end": (b"GET /" + b"a" * 200_000, 414),
    "another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "a very long target": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "a long field": (GET + b"A: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "a long head": (GET + (b"B: " + b"b" * 7000 + b"\r\n") * 6 + b"\r\n", 431),
    "many fields": (GET + b"A: b\r\n" * 400 + b"\r\n", 431),
    "a body beyond the limit": (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
    "a method of 100 characters": (b"A" * 100 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "an unknown method with both lengths": (
        b"BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400
    ),
    "rubbish": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 rubbish\r\n\r\n", 400),
}  # fmt: skip


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"reached")
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    server = {"head_timeout": "100ms", "body_timeout": "100ms", "write_timeout": "200ms", "max_body": "1MiB"}
    async with edge_before(origin, server=server) as edge:
        yield edge


@pytest.mark.parametrize("case", REFUSED)
async def test_an_ambiguous_or_oversized_request_is_refused_and_the_connection_closed(
    case: str, edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9112 section 6.3, RFC 9112 section 11.2."""
    request, status = REFUSED[case]
    client = await edge.connect()
    await client.send(request)
    answer = await client.receive()
    assert answer.status == status
    assert answer["Connection"] == "close"
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.cache_status.startswith("cachewire")
    assert await client.closed() == b""
    await client.close()
    assert origin.count() == 0


async def test_what_follows_a_refused_request_is_not_taken_for_another(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9112 section 11.2."""
    client = await edge.connect()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (await client.receive()).status == 400
    assert await client.closed() == b""
    await client.close()
    assert origin.count() == 0


async def test_a_head_that_never_ends_is_answered_408(edge: EdgeUnderTest) -> None:
    """RFC 9110 section 15.5.9, RFC 9112 section 9.5."""
    client = await edge.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: ")
    assert (await client.receive()).status == 408
    assert await client.closed() == b""
    await client.close()


async def test_a_body_that_stalls_is_answered_408_and_the_origin_let_go(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9110 section 15.5.9."""
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert (await client.receive()).status == 408
    assert await client.closed() == b""
    await client.close()
    await origin.until_all_closed()


async def test_a_chunked_body_with_bad_framing_in_a_later_segment_is_refused(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9112 section 7.1."""
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await origin.until_asked("/")
    await client.send(b"zz\r\nabc\r\n")
    assert (await client.receive()).status == 400
    await client.close()


async def test_a_chunked_body_beyond_the_limit_is_answered_413(edge: EdgeUnderTest) -> None:
    """RFC 9110 section 15.5.14."""
    client = await edge.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(17):
        await client.send(piece)
    assert (await client.receive()).status == 413
    await client.close()


async def test_a_client_that_does_not_read_is_cut_off(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    origin.on("/big", reply(body=b"x" * 30_000_000))
    client = await edge.connect()
    cast("asyncio.Transport", client.writer.transport).pause_reading()
    await client.send(edge.request("GET", "/big"))
    await origin.until_asked("/big")
    async with asyncio.timeout(10):
        while edge.app.ledger.in_flight:
            await asyncio.sleep(0.01)
    client.writer.transport.abort()
    assert not edge.app.ledger.recent(1)[0].complete


async def test_more_connections_than_allowed_are_told_so(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 15.6.4."""
    async with edge_before(origin, server={"max_connections": 2}) as edge:
        held = [await edge.connect() for _ in range(2)]
        for client in held:
            await client.send(edge.request("GET", "/"))
            assert (await client.receive()).status == 200
        one_more = await edge.connect()
        assert (await one_more.receive()).status == 503
        for client in (*held, one_more):
            await client.close()


async def test_a_refused_request_is_counted_with_its_reason(edge: EdgeUnderTest) -> None:
    client = await edge.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    await client.receive()
    await client.close()
    outcome = edge.app.ledger.recent(1)[0]
    assert (outcome.verdict, outcome.status) == ("refused", 400)


async def test_what_the_parser_found_is_told_without_the_bytes_it_found(edge: EdgeUnderTest) -> None:
    client = await edge.connect()
    await client.send(GET + b"Secret-Header : hunter2\r\n\r\n")
    answer = await client.receive()
    await client.close()
    assert b"header token" in answer.body
    assert b"hunter2" not in answer.body
    assert b"b'" not in answer.body


async def test_clients_that_leave_before_an_answer_do_not_hold_the_origins_connections(origin: ScriptedOrigin) -> None:
    origin.on("/slow", silence())
    origin.on("/fine", reply(body=b"fine"))
    async with edge_before(origin.url, origin={"url": origin.url, "max_connections": 2}) as edge:
        for _ in range(5):
            leaver = await edge.connect()
            before = origin.count("/slow")
            await leaver.send(edge.request("GET", "/slow"))
            await origin.until_asked("/slow", before + 1)
            leaver.leave()
            await origin.until(lambda: origin.open_connections == 0)
        assert (await edge.get("/fine")).body == b"fine"


async def test_a_write_is_seen_through_although_its_client_has_left(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.4."""
    gate = asyncio.Event()
    origin.on("/a", reply(body=b"old", headers={"Cache-Control": "max-age=60"}), method="GET")
    origin.on("/a", when(gate, reply(204)), method="POST")
    async with edge_before(origin) as edge:
        await edge.get("/a")
        writer = await edge.connect()
        await writer.send(edge.request("POST", "/a", body=b"x"))
        await origin.until(lambda: len(origin.asked("/a", "POST")) == 1)
        writer.leave()
        gate.set()
        while edge.app.ledger.in_flight:
            await asyncio.sleep(0)
        assert "uri-miss" in (await edge.get("/a")).cache_status
