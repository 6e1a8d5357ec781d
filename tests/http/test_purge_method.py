"""PURGE on the public listener: only with the token, and only when one is set."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply

TOKEN = "a-long-enough-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
FRESH = {"Cache-Control": "max-age=60", "Surrogate-Key": "red"}


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"one", headers=FRESH)
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin, admin={"listen": "127.0.0.1:0", "purge_token": TOKEN}) as edge:
        for target in ("/a/1", "/a/2", "/b"):
            await edge.get(target)
        yield edge


async def count(edge: EdgeUnderTest, target: str, **headers: str) -> int:
    answer = await edge.ask("PURGE", target, {**BEARER, **{k.replace("_", "-"): v for k, v in headers.items()}})
    assert answer.status == 200, answer.body
    return int(json.loads(answer.body)["count"])


async def test_it_purges_the_url_it_is_sent_to(edge: EdgeUnderTest) -> None:
    assert await count(edge, "/a/1") == 1
    assert "uri-miss" in (await edge.get("/a/1")).cache_status
    assert (await edge.get("/a/2")).cache_status.startswith("cachewire; hit")


async def test_it_purges_prefixes_and_tags_softly_if_asked(edge: EdgeUnderTest) -> None:
    assert await count(edge, "/a/", Purge="soft, prefix") == 2
    assert "fwd=stale" in (await edge.get("/a/1")).cache_status
    assert await count(edge, "/", Surrogate_Key="red") == 3


async def test_ban_purges_what_begins_with_its_url_or_matches_it(edge: EdgeUnderTest) -> None:
    for target, expected in (("/a/*", 2), ("/", 1)):
        answer = await edge.ask("BAN", target, BEARER)
        assert json.loads(answer.body)["count"] == expected


async def test_without_the_token_nothing_happens(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong-wrong-wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        assert (await edge.ask("PURGE", "/a/1", headers)).status == 401
    assert (await edge.get("/a/1")).cache_status.startswith("cachewire; hit")
    assert [asked for asked in origin.requests if asked.method == "PURGE"] == []


async def test_what_it_does_not_know_is_refused(edge: EdgeUnderTest) -> None:
    assert (await edge.ask("PURGE", "/a/1", {**BEARER, "Purge": "hard"})).status == 400


async def test_while_it_is_off_the_origin_decides_what_purge_means(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        await edge.ask("PURGE", "/a")
        assert origin.count("/a", "PURGE") == 1


async def test_cache_status_tells_the_key_of_what_all_share_and_of_nothing_else(origin: ScriptedOrigin) -> None:
    """RFC 9211 section 2.7."""
    routes = [{"name": "all", "match": "/**", "strategy": "cache-first", "credentials": "partition"}]
    async with edge_before(origin, routes=routes) as edge:
        assert f'key="GET http://{edge.host}/a"' in (await edge.get("/a")).cache_status
        assert "key=" not in (await edge.get("/a", {"Cookie": "session=anna"})).cache_status
