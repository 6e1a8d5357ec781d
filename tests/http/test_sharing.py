"""Who gets the same stored response: by credentials, by the key of the route, and by how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pytest

from tests.edge import CACHE_FIRST, EdgeUnderTest, Received, edge_before
from tests.origin import ScriptedOrigin, computed, reply

FRESH = {"Cache-Control": "max-age=600"}
ALICE = {"Authorization": "Bearer alice"}
BOB = {"Authorization": "Bearer bob"}
ONLY = {"mode": "only", "names": ["x", "p*"]}
EXCEPT = {"mode": "except", "names": ["y", "utm_*"]}


def is_hit(answer: Received) -> bool:
    return answer.cache_status.startswith("cachewire; hit")


def route(**settings: Any) -> list[dict[str, Any]]:
    return [{**CACHE_FIRST[0], **settings}]


class TestAuthorization:
    @pytest.mark.parametrize(
        "permission",
        [
            "public, max-age=600",
            "max-age=600, must-revalidate",
            "s-maxage=600",
            "max-age=600, PUBLIC",
            "s-maxage=600, x",
        ],
    )
    async def test_what_the_origin_releases_is_shared_with_everybody(
        self, origin: ScriptedOrigin, permission: str
    ) -> None:
        """RFC 9111 section 3.5."""
        origin.on("/a", reply(body=b"one", headers={"Cache-Control": permission}))
        async with edge_before(origin) as edge:
            assert "stored" in (await edge.get("/a", ALICE)).cache_status
            for headers in (ALICE, BOB, {}):
                assert is_hit(await edge.get("/a", headers))

    @pytest.mark.parametrize(
        "silence",
        [
            "max-age=600",
            "max-age=600, proxy-revalidate",
            "max-age=600, immutable",
            "private, max-age=600",
            "public, private, max-age=600",
            "s-maxage=600, private",
            "public, no-store",
            "max-age=600, must-revalidate, private",
        ],
    )
    async def test_what_it_does_not_release_is_shared_with_nobody(self, origin: ScriptedOrigin, silence: str) -> None:
        """RFC 9111 section 3.5."""
        origin.on(
            "/a", computed(lambda asked: reply(body=(asked.header("Authorization") or "").encode(), headers=said))
        )
        said = {"Cache-Control": silence}
        async with edge_before(origin) as edge:
            for headers in (ALICE, BOB, ALICE):
                answer = await edge.get("/a", headers)
                assert (answer.body.decode(), is_hit(answer)) == (headers["Authorization"], False)
            assert list(edge.app.store.entries()) == []
            assert (await edge.get("/a")).body == b""

    async def test_what_everybody_gets_is_not_given_to_one_with_credentials_unless_released(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9111 section 3.5."""
        origin.on("/a", reply(headers=FRESH))
        origin.on("/public", reply(headers={"Cache-Control": "public, max-age=600"}))
        async with edge_before(origin) as edge:
            for target, expected in (("/a", False), ("/public", True)):
                await edge.get(target)
                assert is_hit(await edge.get(target, ALICE)) == expected
                assert is_hit(await edge.get(target))

    async def test_what_is_released_by_must_revalidate_is_validated_once_it_is_stale(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9111 section 3.5, RFC 9111 section 5.2.2.2."""
        headers = {"Cache-Control": "max-age=60, must-revalidate"}
        origin.on("/a", reply(body=b"one", headers=headers), reply(401, b"no"))
        async with edge_before(origin) as edge:
            await edge.get("/a", ALICE)
            edge.clock.advance(61)
            assert (await edge.get("/a", BOB)).status == 401


class TestKey:
    async def test_a_field_in_it_tells_responses_apart_and_no_other_does(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 2: the key is "at a minimum" the method and the URI."""
        origin.on("/a", computed(lambda asked: reply(body=(asked.header("X-Tenant") or "-").encode(), headers=FRESH)))
        async with edge_before(origin, routes=route(key={"headers": ["X-Tenant"]})) as edge:
            for tenant in ("one", "two", None, "", "one,two"):
                headers = {} if tenant is None else {"x-tenant": tenant}
                first = await edge.get("/a", headers)
                again = await edge.get("/a", {**headers, "X-Other": "1"})
                assert (is_hit(first), is_hit(again)) == (False, True)
                assert first.body == again.body == (tenant or "-").encode()
            assert len(list(edge.app.store.entries())) == origin.count() == 5

    async def test_a_write_invalidates_under_every_value_of_a_field_in_it(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.4."""
        origin.on("/a", reply(headers=FRESH))
        async with edge_before(origin, routes=route(key={"headers": ["X-Tenant"], "cookies": ["theme"]})) as edge:
            for tenant in ("one", "two"):
                await edge.get("/a", {"X-Tenant": tenant})
            await edge.ask("POST", "/a")
            for tenant in ("one", "two"):
                assert not is_hit(await edge.get("/a", {"X-Tenant": tenant}))

    async def test_a_cookie_in_it_tells_responses_apart_and_no_other_does(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 2."""
        origin.on("/a", computed(lambda asked: reply(body=(asked.header("Cookie") or "-").encode(), headers=FRESH)))
        async with edge_before(origin, routes=route(credentials="ignore", key={"cookies": ["theme"]})) as edge:
            for cookie, again in (
                ("theme=dark", "theme=dark; session=1"),
                ("theme=light", "a=b; theme=light"),
                ("a=b", "a=c"),
            ):
                assert not is_hit(await edge.get("/a", {"Cookie": cookie}))
                answer = await edge.get("/a", {"Cookie": again})
                assert (answer.body.decode(), is_hit(answer)) == (cookie, True)
            assert (await edge.get("/a")).body == b"a=b"
            assert origin.count() == 3

    @pytest.mark.parametrize(
        ("query", "same", "other"),
        [
            ("all", ["x=1&y=2"], ["x=1", "x=1&y=3", "x=1&y=2&utm_source=z", ""]),
            ("none", ["x=1&y=2", "x=2", "", "z"], []),
            (ONLY, ["x=1", "x=1&y=3", "q=1&x=1", "%78=1"], ["x=2", "x=1&page=2", "y=2"]),
            (EXCEPT, ["x=1", "x=1&y=9", "x=1&utm_a=1"], ["x=2", "x=1&z=1", "utm=1", ""]),
        ],
        ids=["all", "none", "only", "except"],
    )
    async def test_the_parameters_that_count_tell_responses_apart(
        self, origin: ScriptedOrigin, query: Any, same: Sequence[str], other: Sequence[str]
    ) -> None:
        """RFC 9111 section 2: what is forwarded is never changed."""
        origin.on("/a", reply(headers=FRESH))
        async with edge_before(origin, routes=route(key={"query": query})) as edge:
            await edge.get("/a?x=1&y=2")
            for text in same:
                assert is_hit(await edge.get(f"/a?{text}")), text
            for text in other:
                assert not is_hit(await edge.get(f"/a?{text}")), text
            assert [asked.target for asked in origin.requests] == ["/a?x=1&y=2", *(f"/a?{text}" for text in other)]

    async def test_hosts_and_paths_are_told_apart_as_urls_are(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 4.2.3."""
        origin.default = reply(headers=FRESH)
        async with edge_before(origin) as edge:
            await edge.get("/a~", {"Host": "app.example"})
            for target, host in (("/a~", "APP.example"), ("/a%7E", "app.example:80"), ("/%61%7e", "app.example")):
                assert is_hit(await edge.get(target, {"Host": host})), (target, host)
            for target, host in (("/A~", "app.example"), ("/a~/", "app.example"), ("/a~", "app.example:81")):
                assert not is_hit(await edge.get(target, {"Host": host})), (target, host)


async def pipelined(edge: EdgeUnderTest, requests: Iterator[bytes], *, connections: int = 4) -> int:
    """Send all of them, many before the first is answered; how many were answered 200."""

    async def send_some() -> int:
        client = await edge.connect()
        good = 0
        while group := list(islice(requests, 100)):
            await client.send(b"".join(group))
            for _ in group:
                good += (await client.receive()).status == 200
        await client.close()
        return good

    return sum(await asyncio.gather(*(send_some() for _ in range(connections))))


async def test_thousands_of_variants_of_one_url_stay_within_their_bound(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.1."""
    origin.on("/a", computed(lambda asked: reply(body=(asked.header("X-A") or "").encode(), headers=varying)))
    varying = {**FRESH, "Vary": "X-A"}
    count, bound = 2_000, 32
    async with edge_before(origin, cache={"max_variants": bound}) as edge:
        requests = (edge.request("GET", "/a", {"X-A": str(number)}) for number in range(count))
        assert await pipelined(edge, requests) == count
        await edge.background_done()
        assert len(list(edge.app.store.entries())) == bound
        assert edge.app.store.stats().memory_entries == bound
        answer = await edge.get("/a", {"X-A": str(count - 1)})
        assert (answer.body, is_hit(answer)) == (str(count - 1).encode(), True)


async def test_thousands_of_query_strings_stay_within_their_bound(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3: a cache may forget."""
    origin.default = computed(lambda asked: reply(body=asked.target.encode(), headers=FRESH))
    count, bound = 2_500, 500
    async with edge_before(origin, cache={"max_entries": bound}) as edge:
        requests = (edge.request("GET", f"/a?{number}") for number in range(count))
        assert await pipelined(edge, requests) == count
        await edge.background_done()
        stats = edge.app.store.stats()
        assert (stats.entries, stats.memory_entries) == (bound, bound)
        answer = await edge.get(f"/a?{count - 1}")
        assert (answer.body, is_hit(answer)) == (f"/a?{count - 1}".encode(), True)
