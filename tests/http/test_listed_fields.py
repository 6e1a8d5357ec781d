"""Fields that `no-cache` or `private` list are for the one who asked: they reach that one, and nobody after."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge import CACHE_FIRST, NETWORK_FIRST, edge_before
from tests.origin import ScriptedOrigin, reply, when

LISTS = ['no-cache="Set-Cookie", max-age=60', 'public, private="Set-Cookie", max-age=60']


@pytest.mark.parametrize("routes", [CACHE_FIRST, NETWORK_FIRST], ids=["cache-first", "network-first"])
@pytest.mark.parametrize("control", LISTS)
async def test_the_one_who_asked_gets_the_cookie_that_the_store_must_not_replay(
    origin: ScriptedOrigin, control: str, routes: list[dict[str, str]]
) -> None:
    """RFC 9111 section 5.2.2.4, RFC 9111 section 5.2.2.7."""
    origin.on("/login", reply(body=b"in", headers=[("Cache-Control", control), ("Set-Cookie", "sid=1")]))
    async with edge_before(origin, routes=routes) as edge:
        assert (await edge.get("/login"))["Set-Cookie"] == "sid=1"
        again = await edge.get("/login")
        if again.cache_status.startswith("cachewire; hit"):
            assert "Set-Cookie" not in again


async def test_those_who_waited_for_the_same_answer_do_not_get_the_cookie(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 5.2.2.4."""
    gate = asyncio.Event()
    origin.on("/a", when(gate, reply(headers=[("Cache-Control", LISTS[0]), ("Set-Cookie", "sid=1")])))
    async with edge_before(origin) as edge:
        first = asyncio.ensure_future(edge.get("/a"))
        await origin.until_asked("/a")
        second = asyncio.ensure_future(edge.get("/a"))
        while edge.app.ledger.in_flight < 2:
            await asyncio.sleep(0)
        gate.set()
        assert (await first)["Set-Cookie"] == "sid=1"
        assert "Set-Cookie" not in await second
        assert origin.count("/a") == 1
