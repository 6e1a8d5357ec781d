"""The cache pages over a full store: light pages, small steps of work. What they take: bench/dashboard.py."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from pytest_aiohttp import AiohttpClient

from proxy.dashboard import turns
from proxy.dashboard.turns import every, in_turns
from tests.dashboard.shelf import NOW, stored
from webui.query import CacheQuery

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.dashboard.conftest import EdgeUnderView

ENTRIES = 100_000
KINDS = ("/api/reports/{}", "/api/reports?page={}&per_page=12", "/photos/{}.jpg", "/u/{}/profile")


@pytest.fixture
def full(edge: EdgeUnderView) -> EdgeUnderView:
    """An edge with as many stored responses as it keeps by default."""
    for number in range(ENTRIES):
        path = KINDS[number % len(KINDS)].format(number)
        edge.shelf.shelved.append(stored(path, length=number % 977, hits=number % 13, stored_at=NOW - number % 9999))
    edge.shelf.changes += 1
    return edge


async def test_every_page_of_a_full_store_is_light(full: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(full.application())
    paths = ("", "?at=/api/reports/", "?at=/api/reports?", "?view=list", "?view=list&sort=size&page=200", "?q=reports")
    for path in paths:
        answer = await client.get(f"/cache{path}")
        page = await answer.text()
        assert answer.status == 200
        assert len(page) < 200_000, path
        assert "100,000" in page or "25,000" in page or "50,000" in page
    more = await (await client.get("/cache?view=list&sort=size&page=200")).text()
    assert "90,000 more match" in more


async def test_others_have_their_turn_between_steps_of_a_long_look() -> None:
    seen: list[str] = []

    def work() -> Generator[None, None, str]:
        for _ in range(3):
            seen.append("step")
            yield
        return "done"

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    moments = itertools.count()
    cost = await in_turns(work(), clock=lambda: float(next(moments)))
    others.cancel()
    assert cost.result == "done"
    assert cost.seconds > 0
    assert seen[:6] == ["step", "other"] * 3


def test_a_dear_page_is_looked_at_rarely() -> None:
    assert [every(cost) for cost in (0.0, 0.01, 0.2, 9.0)] == [2, 2, 10, 60]


async def test_who_looks_at_the_same_time_sees_each_response_once(
    edge: EdgeUnderView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN", 0.0)
    shelf = edge.shelf
    shelf.shelved.extend(stored(f"/first/{number}") for number in range(12_000))
    await edge.cache.listed(CacheQuery(sort="url"))
    shelf.shelved.extend(stored(f"/then/{number}") for number in range(2_500))
    shelf.changes += 1
    looks = []
    for _ in range(12):
        looks.append(asyncio.create_task(edge.cache.listed(CacheQuery(sort="url"))))
        await asyncio.sleep(0)
    assert [look.total for look in await asyncio.gather(*looks)] == [14_500] * 12


async def test_the_order_is_known_before_anybody_looks(edge: EdgeUnderView) -> None:
    for number in range(50):
        edge.store(f"/{number}")
    keeping = asyncio.create_task(edge.cache.keep())
    async with asyncio.timeout(10):
        while len(edge.cache._catalogue.responses) < 50:
            await asyncio.sleep(0)
    keeping.cancel()
    assert [entry.url for entry in edge.cache._catalogue.responses] == sorted(entry.url for entry in edge.entries)
