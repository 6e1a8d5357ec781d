"""What the application publishes about its reports, and that nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp import AiohttpClient

from demo.application import build

Client = TestClient[Any, Any]


class Listener:
    """Where it publishes: keeps what comes, with the bearer token."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str | None, dict[str, Any]]] = asyncio.Queue()
        self.status = 200

    async def hear(self, request: web.Request) -> web.Response:
        self.heard.put_nowait((request.headers.get("Authorization"), await request.json()))
        return web.json_response({}, status=self.status)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return (await self.heard.get())[1]


@pytest.fixture
async def listener() -> Listener:
    return Listener()


@pytest.fixture
async def url(listener: Listener) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/publish", listener.hear)
    async with TestServer(app) as server:
        yield str(server.make_url("/publish"))


@pytest.fixture
async def origin(aiohttp_client: AiohttpClient, picture_directory: Path, url: str) -> Client:
    return await aiohttp_client(build(picture_directory, url, "secret"))


async def post(origin: Client, path: str, **document: Any) -> None:
    async with origin.post(path, json=document) as response:
        assert response.status in (200, 201), await response.text()


REPORT = {"author_id": "u1", "category": "pothole", "title": "Deep", "text": "Very."}


async def test_a_new_report_is_published_as_lists_show_it(origin: Client, listener: Listener) -> None:
    await post(origin, "/api/reports", **REPORT)
    token, said = await listener.heard.get()
    assert token == "Bearer secret"
    assert (said["channel"], said["event"], said["data"]["id"]) == ("reports", "report_created", "r201")
    assert said["data"]["author"]["id"] == "u1"


async def test_likes_and_comments_are_published_as_how_many_there_are_now(origin: Client, listener: Listener) -> None:
    await post(origin, "/api/reports", **REPORT)
    await listener.next()
    await post(origin, "/api/reports/r201/likes", user="u2")
    assert (await listener.next())["data"] == {"id": "r201", "like_count": 1, "comment_count": 0}
    await post(origin, "/api/reports/r201/comments", author_id="u2", text="I saw it.")
    assert (await listener.next())["data"] == {"id": "r201", "like_count": 1, "comment_count": 1}


async def test_a_repeated_write_is_published_once_and_a_read_never(origin: Client, listener: Listener) -> None:
    for _ in range(2):
        async with origin.post("/api/reports", json=REPORT, headers={"Idempotency-Key": "one"}) as response:
            assert response.status == 201
    (await origin.get("/api/reports")).release()
    await post(origin, "/api/reports/r201/likes", user="u2")
    assert [(await listener.next())["event"] for _ in range(2)] == ["report_created", "report_updated"]
    assert listener.heard.empty()


async def test_what_does_not_get_through_changes_nothing(origin: Client, listener: Listener) -> None:
    listener.status = 503
    await post(origin, "/api/reports", **REPORT)
    await listener.next()
    listener.status = 200
    await post(origin, "/api/reports/r201/likes", user="u2")
    assert (await listener.next())["event"] == "report_updated"
