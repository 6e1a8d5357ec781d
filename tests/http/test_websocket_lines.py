"""A WebSocket in the access log: one line when it ends, with its duration and its bytes; its answer bears its id."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.edge import PATIENCE, Client, EdgeUnderTest, edge_before
from tests.http.test_websocket import echo

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
LIVE = "/socket.io/?EIO=4&transport=websocket"
POLL = "/socket.io/?EIO=4&transport=polling"
CLOSE = bytes([0x88, 0x80, 0, 0, 0, 0])
"""A client's close frame without a code, masked with nothing."""


@pytest.fixture
async def application() -> AsyncIterator[str]:
    """One with a WebSocket at /ws."""
    app = web.Application()
    app.router.add_get("/ws", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


def logging_to(path: Path, **access: Any) -> dict[str, Any]:
    return {"access": {"format": "json", "file": str(path), **access}}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@asynccontextmanager
async def opened(edge: EdgeUnderTest, target: str, **fields: str) -> AsyncIterator[tuple[Client, str]]:
    """A WebSocket, and the id that the answer to its handshake bears; its client leaves without a word."""
    client = await edge.connect()
    await client.send(edge.request("GET", target, UPGRADE | {name.replace("_", "-"): fields[name] for name in fields}))
    answer = await client.receive()
    assert answer.status == 101
    try:
        yield client, answer["X-Request-Id"]
    finally:
        client.leave()


@pytest.mark.parametrize("target", [LIVE, "/ws"], ids=["of the realtime core", "of the application"])
async def test_a_handshake_is_answered_with_its_id(application: str, target: str) -> None:
    async with (
        edge_before(application) as edge,
        opened(edge, target, X_Request_Id="mine") as (_, brought),
        opened(edge, target) as (_, made),
    ):
        assert (brought, bool(made)) == ("mine", True)


async def test_every_answer_to_a_poll_bears_its_id(application: str) -> None:
    async with edge_before(application) as edge:
        begun = await edge.get(POLL, {"X-Request-Id": "begins"})
        session = f"{POLL}&sid={json.loads(begun.body[1:])['sid']}"
        posted = await edge.ask("POST", session, {"X-Request-Id": "posts"}, b"40")
        polled = await edge.get(session, {"X-Request-Id": "polls"})
        assert [each["X-Request-Id"] for each in (begun, posted, polled)] == ["begins", "posts", "polls"]


@pytest.mark.parametrize(
    ("target", "route", "closed"), [(LIVE, "(realtime)", "transport-close"), ("/ws", "all", "origin-close")]
)
async def test_a_websocket_is_one_line_when_it_ends_with_its_duration_and_bytes(
    application: str, tmp_path: Path, target: str, route: str, closed: str
) -> None:
    """Of the application's it is the origin who closes, after the close frames (RFC 6455 section 7.1.1)."""
    path = tmp_path / "access.log"
    async with edge_before(application, log=logging_to(path)) as edge, opened(edge, target) as (client, name):
        begun = time.perf_counter()
        heard = await client.reader.read(2**16)
        await edge.get("/ws", {"X-Request-Id": "meanwhile"})
        lasted = time.perf_counter() - begun
        await client.send(CLOSE)
        heard += await client.closed()
    ended, *others = [line for line in lines(path) if line["request_id"] != "meanwhile"]
    assert others == []
    assert (ended["request_id"], ended["status"], ended["reason"], ended["route"]) == (name, 101, "websocket", route)
    assert ended["duration"] >= lasted
    assert (ended["bytes_in"], ended["bytes_out"], ended["closed"]) == (len(CLOSE), len(heard), closed)
    assert lines(path)[0]["request_id"] == "meanwhile"


@pytest.mark.parametrize("target", [LIVE, "/ws"], ids=["of the realtime core", "of the application"])
async def test_a_shutdown_writes_the_lines_of_what_it_closes(application: str, tmp_path: Path, target: str) -> None:
    path = tmp_path / "access.log"
    settings: dict[str, Any] = {"log": logging_to(path), "server": {"drain_timeout": "200ms"}}
    async with AsyncExitStack() as clients, edge_before(application, **settings) as edge:
        names = [(await clients.enter_async_context(opened(edge, target)))[1] for _ in range(3)]
    assert sorted(line["request_id"] for line in lines(path)) == sorted(names)
    assert {line["closed"] for line in lines(path)} == {"drain"}


async def test_a_websocket_ends_the_averages_of_nobody(application: str, tmp_path: Path) -> None:
    """The ledger has its handshake, at once and without a duration that says anything."""
    log = logging_to(tmp_path / "access.log")
    async with edge_before(application, log=log) as edge, opened(edge, LIVE) as (client, _):
        (outcome,) = edge.app.ledger.recent()
        assert (outcome.status, outcome.timed) == (101, False)
        await client.send(CLOSE)
        await client.closed()
        assert edge.app.ledger.recent() == [outcome]
        assert edge.app.performance()["averageResponseTime"] == 0


@pytest.mark.parametrize("access", [{"sample": 0.0}, {"format": "off"}])
async def test_nothing_is_kept_for_a_line_that_will_not_be_written(
    application: str, tmp_path: Path, access: dict[str, Any]
) -> None:
    path = tmp_path / "access.log"
    async with edge_before(application, log=logging_to(path, **access)) as edge, opened(edge, LIVE) as (client, _):
        assert edge.app.realtime is not None
        (carrier,) = edge.app.realtime.core.engine._carriers
        assert carrier._ended is None  # type: ignore[attr-defined]
        await client.send(CLOSE)
        await client.closed()
    assert not path.exists() or lines(path) == []


async def test_polls_and_the_websocket_that_follows_are_lines_of_their_own(application: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    async with edge_before(application, log=logging_to(path)) as edge:
        begun = await edge.get(POLL, {"X-Request-Id": "begins"})
        sid = json.loads(begun.body[1:])["sid"]
        async with opened(edge, f"{LIVE}&sid={sid}", X_Request_Id="upgrades"):
            pass
        assert edge.app.realtime is not None
        async with asyncio.timeout(PATIENCE):
            while edge.app.realtime.connections:
                await asyncio.sleep(0)
    assert [(line["request_id"], line["reason"], line["status"]) for line in lines(path)] == [
        ("begins", "polling", 200),
        ("upgrades", "websocket", 101),
    ]
