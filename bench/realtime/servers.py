"""The servers under test as processes: started, asked for their CPU and memory, ended. Peers are installed here."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cachewire" / "bench"
WINDOW = 50  # milliseconds, of our core and of the batch written by hand

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Contestant:
    """A server and how to start it; `command` gets a directory of its own."""

    name: str
    command: Callable[[Path], Sequence[str]]
    prepare: Callable[[], dict[str, str]] = field(default=dict)
    """Installs what it needs, and returns its environment; raises Unavailable."""
    ready: str = "ready"
    collects: bool = False
    """SIGUSR2 makes it collect its garbage."""


class Unavailable(Exception):
    """A peer that cannot be installed here; the reason."""


class Server:
    """A running contestant."""

    def __init__(self, contestant: Contestant, process: asyncio.subprocess.Process, port: int) -> None:
        self.name = contestant.name
        self.port = port
        self._collects = contestant.collects
        self._pid = process.pid

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all its threads."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """Bytes of memory in use now."""
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * _PAGE

    async def settled(self, *, seconds: float = 20.0) -> int:
        """Resident bytes once they have stopped changing, after a garbage collection where it can be asked for."""
        before, calm = self.resident(), 0
        for _ in range(int(seconds)):
            if self._collects:
                os.kill(self._pid, signal.SIGUSR2)
            await asyncio.sleep(1)
            now = self.resident()
            calm = calm + 1 if abs(now - before) < 256 * 1024 else 0
            before = now
            if calm == 3:
                break
        return before


@asynccontextmanager
async def running(contestant: Contestant) -> AsyncIterator[Server]:
    """The contestant on a free port of the loopback; ended afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        command = contestant.command(Path(directory))
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=os.environ | contestant.prepare(),
            stdout=asyncio.subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_STDERR") else asyncio.subprocess.DEVNULL,
        )
        drain = None
        try:
            port = await _port(contestant, process)
            drain = asyncio.create_task(_discard(process))
            yield Server(contestant, process, port)
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()
            if drain is not None:
                await drain


async def _port(contestant: Contestant, process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if match := re.search(contestant.ready + r".*?http://[0-9.]+:(\d+)", line):
                return int(match[1])
    raise Unavailable(f"{contestant.name} did not start")


async def _discard(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass


def _cached(name: str, *sources: Path) -> Path:
    """A folder for an installation that these files describe."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    return CACHE / f"{name}-{digest}"


def _run(*command: str | Path, cwd: Path) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{command[0]}: {error}") from None


def _node_modules() -> Path:
    """Where `require("socket.io")` finds it; installed once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node or npm is missing")
    manifest, lock = PEERS / "package.json", PEERS / "package-lock.json"
    folder = _cached("node", manifest, lock)
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, folder)
        shutil.copy(lock, folder)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
        (folder / "done").touch()
    return folder / "node_modules"


def _python() -> Path:
    """The interpreter of the environment that has python-socketio; installed once."""
    requirements = PEERS / "requirements.txt"
    folder = _cached("python", requirements)
    if not (folder / "done").exists():
        venv.create(folder, with_pip=True, clear=True)
        _run(folder / "bin/python", "-m", "pip", "install", "-q", "-r", requirements, cwd=folder)
        (folder / "done").touch()
    return folder / "bin/python"


def _node(window: int) -> Callable[[Path], Sequence[str]]:
    return lambda _: ("node", "--expose-gc", str(PEERS / "socketio.cjs"), str(window))


def _require() -> dict[str, str]:
    return {"NODE_PATH": str(_node_modules()), "NODE_ENV": "production"}


NODE = Contestant("Socket.IO on Node", _node(0), _require, collects=True)
NODE_BATCH = Contestant(f"Socket.IO on Node, {WINDOW} ms batch", _node(WINDOW), _require, collects=True)
PYTHON_SOCKETIO = Contestant(
    "python-socketio",
    lambda _: (str(_python()), str(PEERS / "on_aiohttp.py")),
    lambda: {"VIRTUAL_ENV": str(_python().parents[1])},
    collects=True,
)


def cachewire(origin: str = "http://127.0.0.1:9", persist: str | None = None, **settings: str) -> Contestant:
    """As deployed: the core inside the edge. Without `persist` the application is asked nothing."""

    def command(directory: Path) -> Sequence[str]:
        chosen = {
            "server.listen": "127.0.0.1:0",
            "admin.listen": "127.0.0.1:0",
            "cache.dir": f"{directory}/cache",
            "realtime.auth": "trusted",
            "realtime.batch.delay": f"{WINDOW}ms",
            **({} if persist is None else {"realtime.origin.persist": persist}),
            **settings,
        }
        sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
        (directory / "config.yaml").write_text("{}\n")  # all defaults, instead of the demo's
        config = ("--config", str(directory / "config.yaml"))
        return (sys.executable, "-u", "-m", "proxy", "serve", *config, "--origin", origin, *sets)

    return Contestant("Cachewire", command, ready="edge")


def bare() -> Contestant:
    """The core alone in a process of its own, with its journal."""
    return Contestant(
        "Cachewire, bare core",
        lambda directory: (sys.executable, "-u", "-m", "bench.realtime.core", "--journal", f"{directory}/journal"),
        collects=True,
    )
