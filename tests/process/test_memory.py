"""Bodies stream: a gigabyte on its way through the edge leaves no trace in its memory. Nor does what was stored, once
it is let go of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.origin import Script, ScriptedOrigin, Wire, head, reply
from tests.process.edge_process import EdgeProcess, serving

GIGABYTE = 2**30
PIECE = b"x" * 2**20


def gigabyte(*, announced: bool) -> Script:
    async def script(wire: Wire) -> None:
        lines = {"Cache-Control": "max-age=600"}
        framing = {"Content-Length": str(GIGABYTE)} if announced else {"Transfer-Encoding": "chunked"}
        await wire.send(head(200, lines | framing))
        for _ in range(GIGABYTE // len(PIECE)):
            await wire.send(PIECE if announced else b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        if not announced:
            await wire.send(b"0\r\n\r\n")

    return script


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[tuple[EdgeProcess, ScriptedOrigin]]:
    async with ScriptedOrigin() as origin, serving(tmp_path, origin.url) as edge:
        origin.on("/announced", gigabyte(announced=True))
        origin.on("/unannounced", gigabyte(announced=False))
        origin.default = reply(body=b"small", headers={"Cache-Control": "max-age=600"})
        yield edge, origin


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", ["/announced", "/unannounced"])
async def test_a_gigabyte_download_raises_memory_by_less_than_64_megabytes(
    edge: tuple[EdgeProcess, ScriptedOrigin], path: str
) -> None:
    process, _ = edge
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{process.url}/small") as response:
            await response.read()
        before = process.resident_bytes()
        received = 0
        async with session.get(process.url + path) as response:
            async for chunk in response.content.iter_any():
                received += len(chunk)
        assert received == GIGABYTE
        assert process.resident_bytes("VmHWM") - before < 64 * 2**20


async def test_a_gigabyte_whose_client_leaves_in_the_middle_harms_nobody(
    edge: tuple[EdgeProcess, ScriptedOrigin],
) -> None:
    process, origin = edge
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"{process.url}/announced")
        await response.content.readexactly(10 * 2**20)
        response.close()
        async with session.get(f"{process.url}/small") as small:
            assert await small.read() == b"small"
    await origin.until(lambda: origin.open_connections <= 1)


@pytest.mark.timeout(180)
async def test_a_large_upload_streams_too(edge: tuple[EdgeProcess, ScriptedOrigin]) -> None:
    process, origin = edge
    size = 300 * 2**20

    async def swallow(wire: Wire) -> None:
        count = 0
        while part := await wire.read_part():
            count += len(part)
            wire.request.received.clear()  # the origin's own memory is not what is measured
        await reply(201, str(count).encode())(wire)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // len(PIECE)):
            yield PIECE

    origin.on("/upload", swallow)
    async with aiohttp.ClientSession() as session:
        before = process.resident_bytes()
        headers = {"Content-Length": str(size)}
        async with session.post(f"{process.url}/upload", data=body(), headers=headers) as response:
            assert (response.status, await response.text()) == (201, str(size))
        assert process.resident_bytes("VmHWM") - before < 64 * 2**20


BODIES = 3000
BODY = b"x" * 20_000


@pytest.mark.parametrize("freed_by", ["a smaller tier", "a purge"])
async def test_what_is_let_go_of_goes_back_to_the_system(
    edge: tuple[EdgeProcess, ScriptedOrigin], freed_by: str
) -> None:
    process, origin = edge
    origin.default = reply(body=BODY, headers={"Cache-Control": "max-age=600"})
    async with aiohttp.ClientSession() as session:

        async def fetch(numbers: range) -> None:
            for number in numbers:
                async with session.get(f"{process.url}/bodies/{number}") as response:
                    assert await response.read() == BODY

        # Several at once, so that what lasts and what does not lie side by side in memory.
        await asyncio.gather(*(fetch(range(first, BODIES, 10)) for first in range(10)))
        before = process.resident_bytes()
        if freed_by == "a purge":
            asked = session.delete(f"{process.admin_url}/api/cache?everything=yes")
        else:
            asked = session.post(f"{process.admin_url}/api/tuning/set", json={"key": "cache.memory", "value": "1MiB"})
        async with asked as answer:
            assert answer.status == 200, await answer.text()
        async with asyncio.timeout(30):
            while before - process.resident_bytes() < BODIES * len(BODY) // 2:
                await asyncio.sleep(0.1)
