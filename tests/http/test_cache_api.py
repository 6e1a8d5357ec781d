"""The stored responses for scripts, on the admin listener of a running edge: the page's filters, as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"12345", headers={"Cache-Control": "max-age=60", "Surrogate-Key": "all"})
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin) as edge:
        for target in ("/api/1", "/api/2", "/page"):
            await edge.get(target)
        yield edge


async def ask(edge: EdgeUnderTest, method: str, path: str, expected: int = 200) -> Any:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        text = await response.text()
        assert response.status == expected, text
        return await response.json(content_type=None)


async def targets(edge: EdgeUnderTest, filters: str = "") -> list[str]:
    found = await ask(edge, "GET", f"/api/cache?sort=url&{filters}")
    return [each["url"].partition(edge.host)[2] for each in found["responses"]]


async def test_a_list_in_the_order_and_pages_asked_for(edge: EdgeUnderTest) -> None:
    found = await ask(edge, "GET", "/api/cache?sort=url&limit=2")
    assert (found["total"], found["size"], found["pages"], found["limit"]) == (3, 15, 2, 2)
    assert await targets(edge) == ["/api/1", "/api/2", "/page"]
    assert await targets(edge, "limit=2&page=2") == ["/page"]
    assert await targets(edge, "at=/api/") == ["/api/1", "/api/2"]


async def test_one_with_its_fields(edge: EdgeUnderTest) -> None:
    listed = await ask(edge, "GET", "/api/cache?q=page")
    found = await ask(edge, "GET", f"/api/cache/{listed['responses'][0]['id']}")
    assert found["url"].endswith("/page")
    assert ["Cache-Control", "max-age=60"] in found["fields"]
    assert found["lifetime"] == "1 min: the application says so (max-age)."
    assert (await ask(edge, "GET", f"/api/cache/{'0' * 32}", 404))["title"] == "not-stored"


async def test_looking_counts_as_no_use(edge: EdgeUnderTest) -> None:
    listed = await ask(edge, "GET", "/api/cache?q=page")
    await ask(edge, "GET", f"/api/cache/{listed['responses'][0]['id']}")
    assert [entry.hits for entry in edge.app.store.entries()] == [0, 0, 0]


async def test_a_filter_is_counted_marked_stale_and_purged(edge: EdgeUnderTest) -> None:
    assert await ask(edge, "DELETE", "/api/cache?at=/api/&dry_run=yes") == {"count": 2, "soft": False, "dry_run": True}
    assert await targets(edge, "state=fresh") == ["/api/1", "/api/2", "/page"]
    assert (await ask(edge, "DELETE", "/api/cache?at=/api/&soft=yes"))["count"] == 2
    edge.clock.advance(1)
    assert await targets(edge, "state=fresh") == ["/page"]
    assert (await ask(edge, "DELETE", "/api/cache?at=/api/"))["count"] == 2
    assert await targets(edge) == ["/page"]


async def test_one_is_purged(edge: EdgeUnderTest) -> None:
    id_ = (await ask(edge, "GET", "/api/cache?q=page"))["responses"][0]["id"]
    assert (await ask(edge, "DELETE", f"/api/cache/{id_}"))["count"] == 1
    assert await targets(edge) == ["/api/1", "/api/2"]
    await ask(edge, "DELETE", f"/api/cache/{id_}", 404)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "say what"),
        ("?tagg=x", "'tagg' is not known"),
        ("?status=teapot", "status must be a whole number"),
        ("?tag=x&soft=maybe", "soft is yes or no"),
    ],
)
async def test_a_purge_that_is_not_clear_purges_nothing(edge: EdgeUnderTest, query: str, problem: str) -> None:
    assert problem in (await ask(edge, "DELETE", f"/api/cache{query}", 400))["detail"]
    assert len(await targets(edge)) == 3


async def test_everything_must_be_said(edge: EdgeUnderTest) -> None:
    assert (await ask(edge, "DELETE", "/api/cache?everything=yes"))["count"] == 3


async def test_each_purge_by_a_script_is_on_the_timeline(edge: EdgeUnderTest) -> None:
    await ask(edge, "DELETE", "/api/cache?tag=all&dry_run=yes")
    await ask(edge, "DELETE", "/api/cache?tag=all")
    url = f"http://{edge.app.admin_address}/api/cache/purge"
    async with aiohttp.ClientSession() as session:
        for document in ({"prefix": "/a?token=geheim"}, {"everything": True, "dry_run": True}):
            await session.post(url, json=document)
    told = [(event.kind, event.text) for event in edge.app.control_room.timeline.events(kind="purge")]
    assert told == [("purge", "prefix /a?token=******** was purged"), ("purge", "what is tagged all was purged")]


async def test_a_purge_of_one_response_names_its_url_on_the_timeline(edge: EdgeUnderTest) -> None:
    await edge.get("/page?token=geheim")
    id_ = (await ask(edge, "GET", "/api/cache?q=token"))["responses"][0]["id"]
    await ask(edge, "DELETE", f"/api/cache/{id_}?soft=yes")
    await ask(edge, "DELETE", f"/api/cache/{id_}")
    told = [event.text for event in edge.app.control_room.timeline.events(kind="purge")]
    url = f"{edge.app.public_url}/page?token=********"
    assert told == [f"the stored response of {url} was purged", f"the stored response of {url} was marked stale"]


async def test_what_lies_on_disk_alone_is_looked_at_as_well(origin: ScriptedOrigin, tmp_path: Any) -> None:
    async with edge_before(origin, cache_dir=tmp_path, cache={"memory": 0}) as edge:
        await edge.get("/disk")
        id_ = (await ask(edge, "GET", "/api/cache"))["responses"][0]["id"]
        found = await ask(edge, "GET", f"/api/cache/{id_}")
        assert found["tiers"] == ["disk"]
        assert ["Cache-Control", "max-age=60"] in found["fields"]
