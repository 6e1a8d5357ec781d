"""Broadcast update: who subscribed hears when a stored representation has changed, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.purge import parse_purge
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import Script, ScriptedOrigin, etagged, reply

HOST = {"Host": "app.example"}
URL = "http://app.example/a"
Heard = list[tuple[str, str]]


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin) as edge:
        yield edge


def listening(edge: EdgeUnderTest) -> Heard:
    heard: Heard = []
    edge.app.updates.subscribe(lambda url, reason: heard.append((url, reason)))
    return heard


async def twice(edge: EdgeUnderTest, **headers: str) -> None:
    for _ in range(2):
        await edge.get("/a", {**HOST, **headers})
        await edge.background_done()
        edge.clock.advance(61)


def one(body: bytes = b"one", **headers: str) -> Script:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply(body=body, headers={"Cache-Control": "max-age=60", **lines})


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (one(ETag='"1"'), one(ETag='"2"'), "etag"),
        (one(ETag='"1"'), one(), "etag"),
        (
            one(Last_Modified="Fri, 15 Jan 2027 07:00:00 GMT"),
            one(Last_Modified="Fri, 15 Jan 2027 07:30:00 GMT"),
            "last-modified",
        ),
        (one(b"one"), one(b"four"), "length"),
        (one(b"one"), one(b"two"), "checksum"),
    ],
)
async def test_another_representation_is_told_with_what_shows_it(
    edge: EdgeUnderTest, origin: ScriptedOrigin, first: Script, second: Script, reason: str
) -> None:
    heard = listening(edge)
    origin.on("/a", first, second)
    await twice(edge)
    assert heard == [(URL, reason)]


@pytest.mark.parametrize("script", [one(), one(ETag='"1"'), etagged('"1"', b"one", {"Cache-Control": "max-age=60"})])
async def test_the_same_representation_is_no_news(edge: EdgeUnderTest, origin: ScriptedOrigin, script: Script) -> None:
    heard = listening(edge)
    origin.on("/a", script)
    await twice(edge)
    assert origin.count("/a") == 2
    assert heard == []


async def test_what_was_not_stored_before_or_was_purged_meanwhile_is_no_update(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    heard = listening(edge)
    origin.on("/a", one(b"one"), one(b"two"))
    await edge.get("/a", HOST)
    await edge.background_done()
    await edge.app.store.remove(lambda _entry: True)
    await edge.get("/a", HOST)
    await edge.background_done()
    assert heard == []


async def test_another_variant_is_no_update(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    heard = listening(edge)
    origin.on("/a", one(b"one", Vary="Accept-Language"), one(b"two", Vary="Accept-Language"))
    await edge.get("/a", {**HOST, "Accept-Language": "de"})
    await edge.get("/a", {**HOST, "Accept-Language": "en"})
    await edge.background_done()
    assert heard == []


async def test_what_changes_in_a_users_own_copy_is_not_told(origin: ScriptedOrigin) -> None:
    routes: list[dict[str, Any]] = [{"match": "/**", "strategy": "network-first", "credentials": "partition"}]
    origin.on("/a", reply(body=b"one"), reply(body=b"two"))
    async with edge_before(origin, routes=routes) as edge:
        heard = listening(edge)
        await twice(edge, Cookie="session=1")
        assert sum(1 for _ in edge.app.store.entries()) == 1
        assert heard == []


async def test_a_subscriber_that_fails_harms_nobody_and_one_that_left_hears_nothing(
    edge: EdgeUnderTest, origin: ScriptedOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(url: str, reason: str) -> None:
        raise RuntimeError("a subscriber's own affair")

    edge.app.updates.subscribe(failing)
    leave = edge.app.updates.subscribe(failing)
    leave()
    heard = listening(edge)
    origin.on("/a", one(b"one"), one(b"two"))
    await twice(edge)
    assert heard == [(URL, "checksum")]
    assert caplog.text.count("a subscriber to updates failed") == 1


async def purge(edge: EdgeUnderTest, **words: Any) -> int:
    asked = parse_purge(words, lambda request: (request.url, ()))
    return await edge.app.purger.purge(asked.covers, soft=asked.soft, dry_run=asked.dry_run)


@pytest.mark.parametrize("soft", [False, True])
async def test_what_is_purged_is_told_once_for_each_path_and_when_it_is_gone(
    edge: EdgeUnderTest, origin: ScriptedOrigin, soft: bool
) -> None:
    origin.default = one()
    for path in ("/xa?tok=secret", "/xa?tok=other", "/xb", "/c"):
        await edge.get(path, HOST)
    await edge.background_done()
    heard: list[tuple[str, str, set[str]]] = []

    def hear(url: str, reason: str) -> None:
        fresh = {entry.url for entry in edge.app.store.entries() if entry.fresh_until > edge.clock()}
        heard.append((url, reason, fresh))

    edge.app.updates.subscribe(hear)
    assert await purge(edge, prefix="/x", soft=soft, dry_run=True) == 3
    assert heard == []
    assert await purge(edge, prefix="/x", soft=soft) == 3
    left = {"http://app.example/c"}
    assert sorted(heard) == [("http://app.example/xa", "purged", left), ("http://app.example/xb", "purged", left)]


async def test_a_purge_of_everything_tells_only_of_what_somebody_wants_to_know_about(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    origin.default = one()
    for number in range(30):
        await edge.get(f"/{number}", HOST)
    await edge.background_done()
    heard: Heard = []
    edge.app.updates.subscribe(lambda url, reason: heard.append((url, reason)), lambda url: url.endswith("/7"))
    assert await purge(edge, everything=True) == 30
    assert heard == [("http://app.example/7", "purged")]
    assert await purge(edge, everything=True) == 0
    assert len(heard) == 1, "nothing was there any more"


async def test_the_purge_of_a_users_own_copy_is_not_told(origin: ScriptedOrigin) -> None:
    routes: list[dict[str, Any]] = [{"match": "/**", "strategy": "network-first", "credentials": "partition"}]
    origin.on("/a", reply(body=b"one"))
    async with edge_before(origin, routes=routes) as edge:
        heard = listening(edge)
        await edge.get("/a", {**HOST, "Cookie": "session=1"})
        await edge.background_done()
        assert await purge(edge, everything=True) == 1
        assert heard == []
