"""Interim responses pass through in order, are never stored, and leave nothing behind (RFC 9110 section 15.2)."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, interim, reply, steps, tell, when

HINTS = interim(103, {"Link": "</a.css>; rel=preload", "X-Hint": "1"})
FRESH = {"Cache-Control": "max-age=60"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_102_and_103_reach_the_client_in_order(origin: ScriptedOrigin, method: str) -> None:
    """RFC 8297 section 2, RFC 9110 section 15.2."""
    origin.on("/a", steps(interim(102), HINTS, HINTS, reply(200, b"done", FRESH)))
    async with edge_before(origin) as edge:
        answer = await edge.ask(method, "/a", body=b"x" if method == "POST" else None)
        assert [status for status, _ in answer.interim] == [102, 103, 103]
        assert ("Link", "</a.css>; rel=preload") in answer.interim[1][1]


async def test_an_interim_response_is_passed_on_before_the_final_one_is_there(origin: ScriptedOrigin) -> None:
    """RFC 8297 section 2."""
    gate = asyncio.Event()
    origin.on("/a", steps(HINTS, when(gate), reply(200, b"done", FRESH)))
    async with edge_before(origin) as edge:
        client = await edge.connect()
        await client.send(edge.request("GET", "/a"))
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 103 ")
        gate.set()
        assert (await client.receive()).body == b"done"
        await client.close()


async def test_interim_fields_neither_stick_to_the_final_response_nor_to_what_is_stored(origin: ScriptedOrigin) -> None:
    """RFC 8297 section 2, RFC 9111 section 3."""
    origin.on("/a", steps(HINTS, reply(200, b"done", FRESH)))
    async with edge_before(origin) as edge:
        assert "X-Hint" not in await edge.get("/a")
        hit = await edge.get("/a")
        assert hit.cache_status.startswith("cachewire; hit")
        assert hit.interim == []
        assert "X-Hint" not in hit


async def test_those_who_wait_for_the_same_fetch_hear_it_too(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 15.2."""
    gate, hinted = asyncio.Event(), asyncio.Event()
    origin.on("/a", steps(HINTS, tell(hinted), when(gate), reply(200, b"done", FRESH)))
    async with edge_before(origin) as edge:
        first = asyncio.ensure_future(edge.get("/a"))
        await hinted.wait()
        second = asyncio.ensure_future(edge.get("/a"))
        while edge.app.ledger.in_flight < 2:
            await asyncio.sleep(0)
        gate.set()
        assert [status for status, _ in (await first).interim] == [103]
        assert [status for status, _ in (await second).interim] == [103]


async def test_a_client_that_got_a_stale_answer_hears_no_late_hints(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 15.2."""
    gate = asyncio.Event()
    origin.on("/a", reply(200, b"one"), steps(when(gate), HINTS, reply(200, b"two")))
    routes = [{"name": "all", "match": "/**", "strategy": "network-first", "network_timeout": "50ms"}]
    async with edge_before(origin, routes=routes) as edge:
        await edge.get("/a")
        client = await edge.connect()
        await client.send(edge.request("GET", "/a"))
        assert (await client.receive()).body == b"one"
        gate.set()
        await edge.background_done()
        await client.send(edge.request("GET", "/b"))
        assert (await client.receive()).interim == []
        await client.close()


async def test_an_http_1_0_client_hears_none(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 15.2."""
    origin.on("/a", steps(HINTS, reply(200, b"done")))
    async with edge_before(origin) as edge:
        client = await edge.connect()
        await client.send(b"GET /a HTTP/1.0\r\nHost: a\r\n\r\n")
        assert (await client.receive()).interim == []
        await client.close()
