"""The edge as its users run it: its own process, started by the command line, ended by signals."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


class EdgeProcess:
    """A running `cachewire serve`. Its banner has been printed: it serves."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, admin_port: int, origin_url: str) -> None:
        self.process = process
        self.origin_url = origin_url
        self.port = port
        self.admin_port = admin_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit status."""
        async with asyncio.timeout(30):
            return await self.process.wait()

    def resident_bytes(self, kind: str = "VmRSS") -> int:
        """Resident memory now, or at its peak with `VmHWM`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"{kind}:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024


@asynccontextmanager
async def serving(directory: Path, origin_url: str, **settings: object) -> AsyncIterator[EdgeProcess]:
    """`cachewire serve` on free ports with its cache in `directory`. Killed at the end if it still runs."""
    config = directory / "cachewire.yaml"
    sections = {
        "server": {"listen": "127.0.0.1:0", "drain_timeout": "5s"},
        "admin": {"listen": "127.0.0.1:0"},
        "cache": {"dir": str(directory / "cache")},
        "routes": [{"name": "all", "match": "/**", "strategy": "cache-first", "expiration": {"max_age": "30d"}}],
        **settings,
    }
    config.write_text(yaml.safe_dump(sections))
    async with _running("serve", "--config", str(config), "--origin", origin_url) as edge:
        yield edge


@asynccontextmanager
async def demonstrating(directory: Path, *, known_ports: bool = False) -> AsyncIterator[EdgeProcess]:
    """`cachewire demo` on free ports, as `make run` calls it, with its cache in `directory`.

    With `known_ports` they are chosen before, so that the application can be told where it may publish.
    """
    admin, origin = (f"127.0.0.1:{_free_port() if known_ports else 0}" for _ in range(2))
    cache = f"cache.dir={directory / 'cache'}"
    listeners = ("--listen", "127.0.0.1:0", "--admin", admin, "--origin-listen", origin)
    async with _running("demo", *listeners, "--set", cache) as edge:
        yield edge


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[EdgeProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield EdgeProcess(process, *await _addresses(process))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _addresses(process: asyncio.subprocess.Process) -> tuple[int, int, str]:
    """The ports of the edge and the dashboard, and the origin's URL, as the banner tells them."""
    assert process.stdout is not None
    banner = ""
    async with asyncio.timeout(60):
        while "dashboard" not in banner:
            line = (await process.stdout.readline()).decode()
            assert line, "the edge ended before it served"
            banner += line
    edge = re.search(r"edge +http://[^ ]+:(\d+) +in front of (\S+)", banner)
    dashboard = re.search(r"dashboard +http://[^ ]+:(\d+)", banner)
    assert edge is not None
    assert dashboard is not None
    return int(edge[1]), int(dashboard[1]), edge[2]
