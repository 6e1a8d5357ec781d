"""cache.heuristic and cache.network_timeout_limit: the application is asked less, and nobody gets what is another's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.edge import EdgeUnderTest, Received, edge_before
from tests.origin import ScriptedOrigin, reply, when

ANNA = {"Cookie": "session=anna"}


def routes(strategy: str = "network-first", **settings: Any) -> list[dict[str, Any]]:
    api = {"name": "api", "match": "/api/**", "strategy": strategy, **settings}
    return [api, {"name": "rest", "match": "/**", "strategy": strategy, **settings}]


def is_hit(answer: Received) -> bool:
    return answer.cache_status.startswith("cachewire; hit")


async def asked_again(
    edge: EdgeUnderTest, origin: ScriptedOrigin, *, after: float = 0.0, headers: dict[str, str] | None = None
) -> bool:
    """Whether the second of two requests, so many seconds apart, reached the application."""
    await edge.get("/api/a", headers or {})
    before = origin.count("/api/a")
    edge.clock.advance(after)
    await edge.get("/api/a", headers or {})
    return origin.count("/api/a") > before


class TestHeuristic:
    async def test_off_by_default_the_application_is_always_asked(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"a"))
        async with edge_before(origin, routes=routes()) as edge:
            assert await asked_again(edge, origin)

    async def test_what_says_nothing_of_its_lifetime_answers_for_so_long_and_says_why(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9111 section 4.2.2."""
        origin.on("/api/a", reply(body=b"a"))
        async with edge_before(origin, routes=routes(), cache={"heuristic": "10s"}) as edge:
            await edge.get("/api/a")
            edge.clock.advance(9)
            answer = await edge.get("/api/a")
            assert is_hit(answer)
            assert "ttl=1" in answer.cache_status
            assert "assumed-fresh" in answer.cache_status
            edge.clock.advance(1)
            assert not is_hit(await edge.get("/api/a"))

    @pytest.mark.parametrize(
        "said",
        [
            {"Cache-Control": "no-cache"},
            {"Cache-Control": 'no-cache="x"'},
            {"Cache-Control": "private"},
            {"Cache-Control": "must-revalidate"},
            {"Cache-Control": "proxy-revalidate"},
            {"Cache-Control": "max-age=0"},
            {"Cache-Control": "no-store"},
            {"Expires": "0"},
            {"Pragma": "no-cache"},
            {"Vary": "*"},
            {"Cache-Control": "public", "Set-Cookie": "a=1"},
        ],
    )
    async def test_nothing_is_assumed_beside_what_the_application_says(
        self, origin: ScriptedOrigin, said: dict[str, str]
    ) -> None:
        origin.on("/api/a", reply(body=b"a", headers=said))
        async with edge_before(origin, routes=routes(), cache={"heuristic": "10s"}) as edge:
            assert await asked_again(edge, origin)

    @pytest.mark.parametrize("status", [404, 410, 301, 501])
    async def test_nothing_is_assumed_of_anything_but_a_200(self, origin: ScriptedOrigin, status: int) -> None:
        origin.on("/api/a", reply(status, body=b"a"))
        async with edge_before(origin, routes=routes(), cache={"heuristic": "10s"}) as edge:
            assert await asked_again(edge, origin)

    @pytest.mark.parametrize("strategy", ["stale-while-revalidate", "network-only"])
    async def test_other_strategies_have_lifetimes_of_their_own(self, origin: ScriptedOrigin, strategy: str) -> None:
        origin.on("/api/a", reply(body=b"a"))
        async with edge_before(origin, routes=routes(strategy), cache={"heuristic": "10s"}) as edge:
            await edge.get("/api/a")
            await edge.get("/api/a")
            await edge.background_done()
            assert origin.count("/api/a") == 2

    async def test_one_users_own_copy_is_always_asked_for(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"a"))
        async with edge_before(origin, routes=routes(credentials="partition"), cache={"heuristic": "10s"}) as edge:
            assert await asked_again(edge, origin, headers=ANNA)
            assert not await asked_again(edge, origin)

    async def test_whoever_writes_sees_what_was_written_anywhere_on_the_route(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"a"))
        origin.on("/api/a/comments", reply(201))
        async with edge_before(origin, routes=routes(), cache={"heuristic": "10s"}) as edge:
            assert not await asked_again(edge, origin)
            edge.clock.advance(1)
            await edge.ask("POST", "/api/a/comments", body=b"new")
            assert not is_hit(await edge.get("/api/a"))
            edge.clock.advance(1)
            await edge.get("/api/a")
            assert is_hit(await edge.get("/api/a")), "what was asked for after the write may be assumed fresh again"

    async def test_a_write_that_failed_or_was_elsewhere_changes_nothing(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"a"))
        origin.on("/api/b", reply(500))
        origin.on("/elsewhere", reply(201))
        async with edge_before(origin, routes=routes(), cache={"heuristic": "10s"}) as edge:
            await edge.get("/api/a")
            await edge.ask("POST", "/api/b", body=b"new")
            await edge.ask("POST", "/elsewhere", body=b"new")
            assert is_hit(await edge.get("/api/a"))

    async def test_a_reload_is_honoured(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"a"))
        async with edge_before(origin, routes=routes(), cache={"heuristic": "10s"}) as edge:
            assert await asked_again(edge, origin, headers={"Cache-Control": "no-cache"})

    async def test_switched_on_while_running_it_holds_for_what_is_stored_already(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"a"))
        async with edge_before(origin, routes=routes()) as edge:
            await edge.get("/api/a")
            tuning = edge.app.control_room.tuning
            tuning.set("cache.heuristic", "10s", keep=False, by="anna")
            assert is_hit(await edge.get("/api/a"))
            tuning.reset("cache.heuristic", by="anna")
            assert not is_hit(await edge.get("/api/a"))


class TestNetworkTimeoutLimit:
    async def test_a_stored_response_answers_earlier_than_its_route_would_let_it(self, origin: ScriptedOrigin) -> None:
        gate = asyncio.Event()
        origin.on("/api/a", reply(body=b"one"), when(gate, reply(body=b"late")))
        settings = {"network_timeout": "1h"}
        async with edge_before(origin, routes=routes(**settings), cache={"network_timeout_limit": "50ms"}) as edge:
            await edge.get("/api/a")
            answer = await edge.get("/api/a")
            assert answer.body == b"one"
            assert "stale: origin-timeout" in answer.cache_status
            gate.set()
            await edge.background_done()
            await origin.stop()
            assert (await edge.get("/api/a")).body == b"late"

    async def test_it_holds_where_the_route_would_wait_for_ever(self, origin: ScriptedOrigin) -> None:
        origin.on("/api/a", reply(body=b"one"), when(asyncio.Event()))
        async with edge_before(origin, routes=routes(), cache={"network_timeout_limit": "50ms"}) as edge:
            await edge.get("/api/a")
            assert (await edge.get("/api/a")).body == b"one"

    async def test_one_users_own_copy_keeps_the_patience_of_its_route(self, origin: ScriptedOrigin) -> None:
        gate = asyncio.Event()
        origin.on("/api/a", reply(body=b"one"), when(gate, reply(body=b"two")))
        cache = {"network_timeout_limit": "20ms"}
        async with edge_before(origin, routes=routes(credentials="partition"), cache=cache) as edge:
            await edge.get("/api/a", ANNA)
            asking = asyncio.ensure_future(edge.get("/api/a", ANNA))
            await asyncio.sleep(0.1)  # five times the limit: it does not apply
            gate.set()
            assert (await asking).body == b"two"
