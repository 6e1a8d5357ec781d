"""How the process ends, and what is there when it comes back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp

from tests.origin import ScriptedOrigin, head, raw, reply, steps, when
from tests.process.edge_process import serving

HOST = {"Host": "app.example"}  # part of the key, so that it outlives a change of port
IMAGE = {"Content-Type": "image/png"}


async def test_sigterm_lets_what_is_under_way_end_and_exits_0(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with (
        ScriptedOrigin() as origin,
        serving(tmp_path, origin.url) as edge,
        aiohttp.ClientSession(headers=HOST) as session,
    ):
        origin.on("/slow", steps(raw(head(200, {"Content-Length": "6"}), b"abc"), when(gate), raw(b"def")))
        response = await session.get(f"{edge.url}/slow")
        edge.signal(signal.SIGTERM)
        while await _accepts(edge.port):
            await asyncio.sleep(0.01)
        gate.set()
        assert await response.read() == b"abcdef"
        assert await edge.ended() == 0


async def test_a_client_that_never_ends_is_cut_off_after_drain_timeout(tmp_path: Path) -> None:
    gate = asyncio.Event()
    server = {"listen": "127.0.0.1:0", "drain_timeout": "300ms"}
    async with (
        ScriptedOrigin() as origin,
        serving(tmp_path, origin.url, server=server) as edge,
        aiohttp.ClientSession(headers=HOST) as session,
    ):
        origin.on("/slow", steps(raw(head(200, {"Content-Length": "6"}), b"abc"), when(gate)))
        response = await session.get(f"{edge.url}/slow")
        edge.signal(signal.SIGTERM)
        assert await edge.ended() == 0
        response.close()


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with (
        ScriptedOrigin() as origin,
        serving(tmp_path, origin.url) as edge,
        aiohttp.ClientSession(headers=HOST) as session,
    ):
        origin.on("/slow", steps(raw(head(200, {"Content-Length": "6"}), b"abc"), when(gate)))
        response = await session.get(f"{edge.url}/slow")
        edge.signal(signal.SIGTERM)
        while await _accepts(edge.port):
            await asyncio.sleep(0.01)
        edge.signal(signal.SIGTERM)
        assert await edge.ended() == 128 + signal.SIGTERM
        response.close()


async def test_a_keep_alive_connection_without_a_request_does_not_delay_the_end(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin, serving(tmp_path, origin.url) as edge:
        origin.default = reply(body=b"ok")
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"ok")
        edge.signal(signal.SIGTERM)
        async with asyncio.timeout(3):
            assert await edge.ended() == 0
        writer.close()


async def test_after_kill_9_images_are_hits_without_asking_the_origin(tmp_path: Path) -> None:
    targets = [f"/{number}.png" for number in range(50)]
    async with ScriptedOrigin() as origin, aiohttp.ClientSession(headers=HOST) as session:
        origin.default = reply(body=lambda asked: asked.target.encode() * 2000, headers=IMAGE)
        async with serving(tmp_path, origin.url) as edge:
            for target in targets:
                async with session.get(edge.url + target) as response:
                    await response.read()
            await _written(edge.admin_url)
            edge.signal(signal.SIGKILL)
            await edge.ended()
        asked = origin.count()
        async with serving(tmp_path, origin.url) as edge:
            for target in targets:
                async with session.get(edge.url + target) as response:
                    assert await response.read() == target.encode() * 2000
                    assert response.headers["Cache-Status"].startswith("cachewire; hit")
        assert origin.count() == asked == 50


async def test_sigterm_right_after_storing_loses_nothing(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin, aiohttp.ClientSession(headers=HOST) as session:
        origin.default = reply(body=b"x" * 20_000, headers=IMAGE)
        async with serving(tmp_path, origin.url) as edge:
            for number in range(100):
                async with session.get(f"{edge.url}/{number}.png") as response:
                    await response.read()
            edge.signal(signal.SIGTERM)
            assert await edge.ended() == 0
        async with serving(tmp_path, origin.url) as edge:
            for number in range(100):
                async with session.get(f"{edge.url}/{number}.png") as response:
                    assert response.headers["Cache-Status"].startswith("cachewire; hit")
        assert origin.count() == 100


async def test_a_corrupt_database_is_set_aside_and_the_edge_serves(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin, aiohttp.ClientSession(headers=HOST) as session:
        origin.default = reply(body=b"ok", headers=IMAGE)
        async with serving(tmp_path, origin.url) as edge:
            async with session.get(f"{edge.url}/a.png") as response:
                assert response.status == 200
            edge.signal(signal.SIGTERM)
            await edge.ended()
        database = next(path for path in (tmp_path / "cache").rglob("cache.db"))
        database.write_bytes(b"this is no database" * 1000)
        async with serving(tmp_path, origin.url) as edge:
            for expected in ("fwd=uri-miss", "hit"):
                async with session.get(f"{edge.url}/a.png") as response:
                    assert expected in response.headers["Cache-Status"]
        assert any("corrupt" in path.name for path in (tmp_path / "cache").rglob("*"))


async def test_a_body_file_damaged_while_nobody_watched_is_never_served(tmp_path: Path) -> None:
    body = b"0123456789" * 300_000
    async with ScriptedOrigin() as origin, aiohttp.ClientSession(headers=HOST) as session:
        origin.default = reply(body=body, headers=IMAGE)
        async with serving(tmp_path, origin.url) as edge:
            async with session.get(f"{edge.url}/a.png") as response:
                await response.read()
            edge.signal(signal.SIGTERM)
            await edge.ended()
        (file,) = [
            path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size >= len(body)
        ]
        with file.open("r+b") as damaged:
            damaged.write(b"EVIL")
        async with serving(tmp_path, origin.url) as edge:
            async with session.get(f"{edge.url}/a.png", headers={"Range": "bytes=0-9"}) as response:
                assert await response.read() in (b"0123456789", body)
            async with session.get(f"{edge.url}/a.png") as response:
                assert await response.read() == body


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def _written(admin_url: str) -> None:
    """Until the write-behind is empty, as the metrics say."""
    async with asyncio.timeout(10), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{admin_url}/metrics") as response:
                if "cachewire_cache_write_behind_bytes 0.0" in await response.text():
                    return
            await asyncio.sleep(0.02)
