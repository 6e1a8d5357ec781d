"""What the edge notes of an exchange: when its answer began, how much left, and who broke it off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, head, raw, reply, steps, when


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
