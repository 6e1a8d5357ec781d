"""`cachewire top` against a running edge: once for scripts, live in a terminal, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import aiohttp

from tests.origin import ScriptedOrigin, reply
from tests.process.edge_process import ROOT, EdgeProcess, serving

COMMAND = (sys.executable, "-m", "proxy", "top")


async def _top(edge: EdgeProcess, *arguments: str, token: str = "") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "--admin",
        f"127.0.0.1:{edge.admin_port}",
        *arguments,
        cwd=ROOT,
        env={**os.environ, **({"CACHEWIRE__ADMIN__TOKEN": token} if token else {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def _asked(edge: EdgeProcess) -> None:
    """Requests one after the other, until it is cancelled."""
    async with aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"{edge.url}/a") as response:
                await response.read()


async def test_once_prints_one_screen_of_what_happened_meanwhile(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        async with serving(tmp_path, origin.url) as edge:
            load = asyncio.create_task(_asked(edge))
            status, text = await _top(edge, "--once", "--interval", "0.5")
            load.cancel()
    assert status == 0
    assert "healthy" in text
    assert "\nall " in text, "the route that had traffic"
    assert "\x1b" not in text


async def test_a_wrong_token_and_a_wrong_address_are_said_in_one_line(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin, serving(tmp_path, origin.url) as edge:
        admin = {"listen": "127.0.0.1:0", "token": "a-long-secret-token"}
        (tmp_path / "guarded").mkdir()
        async with serving(tmp_path / "guarded", origin.url, admin=admin) as guarded:
            status, text = await _top(guarded, "--once")
            assert status == 1
            assert "CACHEWIRE__ADMIN__TOKEN" in text
            status, text = await _top(guarded, "--once", "--interval", "0.2", token="a-long-secret-token")
            assert status == 0
        status, text = await _top(guarded, "--once")
        assert (status, len(text.splitlines())) == (1, 1)
        assert "no Cachewire answers" in text
        assert edge.process.returncode is None


async def test_live_it_fills_the_terminal_and_leaves_it_as_it_was_at_q(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        async with serving(tmp_path, origin.url) as edge:
            near, far = pty.openpty()
            fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            before = termios.tcgetattr(far)
            process = await asyncio.create_subprocess_exec(
                *(*COMMAND, "--admin", f"127.0.0.1:{edge.admin_port}", "--interval", "0.2"),
                cwd=ROOT,
                env={**os.environ, "TERM": "xterm-256color"},
                stdin=far,
                stdout=far,
                stderr=far,
            )
            await asyncio.to_thread(_seen, near, b"in flight")
            os.write(near, b"p")
            await asyncio.to_thread(_seen, near, b"paused")
            os.write(near, b"q")
            # Until it has ended somebody has to read what it says.
            ended = asyncio.create_task(process.wait())
            await asyncio.to_thread(_seen, near, b"\x1b[?1049l")
            assert await asyncio.wait_for(ended, 20) == 0
            assert termios.tcgetattr(far)[3] == before[3]
            os.close(near)
            os.close(far)


def _seen(descriptor: int, text: bytes) -> None:
    """Read a terminal until it shows `text`; a test's own time limit ends it otherwise."""
    shown = b""
    while text not in shown:
        shown += os.read(descriptor, 65536)
