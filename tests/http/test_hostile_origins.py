"""An origin that lies, stalls or sends garbage: a clear status, nothing wrong stored, memory bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import Script, ScriptedOrigin, chunked, hang_up, head, raw, reply, reset, silence, steps, when

FRESH = {"Cache-Control": "max-age=60"}
CHUNKED = {**FRESH, "Transfer-Encoding": "chunked"}


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    deadlines = {"response_timeout": "300ms", "body_timeout": "200ms", "retries": 0}
    async with edge_before(origin, origin=deadlines) as edge:
        yield edge


NO_HEAD: dict[str, tuple[Script, int]] = {
    "garbage": (raw(b"\x00\x01garbage\r\n\r\n"), 502),
    "HTTP/0.9": (steps(raw(b"<html>hello"), hang_up()), 502),
    "a head that never ends": (raw(b"HTTP/1.1 200 OK\r\nA: b\r\n"), 504),
    "silence": (silence(), 504),
    "a reset": (reset(), 502),
    "closing at once": (hang_up(), 502),
    "both lengths": (raw(head(200, {**CHUNKED, "Content-Length": "3"}), b"3\r\nabc\r\n0\r\n\r\n"), 502),
    "two lengths": (raw(head(200, [("Content-Length", "3"), ("Content-Length", "4")]), b"abcd"), 502),
    "a negative length": (raw(head(200, {"Content-Length": "-1"})), 502),
    "an unknown coding": (raw(head(200, {"Transfer-Encoding": "magic"}), b"abc"), 502),
    "a folded line": (raw(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"), 502),
    "a NUL in a value": (raw(b"HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n"), 502),
    "bare LF": (raw(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"), 502),
    "a huge head": (raw(b"HTTP/1.1 200 OK\r\n" + b"A: " + b"a" * 200_000 + b"\r\n\r\n"), 502),
    "HTTP/2": (raw(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), 502),
    "a status of 99": (raw(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"), 502),
    "Transfer-Encoding in HTTP/1.0": (raw(head(200, CHUNKED, version="1.0"), b"3\r\nabc\r\n0\r\n\r\n"), 502),
    "a 304 nobody asked for": (raw(head(304, {"ETag": '"v1"'})), 502),
    "a switch nobody asked for": (raw(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 502),
}


@pytest.mark.parametrize("case", NO_HEAD)
async def test_without_a_usable_head_the_client_gets_a_problem_document(
    case: str, edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9110 section 15.6.3, RFC 9110 section 15.6.5, RFC 9457 section 3."""
    script, status = NO_HEAD[case]
    origin.on("/a", script)
    answer = await edge.get("/a")
    assert answer.status == status
    assert answer["Content-Type"] == "application/problem+json"
    assert list(edge.app.store.entries()) == []
    outcome = edge.app.ledger.recent(1)[0]
    assert outcome.verdict == "error"
    assert outcome.reason.startswith("origin-")


CUT: dict[str, Script] = {
    "fewer bytes than announced": steps(raw(head(200, {**FRESH, "Content-Length": "100"}), b"abc"), hang_up()),
    "a chunked body without its end": steps(raw(head(200, CHUNKED), b"3\r\nabc\r\n"), hang_up()),
    "a malformed chunk": raw(head(200, CHUNKED), b"3\r\nabc\r\n", b"zz\r\nabc\r\n"),
    "silence in the middle": steps(raw(head(200, {**FRESH, "Content-Length": "100"}), b"abc"), silence()),
}


@pytest.mark.parametrize("case", CUT)
async def test_a_body_that_breaks_off_breaks_off_for_the_client_and_is_never_stored(
    case: str, edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9111 section 3.3, RFC 9112 section 8."""
    origin.on("/a", CUT[case])
    answer = await edge.get("/a")
    assert not answer.complete
    assert answer.body == b"abc"
    await edge.background_done()
    assert list(edge.app.store.entries()) == []
    assert not edge.app.ledger.recent(1)[0].complete


async def test_a_bad_first_chunk_is_never_an_empty_reply(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9112 section 7.1."""
    origin.on("/a", raw(head(200, CHUNKED), b"ZZ\r\n"))
    answer = await edge.get("/a")
    assert answer.status == 502 or not answer.complete
    assert answer.cache_status.startswith("cachewire")


async def test_bytes_beyond_the_announced_length_are_nobodys(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9112 section 6.3, RFC 9112 section 9.2."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    origin.on("/a", raw(head(200, {"Content-Length": "3"}), b"abc" + evil))
    origin.on("/b", reply(body=b"good"))
    assert (await edge.get("/a")).body == b"abc"
    assert (await edge.get("/b")).body == b"good"


async def test_bytes_pushed_on_an_idle_connection_are_nobodys(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9112 section 9.2."""
    pushed = asyncio.Event()
    origin.on("/a", steps(reply(body=b"one"), when(pushed, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))))
    origin.on("/b", reply(body=b"good"))
    assert (await edge.get("/a")).body == b"one"
    pushed.set()
    await origin.until_all_closed()
    assert (await edge.get("/b")).body == b"good"


async def test_a_stored_response_stands_in_for_garbage(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.2.4."""
    origin.on("/a", reply(body=b"good", headers=FRESH), raw(b"garbage\r\n\r\n"))
    async with edge_before(origin) as edge:
        await edge.get("/a")
        edge.clock.advance(61)
        answer = await edge.get("/a")
        assert answer.body == b"good"
        assert 'detail="stale: origin-protocol-error"' in answer.cache_status


async def test_a_vary_bomb_stores_no_more_than_its_bound(origin: ScriptedOrigin) -> None:
    origin.on("/a", reply(headers={**FRESH, "Vary": "X-Bomb"}))
    async with edge_before(origin, cache={"max_variants": 16}) as edge:
        client = await edge.connect()
        for number in range(300):
            await client.send(edge.request("GET", "/a", {"X-Bomb": str(number)}))
            await client.receive()
        await client.close()
        assert len(list(edge.app.store.entries())) == 16


async def test_endless_query_strings_store_no_more_than_their_bound(origin: ScriptedOrigin) -> None:
    origin.default = reply(body=b"x" * 100, headers=FRESH)
    async with edge_before(origin, cache={"max_entries": 50}) as edge:
        client = await edge.connect()
        for number in range(500):
            await client.send(edge.request("GET", f"/a?{number}"))
            await client.receive()
        await client.close()
        stats = edge.app.store.stats()
        assert stats.entries == 50
        assert stats.memory_entries <= 50


async def test_memory_stays_within_its_bound_whatever_is_asked(origin: ScriptedOrigin) -> None:
    origin.default = reply(body=b"x" * 100_000, headers=FRESH)
    async with edge_before(origin, cache={"memory": "1MiB"}) as edge:
        client = await edge.connect()
        for number in range(40):
            await client.send(edge.request("GET", f"/{number}"))
            await client.receive()
        await client.close()
        assert edge.app.store.stats().memory_bytes <= 2**20


async def test_a_body_that_drips_is_passed_on_as_it_drips(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9112 section 7.1."""
    gates = [asyncio.Event() for _ in range(3)]
    origin.on(
        "/a", steps(raw(head(200, CHUNKED)), *(when(gate, raw(b"1\r\nx\r\n")) for gate in gates), raw(chunked([])))
    )
    client = await edge.connect()
    await client.send(edge.request("GET", "/a"))
    await client.reader.readuntil(b"\r\n\r\n")
    for gate in gates:
        gate.set()
        assert await client.reader.readexactly(6) == b"1\r\nx\r\n"
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"
    await client.close()


async def test_a_status_that_does_not_exist_is_passed_on_and_not_stored(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9110 section 15."""
    origin.on("/a", raw(head(777, {**FRESH, "Content-Length": "0"})))
    assert (await edge.get("/a")).status == 777
    assert list(edge.app.store.entries()) == []
