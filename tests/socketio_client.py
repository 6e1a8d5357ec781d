"""The real socket.io-client under node, for tests that mean it.

    async with Scenario("ten_users", f"http://127.0.0.1:{port}") as scenario:
        await scenario.passes(kill=core.kill)

A scenario is a function of tests/node/scenarios.cjs. Where it says `await step("kill")` it waits until the function of
that name here has run. The client is installed once, from the lock file, into a folder of the user's cache.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "node"
PATIENCE = 40.0
"""Seconds after which a scenario has failed to end."""

Step = Callable[[], Awaitable[Any]]


def modules() -> Path:
    """The folder that `require` looks in; installs the client when it is not there yet. Skips the test without node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are missing (Debian: apt install nodejs npm)")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "cachewire-tests" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests may run in several processes
        if not (folder / "complete").exists():
            _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50)
    if done.returncode:
        pytest.skip(f"socket.io-client cannot be installed from the registry: {done.stderr[-300:]}")
    (folder / "complete").touch()


async def run(scenario: str, url: str, **steps: Step) -> Any:
    """Run a scenario to its end; what it returned. Fails with what it printed when it does not pass."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(HERE / "scenarios.cjs"),
        scenario,
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(modules())},
    )
    assert process.stderr is not None
    errors = asyncio.ensure_future(process.stderr.read())
    try:
        async with asyncio.timeout(PATIENCE):
            result = await _conversation(process, steps)
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        said = (await errors).decode()
    assert status == 0, f"{scenario} failed:\n{said}"
    return result


async def _conversation(process: asyncio.subprocess.Process, steps: dict[str, Step]) -> Any:
    """Carry out the steps that the scenario asks for, until it tells its result."""
    assert process.stdout is not None
    assert process.stdin is not None
    result = None
    async for line in process.stdout:
        said = json.loads(line)
        if "step" in said:
            answer = await steps[said["step"]]()
            process.stdin.write(json.dumps(answer).encode() + b"\n")
        else:
            result = said["result"]
    return result
