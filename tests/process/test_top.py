"""`cachewire top` against a running edge: once for scripts, live in a terminal, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

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


class Terminal:
    """`cachewire top` in a pseudo-terminal of 24 lines and 80 columns."""

    def __init__(self, near: int, far: int, process: asyncio.subprocess.Process) -> None:
        self._near = near
        self._far = far
        self._before = termios.tcgetattr(far)
        self.process = process
        self.shown = b""

    def press(self, keys: bytes) -> None:
        os.write(self._near, keys)

    async def sees(self, text: bytes) -> None:
        """Read what is shown until `text` is, from after what was waited for last."""
        while text not in self.shown:
            self.shown += await asyncio.to_thread(os.read, self._near, 65536)
        self.shown = self.shown.partition(text)[2]

    async def ends(self) -> int:
        """The exit status; the terminal is then as it was, and nothing more was said."""
        ended = asyncio.create_task(self.process.wait())  # until it has, somebody has to read what it says
        await self.sees(b"\x1b[?1049l")
        status = await asyncio.wait_for(ended, 20)
        assert termios.tcgetattr(self._far)[3] == self._before[3]
        os.set_blocking(self._near, False)
        with contextlib.suppress(BlockingIOError):
            self.shown += os.read(self._near, 65536)
        assert not re.search(rb"[A-Za-z]", re.sub(rb"\x1b\[[?\d;]*[A-Za-z]", b"", self.shown)), self.shown
        return status


@asynccontextmanager
async def _terminal(edge: EdgeProcess, interval: float) -> AsyncIterator[Terminal]:
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--admin", f"127.0.0.1:{edge.admin_port}", "--interval", str(interval)),
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=far,
        stdout=far,
        stderr=far,
        preexec_fn=partial(_leads, far),
    )
    try:
        yield Terminal(near, far, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(near)
        os.close(far)


def _leads(terminal: int) -> None:
    """Make it the terminal of a session of its own, so that Ctrl-C reaches the process."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeProcess]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        async with serving(tmp_path, origin.url) as edge:
            yield edge


@pytest.mark.parametrize(("key", "status"), [(b"q", 0), (b"\x1b", 0), (b"\x03", 130)], ids=["q", "escape", "Ctrl-C"])
async def test_a_key_that_quits_leaves_the_terminal_as_it_was_without_a_word(
    edge: EdgeProcess, key: bytes, status: int
) -> None:
    async with _terminal(edge, interval=60) as terminal:
        await terminal.sees(b"taking the first two looks")
        terminal.press(key)
        assert await terminal.ends() == status


async def test_p_pauses_and_goes_on_with_a_look_at_once_and_other_keys_change_nothing(edge: EdgeProcess) -> None:
    """An arrow begins as the escape key does; and a look is due when it is, whatever is typed meanwhile."""
    async with _terminal(edge, interval=60) as terminal:
        await terminal.sees(b"taking the first two looks")
        terminal.press(b"\x1b[A")
        await terminal.sees(b"taking the first two looks")
        for key in (b"x", b" ", b"\r", b"P", b"\x04", b"\xc3", b"\x1b[15~"):
            terminal.press(key)
            await terminal.sees(b"taking the first two looks")
        terminal.press(b"p")
        await terminal.sees(b"paused")
        terminal.press(b"p")
        for words in (b"healthy", b"preset", b"default", b"in flight"):
            await terminal.sees(words)
        terminal.press(b"q")
        assert await terminal.ends() == 0


async def test_an_edge_that_hangs_is_not_shown_as_if_it_lived_until_it_does_again(edge: EdgeProcess) -> None:
    async with _terminal(edge, interval=0.5) as terminal:
        await terminal.sees(b"healthy")
        edge.process.send_signal(signal.SIGSTOP)
        try:
            for words in (b"s old, waiting", b"s old, trying"):
                await asyncio.wait_for(terminal.sees(words), 20)
        finally:
            edge.process.send_signal(signal.SIGCONT)
        await asyncio.wait_for(terminal.sees(b"healthy"), 20)
        terminal.press(b"q")
        assert await terminal.ends() == 0


async def test_a_look_is_due_however_much_is_typed(edge: EdgeProcess) -> None:
    async with _terminal(edge, interval=0.5) as terminal:
        await terminal.sees(b"taking the first two looks")
        typing = asyncio.create_task(_typing(terminal))
        await terminal.sees(b"in flight")
        typing.cancel()
        terminal.press(b"q")
        assert await terminal.ends() == 0


async def _typing(terminal: Terminal) -> None:
    """Keys that mean nothing, faster than looks are due, until it is cancelled."""
    while True:
        terminal.press(b"x")
        await asyncio.sleep(0.1)
