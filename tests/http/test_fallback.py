"""The offline page: what stands in when neither origin nor store can answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, hang_up, reply

PAGE = {"Content-Type": "text/html", "Cache-Control": "max-age=5", "ETag": '"v1"', "Content-Security-Policy": "x"}
ROUTES: list[dict[str, Any]] = [
    {
        "name": "all",
        "match": "/**",
        "strategy": "network-first",
        "fallback": {"html": "/offline.html", "image": "/offline.svg"},
    }
]
DOCUMENT = {"Sec-Fetch-Dest": "document"}


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.on("/offline.html", reply(body=b"<h1>offline</h1>", headers=PAGE))
        origin.on("/offline.svg", reply(body=b"<svg/>", headers={"Content-Type": "image/svg+xml"}))
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin, routes=ROUTES, origin={"retries": 0}) as edge:
        await edge.precached()
        await origin.stop()
        yield edge


async def test_a_page_that_cannot_be_had_is_answered_with_the_offline_page(edge: EdgeUnderTest) -> None:
    """RFC 9110 section 15.6.4."""
    answer = await edge.get("/never/seen", DOCUMENT)
    assert (answer.status, answer.body) == (503, b"<h1>offline</h1>")
    assert answer["Content-Type"] == "text/html"
    assert answer["Content-Security-Policy"] == "x"


async def test_no_cache_takes_it_for_the_resource(edge: EdgeUnderTest) -> None:
    """RFC 9111 section 5.2.2.5."""
    answer = await edge.get("/never/seen", DOCUMENT)
    assert answer["Cache-Control"] == "no-store"
    assert "ETag" not in answer
    assert "Age" not in answer
    assert (await edge.get("/never/seen", {**DOCUMENT, "If-None-Match": '"v1"', "Range": "bytes=0-1"})).status == 503


async def test_cache_status_says_what_happened(edge: EdgeUnderTest) -> None:
    """RFC 9211 section 2."""
    answer = await edge.get("/never/seen", DOCUMENT)
    assert answer.cache_status == 'cachewire; fwd=uri-miss; detail="fallback: origin-unreachable"'


async def test_an_image_is_answered_with_the_offline_image(edge: EdgeUnderTest) -> None:
    for headers in ({"Sec-Fetch-Dest": "image"}, {"Accept": "image/webp,*/*;q=0.8"}):
        answer = await edge.get("/photo", headers)
        assert (answer.status, answer["Content-Type"], answer.body) == (503, "image/svg+xml", b"<svg/>")
    assert (await edge.get("/photo.jpg")).body == b"<svg/>"


async def test_a_destination_without_a_fallback_gets_the_problem_document(edge: EdgeUnderTest) -> None:
    """RFC 9457 section 3."""
    for headers in ({"Sec-Fetch-Dest": "empty"}, {"Accept": "application/json"}, {}):
        answer = await edge.get("/api/reports", headers)
        assert answer.status == 502
        assert json.loads(answer.body)["reason"] == "origin-unreachable"


async def test_head_gets_the_status_and_no_body(edge: EdgeUnderTest) -> None:
    """RFC 9110 section 9.3.2."""
    answer = await edge.ask("HEAD", "/never/seen", DOCUMENT)
    assert (answer.status, answer.body) == (503, b"")


async def test_writes_get_no_page(edge: EdgeUnderTest) -> None:
    assert (await edge.ask("POST", "/never/seen", DOCUMENT, b"x")).status == 502


async def test_it_stands_in_however_old_it_is_and_whoever_asks(edge: EdgeUnderTest) -> None:
    edge.clock.advance(400 * 86_400)
    await edge.app.store.sweep()
    for headers in ({}, {"Host": "another.example"}, {"Cookie": "session=1"}, {"Accept-Encoding": "zstd"}):
        answer = await edge.get("/never/seen", {**DOCUMENT, **headers})
        assert (answer.status, answer.body) == (503, b"<h1>offline</h1>")


async def test_what_is_stored_stands_in_first(origin: ScriptedOrigin) -> None:
    origin.on("/seen", reply(body=b"seen"))
    async with edge_before(origin, routes=ROUTES, origin={"retries": 0}) as edge:
        await edge.precached()
        await edge.get("/seen", DOCUMENT)
        await origin.stop()
        answer = await edge.get("/seen", DOCUMENT)
        assert (answer.status, answer.body) == (200, b"seen")


async def test_an_answer_of_the_origins_own_is_never_replaced(origin: ScriptedOrigin) -> None:
    origin.on("/maintenance", reply(503, b"back at nine"))
    async with edge_before(origin, routes=ROUTES) as edge:
        await edge.precached()
        assert (await edge.get("/maintenance", DOCUMENT)).body == b"back at nine"


async def test_only_if_cached_is_told_504_and_no_page(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 5.2.1.7."""
    async with edge_before(origin, routes=ROUTES) as edge:
        await edge.precached()
        answer = await edge.get("/never/seen", {**DOCUMENT, "Cache-Control": "only-if-cached"})
        assert (answer.status, answer["Content-Type"]) == (504, "application/problem+json")


@pytest.mark.parametrize(("path", "asked"), [("/offline.html", "/a"), ("/offline", "/a"), ("/offline.svg", "/a.png")])
async def test_a_path_alone_is_for_the_destination_that_its_extension_names(
    origin: ScriptedOrigin, path: str, asked: str
) -> None:
    origin.on("/offline", reply(body=b"plain", headers=PAGE))
    routes = [{"match": "/**", "strategy": "cache-first", "fallback": path}]
    async with edge_before(origin, routes=routes, origin={"retries": 0}) as edge:
        await edge.precached()
        await origin.stop()
        assert (await edge.get(asked, {"Accept": "*/*" if asked.endswith("png") else "text/html"})).status == 503
        assert (await edge.get("/a.woff2", {"Accept": "*/*"})).status == 502


async def test_without_a_stored_page_the_problem_document_remains(origin: ScriptedOrigin) -> None:
    """RFC 9457 section 3."""
    origin.on("/offline.html", hang_up())
    async with edge_before(origin, routes=ROUTES, origin={"retries": 0}) as edge:
        await origin.until(lambda: origin.count("/offline.html") > 0)
        origin.on("/page", hang_up())
        assert (await edge.get("/page", DOCUMENT)).status == 502
