"""Every strategy, the same rows: miss, fresh, stale, origin down, origin slow."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, etagged, reply, silence, when

MAX_AGE_60 = {"Cache-Control": "max-age=60"}


def route(strategy: str, **settings: Any) -> list[dict[str, Any]]:
    return [{"name": "all", "match": "/**", "strategy": strategy, **settings}]


class TestNetworkFirst:
    async def test_a_miss_asks_the_origin_and_stores(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 3, RFC 9211 section 2.2."""
        origin.on("/a", reply(body=b"one"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            answer = await edge.get("/a")
            assert (answer.status, answer.body) == (200, b"one")
            assert "fwd=uri-miss" in answer.cache_status
            assert "stored" in answer.cache_status
            assert len(list(edge.app.store.entries())) == 1

    async def test_what_the_origin_declared_fresh_is_used_without_asking(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2."""
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            answer = await edge.get("/a")
            assert answer.cache_status.startswith("cachewire; hit")
            assert origin.count("/a") == 1

    async def test_without_declared_freshness_the_newest_answer_wins(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"), reply(body=b"two"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            assert (await edge.get("/a")).body == b"two"

    async def test_a_stored_validator_spares_the_body(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.1."""
        origin.on("/a", etagged('"v1"', b"one"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            answer = await edge.get("/a")
            assert (answer.status, answer.body) == (200, b"one")
            assert "fwd-status=304" in answer.cache_status
            assert origin.asked("/a")[1].header("If-None-Match") == '"v1"'

    async def test_a_dead_origin_is_replaced_by_the_last_good_answer(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.4."""
        origin.on("/a", reply(body=b"one"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            await origin.stop()
            answer = await edge.get("/a")
            assert (answer.status, answer.body) == (200, b"one")
            assert "stale: origin-unreachable" in answer.cache_status

    async def test_a_failing_origin_is_replaced_by_the_last_good_answer(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"), reply(503, b"broken"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            answer = await edge.get("/a")
            assert (answer.status, answer.body) == (200, b"one")
            assert "stale: origin-status-503" in answer.cache_status

    async def test_an_error_outside_fallback_on_is_passed_on(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"), reply(404, b"gone"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            assert (await edge.get("/a")).status == 404

    async def test_with_nothing_stored_the_origins_error_is_passed_on_as_it_is(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(503, b"broken", {"Retry-After": "7"}))
        async with edge_before(origin, routes=route("network-first")) as edge:
            answer = await edge.get("/a")
            assert (answer.status, answer.body, answer["Retry-After"]) == (503, b"broken", "7")

    async def test_with_nothing_stored_a_dead_origin_is_a_problem_document(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 15.6.3, RFC 9457 section 3."""
        await origin.stop()
        async with edge_before(origin, routes=route("network-first")) as edge:
            answer = await edge.get("/a")
            assert answer.status == 502
            assert answer["Content-Type"] == "application/problem+json"
            assert 'detail="origin-unreachable"' in answer.cache_status

    async def test_a_slow_origin_is_replaced_at_network_timeout_and_its_late_answer_still_stored(
        self, origin: ScriptedOrigin
    ) -> None:
        gate = asyncio.Event()
        origin.on("/a", reply(body=b"one"), when(gate, reply(body=b"late")))
        async with edge_before(origin, routes=route("network-first", network_timeout="50ms")) as edge:
            await edge.get("/a")
            answer = await edge.get("/a")
            assert answer.body == b"one"
            assert "stale: origin-timeout" in answer.cache_status
            gate.set()
            await edge.background_done()
            await origin.stop()
            assert (await edge.get("/a")).body == b"late"

    async def test_a_slow_origin_is_waited_for_when_nothing_could_stand_in(self, origin: ScriptedOrigin) -> None:
        gate = asyncio.Event()
        origin.on("/a", when(gate, reply(body=b"late")))
        async with edge_before(origin, routes=route("network-first", network_timeout="20ms")) as edge:
            asking = asyncio.ensure_future(edge.get("/a"))
            await asyncio.sleep(0.1)  # five times the timeout: it does not apply
            gate.set()
            assert (await asking).body == b"late"

    async def test_a_silent_origin_and_nothing_stored_is_504_after_response_timeout(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9110 section 15.6.5, RFC 9457 section 3."""
        origin.on("/a", silence())
        settings = {"url": origin.url, "response_timeout": "100ms"}
        async with edge_before(
            origin.url, routes=route("network-first", network_timeout="20ms"), origin=settings
        ) as edge:
            answer = await edge.get("/a")
            assert answer.status == 504
            assert answer["Content-Type"] == "application/problem+json"

    async def test_a_fallback_older_than_max_age_is_not_used(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"))
        async with edge_before(origin, routes=route("network-first", expiration={"max_age": "1h"})) as edge:
            await edge.get("/a")
            await origin.stop()
            edge.clock.advance(3599)
            assert (await edge.get("/a")).status == 200
            edge.clock.advance(2)
            assert (await edge.get("/a")).status == 502

    async def test_an_origin_that_is_back_answers_again_at_once(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"), reply(body=b"two"))
        async with edge_before(origin, routes=route("network-first")) as edge:
            await edge.get("/a")
            await origin.stop()
            assert (await edge.get("/a")).body == b"one"
            await origin.start()
            assert (await edge.get("/a")).body == b"two"


class TestCacheFirst:
    async def test_a_miss_asks_the_origin_and_stores(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 3, RFC 9211 section 2.3."""
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=route("cache-first")) as edge:
            assert "fwd=uri-miss; fwd-status=200" in (await edge.get("/a")).cache_status
            assert len(list(edge.app.store.entries())) == 1

    async def test_fresh_needs_no_network(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2, RFC 9111 section 5.1, RFC 9211 section 2.4."""
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=route("cache-first")) as edge:
            await edge.get("/a")
            await origin.stop()
            edge.clock.advance(59)
            answer = await edge.get("/a")
            assert answer.cache_status.startswith("cachewire; hit; ttl=1")
            assert answer["Age"] == "59"

    async def test_stale_is_validated(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.4."""
        origin.on("/a", etagged('"v1"', b"one", MAX_AGE_60))
        async with edge_before(origin, routes=route("cache-first")) as edge:
            await edge.get("/a")
            edge.clock.advance(61)
            answer = await edge.get("/a")
            assert (answer.status, answer.body) == (200, b"one")
            assert "fwd=stale; fwd-status=304" in answer.cache_status
            assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")

    async def test_a_lifetime_by_content_type_serves_what_has_none_of_its_own(self, origin: ScriptedOrigin) -> None:
        origin.on("/a.png", reply(body=b"one", headers={"Content-Type": "image/png"}))
        async with edge_before(origin, routes=route("cache-first"), cache={"expiry": {"image/*": "1h"}}) as edge:
            await edge.get("/a.png")
            edge.clock.advance(3599)
            assert (await edge.get("/a.png")).cache_status.startswith("cachewire; hit")
            edge.clock.advance(2)
            assert "fwd=stale" in (await edge.get("/a.png")).cache_status

    async def test_max_age_of_the_route_bounds_what_the_origin_allows(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=route("cache-first", expiration={"max_age": "5s"})) as edge:
            await edge.get("/a")
            edge.clock.advance(4)
            assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")
            edge.clock.advance(2)
            assert not (await edge.get("/a")).cache_status.startswith("cachewire; hit")

    async def test_a_dead_origin_leaves_the_stale_answer(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.4, RFC 5861 section 4."""
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=route("cache-first", stale_if_error="1h")) as edge:
            await edge.get("/a")
            await origin.stop()
            edge.clock.advance(61)
            assert "stale: origin-unreachable" in (await edge.get("/a")).cache_status
            edge.clock.advance(3600)
            assert (await edge.get("/a")).status == 502

    async def test_a_stale_answer_that_must_be_revalidated_is_not_used(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.2.2."""
        origin.on("/a", reply(body=b"one", headers={"Cache-Control": "max-age=60, must-revalidate"}))
        async with edge_before(origin, routes=route("cache-first")) as edge:
            await edge.get("/a")
            await origin.stop()
            edge.clock.advance(61)
            assert (await edge.get("/a")).status == 502

    async def test_a_slow_origin_is_waited_for_without_network_timeout(self, origin: ScriptedOrigin) -> None:
        gate = asyncio.Event()
        origin.on("/a", when(gate, reply(body=b"one", headers=MAX_AGE_60)))
        async with edge_before(origin, routes=route("cache-first")) as edge:
            asking = asyncio.ensure_future(edge.get("/a"))
            await origin.until_asked("/a")
            gate.set()
            assert (await asking).body == b"one"


class TestStaleWhileRevalidate:
    ROUTE = route("stale-while-revalidate", expiration={"max_age": "1h"})

    async def test_a_miss_asks_the_origin_and_stores(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.2."""
        origin.on("/a", reply(body=b"one"))
        async with edge_before(origin, routes=self.ROUTE) as edge:
            assert "fwd=uri-miss" in (await edge.get("/a")).cache_status

    async def test_fresh_needs_no_network(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2."""
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=self.ROUTE) as edge:
            await edge.get("/a")
            assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")
            await edge.background_done()
            assert origin.count("/a") == 1

    async def test_stale_is_answered_at_once_and_refreshed_behind_the_clients_back(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 5861 section 3."""
        gate = asyncio.Event()
        origin.on("/a", reply(body=b"one"), when(gate, reply(body=b"two", headers=MAX_AGE_60)))
        async with edge_before(origin, routes=self.ROUTE) as edge:
            await edge.get("/a")
            edge.clock.advance(10)
            answers = [await edge.get("/a") for _ in range(3)]
            assert [answer.body for answer in answers] == [b"one"] * 3
            assert 'detail="stale: stale-while-revalidate"' in answers[0].cache_status
            gate.set()
            await edge.background_done()
            assert origin.count("/a") == 2
            assert (await edge.get("/a")).body == b"two"

    async def test_older_than_max_age_is_fetched_first(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"), reply(body=b"two"))
        async with edge_before(origin, routes=self.ROUTE) as edge:
            await edge.get("/a")
            edge.clock.advance(3601)
            assert (await edge.get("/a")).body == b"two"

    async def test_a_dead_origin_is_not_noticed_within_max_age(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one"))
        async with edge_before(origin, routes=self.ROUTE) as edge:
            await edge.get("/a")
            await origin.stop()
            edge.clock.advance(60)
            assert (await edge.get("/a")).body == b"one"
            await edge.background_done()


class TestNetworkOnly:
    async def test_nothing_is_ever_stored(self, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
        async with edge_before(origin, routes=route("network-only")) as edge:
            await edge.get("/a")
            answer = await edge.get("/a")
            assert "fwd=bypass" in answer.cache_status
            assert origin.count("/a") == 2
            assert list(edge.app.store.entries()) == []

    async def test_a_dead_origin_is_an_error(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 15.6.3."""
        await origin.stop()
        async with edge_before(origin, routes=route("network-only")) as edge:
            assert (await edge.get("/a")).status == 502


class TestCacheOnly:
    async def test_an_absent_response_is_504_and_the_origin_is_not_asked(self, origin: ScriptedOrigin) -> None:
        async with edge_before(origin, routes=route("cache-only")) as edge:
            answer = await edge.get("/a")
            assert answer.status == 504
            assert 'detail="not-stored"' in answer.cache_status
            assert origin.count() == 0
