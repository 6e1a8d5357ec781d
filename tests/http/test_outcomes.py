"""What the edge notes of an exchange: when its answer began, how much left, and who broke it off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.operations import readings
from proxy.outbox import STATUS_PATH
from tests.edge import PATIENCE, edge_before
from tests.origin import ScriptedOrigin, head, raw, read_body, reply, steps, when


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        yield origin


async def test_the_response_time_of_a_stream_ends_when_it_begins(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    begun = raw(head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}))
    origin.on("/events", steps(begun, when(gate, raw(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n"))))
    async with edge_before(origin) as edge:
        client = await edge.connect()
        await client.send(edge.request("GET", "/events"))
        await client.reader.readuntil(b"\r\n\r\n")
        head_was_here = time.perf_counter()
        gate.set()
        await client.reader.readuntil(b"0\r\n\r\n")
        await client.close()
        await origin.until(lambda: edge.app.ledger.total == 1)
        (outcome,) = edge.app.ledger.recent()
        assert outcome.first_byte is not None
        assert outcome.response_time == outcome.first_byte
        assert outcome.begun + outcome.first_byte < head_was_here < outcome.begun + outcome.duration


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("target", "status"),
    [("/api/performance", 200), (f"{STATUS_PATH}none", 404), ("/unreachable", 502), ("/" + "x" * 5000, 414)],
    ids=["performance report", "status of no write", "origin away", "target too long"],
)
async def test_the_content_of_what_the_edge_says_itself_is_counted_like_any_other(
    method: str, target: str, status: int
) -> None:
    routes = [{"name": "all", "match": "/**", "strategy": "network-first", "offline_queue": True}]
    settings: dict[str, Any] = {"routes": routes, "server": {"max_target": "4KiB"}}
    async with ScriptedOrigin() as origin, edge_before(origin, **settings) as edge:
        await origin.stop()
        answer = await edge.ask(method, target)
        (outcome,) = edge.app.ledger.recent()
        assert (answer.status, outcome.status) == (status, status)
        assert outcome.bytes_out == len(answer.body)
        assert (outcome.bytes_out == 0) == (method == "HEAD")


@pytest.mark.parametrize("method", ["POST", "QUERY"])
@pytest.mark.parametrize(
    ("framing", "beginning"),
    [({"Content-Length": "1000"}, b"abc"), ({"Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n")],
    ids=["announced", "chunked"],
)
@pytest.mark.parametrize("queued", [False, True])
async def test_an_upload_that_its_client_dropped_is_incomplete_and_no_bad_request(
    origin: ScriptedOrigin, method: str, framing: dict[str, str], beginning: bytes, queued: bool
) -> None:
    origin.default = steps(read_body(), reply(body=b"ok"))
    routes = [{"name": "all", "match": "/**", "strategy": "network-first", "offline_queue": queued}]
    async with edge_before(origin, routes=routes) as edge:
        client = await edge.connect()
        await client.send(edge.request(method, "/a", framing) + beginning)
        async with asyncio.timeout(PATIENCE):
            while not edge.app.ledger.in_flight:
                await asyncio.sleep(0)
            client.leave()
            while edge.app.ledger.in_flight:
                await asyncio.sleep(0)
        (outcome,) = edge.app.ledger.recent()
        assert (outcome.reason, outcome.complete, outcome.status) == ("client-left", False, 0)
        assert edge.app.ledger.rates(60).error_ratio == 0


async def test_the_overview_and_the_alerts_look_at_the_same_minute(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.default = reply(500, b"broken")
    async with edge_before(origin) as edge:
        for _ in range(10):
            await edge.get("/broken")
        monkeypatch.setattr(edge.app.ledger, "_now", lambda: time.monotonic() + 45)
        overview = edge.app.control_room._overview.overview()
        assert (overview.error_ratio, overview.requests_total) == (1.0, 10)
        assert overview.error_ratio == edge.app.ledger.rates(readings.WINDOW).error_ratio
        assert "% of the answers in the last" in overview.health.sentence
