"""Broadcast update: who subscribed hears when a stored representation has changed, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

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
