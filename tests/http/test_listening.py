"""A port that is open before the edge serves."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from proxy.app import App
from proxy.config.model import Config
from proxy.config.units import Address
from proxy.listening import listening_early


async def test_whoever_connects_while_the_edge_is_built_is_served_when_it_is(tmp_path: Path) -> None:
    early = listening_early(Address("127.0.0.1", 0))
    assert early is not None
    port = early.getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/performance HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    listeners = {"server": {"listen": f"127.0.0.1:{port}"}, "admin": {"listen": "127.0.0.1:0"}}
    cache = {"dir": str(tmp_path / "cache"), "disk": 0}
    origin = {"url": "http://127.0.0.1:9"}
    app = App(Config.model_validate({**listeners, "cache": cache, "origin": origin}), early=early)
    await app.start()
    try:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert app.public_address.port == port
    finally:
        writer.close()
        await app.close()


def test_a_name_or_a_port_that_is_taken_is_left_for_the_edge_to_find_out() -> None:
    assert listening_early(Address("localhost", 0)) is None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert listening_early(Address("127.0.0.1", taken.getsockname()[1])) is None
