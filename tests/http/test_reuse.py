"""When what is stored may answer: what the client wishes, why the origin is asked instead, and stale use."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.edge import CACHE_FIRST, NETWORK_FIRST, EdgeUnderTest, Received, edge_before
from tests.origin import ScriptedOrigin, etagged, hang_up, head, raw, reply, reset, steps, when

MINUTE = {"Cache-Control": "max-age=60"}
FAILURES = ["away", "503", "rubbish", "reset"]
AT_ONCE = {"retries": 0}
STRICT = [
    "max-age=60, proxy-revalidate",
    "max-age=60, must-revalidate",
    "max-age=60, must-revalidate, stale-if-error=600",
    "max-age=60, no-cache",
    "no-cache",
    "s-maxage=60",
    "s-maxage=60, stale-if-error=600, stale-while-revalidate=600",
]


def said(answer: Received) -> list[str]:
    """The parameters of the edge's member of Cache-Status."""
    name, *parameters = answer.cache_status.split("; ")
    assert name == "cachewire"
    return parameters


def is_hit(answer: Received) -> bool:
    return "hit" in said(answer)


async def fail(origin: ScriptedOrigin, how: str, target: str = "/a") -> None:
    """Let the origin fail whatever it is asked from now on."""
    if how == "away":
        await origin.stop()
    else:
        origin.on(target, {"503": reply(503, b"down"), "rubbish": raw(b"rubbish\r\n\r\n"), "reset": reset()}[how])


async def stored(edge: EdgeUnderTest, origin: ScriptedOrigin, cache_control: str, *, old: float = 0) -> None:
    """Have `/a` stored with the body "one" for `old` seconds; a new answer would have the body "two"."""
    origin.on("/a", reply(body=b"one", headers={"Cache-Control": cache_control}), reply(body=b"two", headers=MINUTE))
    await edge.get("/a")
    edge.clock.advance(old)


class TestOnlyIfCached:
    async def test_nothing_stored_is_504_without_a_word_to_the_origin(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.1.7."""
        origin.on("/a", reply(headers=MINUTE))
        async with edge_before(origin) as edge:
            assert (await edge.get("/a", {"Cache-Control": "only-if-cached"})).status == 504
            assert (await edge.ask("HEAD", "/a", {"Cache-Control": "only-if-cached"})).status == 504
            assert origin.count() == 0

    async def test_what_is_stored_and_fresh_answers(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.1.7."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=59)
            answer = await edge.get("/a", {"Cache-Control": "only-if-cached"})
            assert (answer.status, answer.body, is_hit(answer)) == (200, b"one", True)

    async def test_what_is_stale_answers_only_with_max_stale(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.1.7: "consistent with the other constraints of the request"."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=70)
            assert (await edge.get("/a", {"Cache-Control": "only-if-cached"})).status == 504
            assert (await edge.get("/a", {"Cache-Control": "only-if-cached, max-stale=5"})).status == 504
            assert (await edge.get("/a", {"Cache-Control": "only-if-cached, max-stale=20"})).body == b"one"
            assert origin.count() == 1

    async def test_another_variant_does_not_answer(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.1, RFC 9111 section 5.2.1.7."""
        origin.on("/a", reply(headers={**MINUTE, "Vary": "X-A"}))
        async with edge_before(origin) as edge:
            await edge.get("/a", {"X-A": "1"})
            assert (await edge.get("/a", {"X-A": "2", "Cache-Control": "only-if-cached"})).status == 504
            assert origin.count() == 1


class TestWhyTheOriginIsAsked:
    async def test_for_nothing_stored_it_is_uri_miss(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.2."""
        origin.on("/a", reply(headers=MINUTE))
        async with edge_before(origin) as edge:
            assert said(await edge.get("/a"))[:4] == ["fwd=uri-miss", "fwd-status=200", "ttl=60", "stored"]
            assert said(await edge.get("/a?q"))[0] == "fwd=uri-miss"

    async def test_what_is_not_stored_does_not_claim_to_be(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.5."""
        origin.on("/a", reply(headers={"Cache-Control": "no-store"}))
        async with edge_before(origin) as edge:
            for _ in range(2):
                answer = said(await edge.get("/a"))
                assert answer[0] == "fwd=uri-miss"
                assert "stored" not in answer

    async def test_for_another_variant_it_is_vary_miss(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.2."""
        origin.on("/a", reply(headers={**MINUTE, "Vary": "X-A"}))
        async with edge_before(origin) as edge:
            await edge.get("/a", {"X-A": "1"})
            assert said(await edge.get("/a", {"X-A": "2"}))[0] == "fwd=vary-miss"
            assert said(await edge.get("/a"))[0] == "fwd=vary-miss"
            assert is_hit(await edge.get("/a", {"X-A": "1"}))

    @pytest.mark.parametrize("wish", ["no-cache", "max-age=0", "max-age=5", "min-fresh=60", "No-Cache"])
    async def test_for_a_wish_of_the_clients_it_is_request(self, origin: ScriptedOrigin, wish: str) -> None:
        """RFC 9211 section 2.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=10)
            answer = await edge.get("/a", {"Cache-Control": wish})
            assert (answer.body, said(answer)[0]) == (b"two", "fwd=request")
            again = await edge.get("/a")
            assert (again.body, is_hit(again)) == (b"two", True)

    async def test_for_what_is_no_longer_fresh_it_is_stale(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=61)
            assert said(await edge.get("/a"))[:2] == ["fwd=stale", "fwd-status=200"]

    async def test_for_what_was_only_validated_it_is_stale_with_the_origins_304(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.2, RFC 9211 section 2.3."""
        origin.on("/a", etagged('"v1"', b"one", MINUTE))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(61)
            answer = await edge.get("/a")
            assert (answer.status, said(answer)[:2]) == (200, ["fwd=stale", "fwd-status=304"])

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"])
    async def test_for_a_method_that_no_store_answers_it_is_method(self, origin: ScriptedOrigin, method: str) -> None:
        """RFC 9211 section 2.2."""
        origin.on("/a", reply(body=b"one", headers=MINUTE))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            assert said(await edge.ask(method, "/a", body=b"x"))[:2] == ["fwd=method", "fwd-status=200"]

    async def test_a_hit_tells_for_how_long_it_will_be_one(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2.1, RFC 9211 section 2.4."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=20)
            assert said(await edge.get("/a"))[:2] == ["hit", "ttl=40"]

    async def test_what_a_cache_nearer_the_origin_said_comes_first(self, origin: ScriptedOrigin) -> None:
        """RFC 9211 section 2."""
        origin.on("/a", reply(headers={**MINUTE, "Cache-Status": "inner; hit"}))
        async with edge_before(origin) as edge:
            for reason in ("fwd=uri-miss", "hit"):
                assert (await edge.get("/a")).cache_status.startswith(f"inner; hit, cachewire; {reason}")


class TestWishes:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Pragma": "no-cache"},
            {"Pragma": "x, no-cache"},
            {"Cache-Control": "no-cache"},
            {"Cache-Control": "max-age=19"},
            {"Cache-Control": "min-fresh=41"},
            {"Cache-Control": "max-age=x"},
        ],
    )
    async def test_one_for_something_newer_is_granted(self, origin: ScriptedOrigin, headers: dict[str, str]) -> None:
        """RFC 9111 section 5.2.1, RFC 9111 section 5.4."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=20)
            assert (await edge.get("/a", headers)).body == b"two"

    @pytest.mark.parametrize(
        "headers",
        [
            {"Pragma": "no-cache", "Cache-Control": "max-age=60"},
            {"Pragma": "x"},
            {"Cache-Control": "max-age=20"},
            {"Cache-Control": "min-fresh=40"},
            {"Cache-Control": "no-store"},
            {"Cache-Control": "no-transform"},
            {"Cache-Control": "max-stale=0"},
            {"Cache-Control": "unheard-of"},
        ],
    )
    async def test_one_that_what_is_stored_satisfies_needs_no_origin(
        self, origin: ScriptedOrigin, headers: dict[str, str]
    ) -> None:
        """RFC 9111 section 5.2.1, RFC 9111 section 5.4: Pragma counts only where there is no Cache-Control."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=20)
            answer = await edge.get("/a", headers)
            assert (answer.body, is_hit(answer)) == (b"one", True)

    @pytest.mark.parametrize(
        ("wish", "body"), [("max-stale", b"one"), ("max-stale=10", b"one"), ("max-stale=9", b"two")]
    )
    async def test_max_stale_takes_what_is_stale_by_no_more_than_it_says(
        self, origin: ScriptedOrigin, wish: str, body: bytes
    ) -> None:
        """RFC 9111 section 5.2.1.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=70)
            answer = await edge.get("/a", {"Cache-Control": wish})
            assert (answer.body, is_hit(answer)) == (body, body == b"one")
            assert origin.count() == (1 if body == b"one" else 2)

    @pytest.mark.parametrize("strict", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"])
    async def test_max_stale_does_not_outweigh_the_origin(self, origin: ScriptedOrigin, strict: str) -> None:
        """RFC 9111 section 4.2.4."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, f"max-age=60, {strict}", old=70)
            assert (await edge.get("/a", {"Cache-Control": "max-stale"})).body == b"two"

    async def test_what_is_to_be_fresh_for_longer_is_not_taken_stale(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.1.3."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60", old=70)
            assert (await edge.get("/a", {"Cache-Control": "min-fresh=5, max-stale"})).body == b"two"

    async def test_a_plain_reload_of_what_is_immutable_is_a_hit_while_it_is_fresh(self, origin: ScriptedOrigin) -> None:
        """RFC 8246 section 2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60, immutable", old=59)
            assert is_hit(await edge.get("/a", {"Cache-Control": "max-age=0"}))
            edge.clock.advance(2)
            assert (await edge.get("/a", {"Cache-Control": "max-age=0"})).body == b"two"

    async def test_a_forced_reload_of_what_is_immutable_asks_the_origin(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.1.4."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60, immutable")
            assert (await edge.get("/a", {"Cache-Control": "no-cache"})).body == b"two"

    @pytest.mark.parametrize(
        "headers",
        [
            {"Cache-Control": "no-cache"},
            {"Cache-Control": "max-age=0"},
            {"Cache-Control": "min-fresh=1000"},
            {"Pragma": "no-cache"},
        ],
    )
    async def test_a_route_that_takes_none_answers_reloads_from_the_store(
        self, origin: ScriptedOrigin, headers: dict[str, str]
    ) -> None:
        """RFC 9111 section 5.2.1: they are advisory."""
        async with edge_before(origin, routes=[{**CACHE_FIRST[0], "request_directives": False}]) as edge:
            await stored(edge, origin, "max-age=60", old=20)
            assert is_hit(await edge.get("/a", headers))

    async def test_a_route_that_takes_none_asks_stores_and_forgets_stale_things_as_ever(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9111 section 5.2.1: they are advisory."""
        async with edge_before(origin, routes=[{**CACHE_FIRST[0], "request_directives": False}]) as edge:
            origin.on("/a", reply(body=b"one", headers=MINUTE), reply(body=b"two", headers=MINUTE))
            assert (await edge.get("/a", {"Cache-Control": "only-if-cached, no-store"})).body == b"one"
            assert is_hit(await edge.get("/a"))
            edge.clock.advance(61)
            assert (await edge.get("/a", {"Cache-Control": "max-stale"})).body == b"two"


class TestStaleIfError:
    @pytest.mark.parametrize("how", FAILURES)
    async def test_the_origins_own_window_lets_the_last_answer_stand_in(self, origin: ScriptedOrigin, how: str) -> None:
        """RFC 5861 section 4."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60, stale-if-error=30", old=90)
            await fail(origin, how)
            answer = await edge.get("/a")
            assert (answer.status, answer.body, answer["Age"]) == (200, b"one", "90")

    @pytest.mark.parametrize("how", FAILURES)
    async def test_beyond_the_origins_own_window_it_does_not(self, origin: ScriptedOrigin, how: str) -> None:
        """RFC 5861 section 4."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60, stale-if-error=30", old=91)
            await fail(origin, how)
            assert (await edge.get("/a")).status == (503 if how == "503" else 502)

    @pytest.mark.parametrize("how", FAILURES)
    async def test_the_clients_window_counts_as_well(self, origin: ScriptedOrigin, how: str) -> None:
        """RFC 5861 section 4."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60", old=90)
            await fail(origin, how)
            failed = 503 if how == "503" else 502
            assert (await edge.get("/a", {"Cache-Control": "stale-if-error=29"})).status == failed
            assert (await edge.get("/a", {"Cache-Control": "stale-if-error=30"})).body == b"one"

    @pytest.mark.parametrize(
        ("status", "expected"), [(500, 200), (502, 200), (503, 200), (504, 200), (404, 404), (501, 501)]
    )
    async def test_only_a_server_that_fails_is_an_error(
        self, origin: ScriptedOrigin, status: int, expected: int
    ) -> None:
        """RFC 5861 section 4: an error is "any situation that would result in a 500, 502, 503, or 504"."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60, stale-if-error=600", old=61)
            origin.on("/a", reply(status, b"failed"))
            assert (await edge.get("/a")).status == expected

    async def test_without_any_window_an_error_of_the_origins_is_passed_on(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.4."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60", old=61)
            await fail(origin, "503")
            assert (await edge.get("/a")).status == 503

    async def test_an_error_leaves_the_last_good_answer_stored(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.3."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60", old=61)
            origin.on("/a", reply(503, b"down", {"Cache-Control": "max-age=600"}))
            await edge.get("/a")
            await origin.stop()
            assert (await edge.get("/a")).body == b"one"

    async def test_a_limit_on_staleness_holds_although_the_origin_is_away(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.2.1.2."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60", old=90)
            await origin.stop()
            assert (await edge.get("/a", {"Cache-Control": "max-stale=29"})).status == 502
            assert (await edge.get("/a", {"Cache-Control": "max-stale=30"})).body == b"one"


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("routes", [CACHE_FIRST, NETWORK_FIRST], ids=["cache-first", "network-first"])
async def test_what_the_origin_wants_validated_is_not_used_stale_when_it_fails(
    origin: ScriptedOrigin, routes: list[dict[str, Any]], how: str
) -> None:
    """RFC 9111 section 4.2.4, RFC 9111 section 5.2.2.2, RFC 9111 section 5.2.2.4."""
    async with edge_before(origin, routes=routes, origin=AT_ONCE) as edge:
        for number, strict in enumerate(STRICT):
            origin.on(f"/{number}", reply(body=b"one", headers={"Cache-Control": strict}))
            assert "stored" in said(await edge.get(f"/{number}")), strict
        edge.clock.advance(61)
        for number, strict in enumerate(STRICT):
            await fail(origin, how, f"/{number}")
            for headers in ({}, {"Cache-Control": "max-stale, stale-if-error=600"}):
                answer = await edge.get(f"/{number}", headers)
                assert (answer.status, b"one" in answer.body) == (503 if how == "503" else 502, False), strict


@pytest.mark.parametrize("lax", ["max-age=60", "max-age=60, public", "max-age=60, no-transform"])
async def test_what_the_origin_does_not_want_validated_stands_in_when_it_is_away(
    origin: ScriptedOrigin, lax: str
) -> None:
    """RFC 9111 section 4.2.4."""
    async with edge_before(origin, origin=AT_ONCE) as edge:
        await stored(edge, origin, lax, old=61)
        await origin.stop()
        assert (await edge.get("/a")).body == b"one"


class TestStaleWhileRevalidate:
    async def test_inside_the_origins_window_it_answers_at_once_and_is_refreshed_once(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 5861 section 3."""
        gate = asyncio.Event()
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60, stale-while-revalidate=30", old=90)
            origin.on("/a", when(gate, reply(body=b"two", headers=MINUTE)))
            for _ in range(3):
                answer = await edge.get("/a")
                assert (answer.body, answer["Age"], is_hit(answer)) == (b"one", "90", True)
            gate.set()
            await edge.background_done()
            assert origin.count() == 2
            renewed = await edge.get("/a")
            assert (renewed.body, is_hit(renewed)) == (b"two", True)

    async def test_outside_the_origins_window_the_origin_is_waited_for(self, origin: ScriptedOrigin) -> None:
        """RFC 5861 section 3."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60, stale-while-revalidate=30", old=91)
            answer = await edge.get("/a")
            assert (answer.body, said(answer)[0]) == (b"two", "fwd=stale")

    async def test_a_refresh_that_is_answered_304_makes_it_fresh(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.4."""
        origin.on("/a", etagged('"v1"', b"one", {"Cache-Control": "max-age=60, stale-while-revalidate=30"}))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(70)
            await edge.get("/a")
            await edge.background_done()
            assert origin.requests[1].header("If-None-Match") == '"v1"'
            assert said(await edge.get("/a"))[:2] == ["hit", "ttl=60"]

    @pytest.mark.parametrize("how", FAILURES)
    async def test_a_refresh_that_fails_changes_nothing(self, origin: ScriptedOrigin, how: str) -> None:
        """RFC 5861 section 3."""
        async with edge_before(origin, origin=AT_ONCE) as edge:
            await stored(edge, origin, "max-age=60, stale-while-revalidate=30", old=70)
            await fail(origin, how)
            for _ in range(2):
                assert (await edge.get("/a")).body == b"one"
                await edge.background_done()

    @pytest.mark.parametrize("strict", ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"])
    async def test_a_stricter_word_beside_it_wins(self, origin: ScriptedOrigin, strict: str) -> None:
        """RFC 9111 section 4.2.4."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, f"max-age=60, stale-while-revalidate=600, {strict}", old=70)
            assert (await edge.get("/a")).body == b"two"

    @pytest.mark.parametrize("wish", ["no-cache", "max-age=0", "max-age=600", "min-fresh=1"])
    async def test_a_client_that_wants_none_of_it_waits(self, origin: ScriptedOrigin, wish: str) -> None:
        """RFC 9111 section 5.2.1."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, "max-age=60, stale-while-revalidate=600", old=70)
            assert (await edge.get("/a", {"Cache-Control": wish})).body == b"two"


@pytest.mark.parametrize(
    "framing", [{"Content-Length": "20"}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunked"]
)
async def test_a_refill_that_breaks_off_in_its_body_leaves_what_was_stored(
    origin: ScriptedOrigin, framing: dict[str, str]
) -> None:
    """RFC 9111 section 3.3: what is incomplete does not answer for the whole."""
    part = b"half of it" if "Content-Length" in framing else b"a\r\nhalf of it\r\n"
    async with edge_before(origin, origin=AT_ONCE) as edge:
        await stored(edge, origin, "max-age=60", old=61)
        origin.on("/a", steps(raw(head(200, {**MINUTE, **framing}), part), hang_up()))
        assert not (await edge.get("/a")).complete
        await edge.background_done()
        await origin.stop()
        answer = await edge.get("/a")
        assert (answer.status, answer.body, answer.complete) == (200, b"one", True)


async def test_a_refresh_that_breaks_off_in_its_body_leaves_what_was_stored(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.3 and RFC 5861 section 3."""
    async with edge_before(origin) as edge:
        await stored(edge, origin, "max-age=60, stale-while-revalidate=600", old=61)
        origin.on("/a", steps(raw(head(200, {**MINUTE, "Content-Length": "20"}), b"half"), hang_up()))
        for _ in range(3):
            answer = await edge.get("/a")
            assert (answer.body, answer.complete) == (b"one", True)
            await edge.background_done()
