"""docs/library.md is an application and its client: both run as they stand, and what it shows is what comes.

The client is the real one, under node. What the page lists of settings and reasons is compared with the code.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import pytest

from realtime.reasons import SESSION_ENDS
from realtime.settings import EngineSettings, HubSettings
from tests.socketio_client import PATIENCE, modules

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text()
RESULT = re.compile(r"^(.+); // → (.+)$", re.MULTILINE)
WHILE_NOT_IN = {"connect-timeout", "gave-way"}
"""Ends of a session that is in no namespace yet."""
OF_THE_EDGE = {"reconnect"}
TRANSPORTS = ('["websocket"]', '["polling"]', '["polling", "websocket"]')
IMPORT = "import { io } from"


def examples(language: str) -> str:
    """The page's examples in one language, as the one file that they are."""
    return "\n\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def table(after: str) -> list[list[str]]:
    """The cells of the first table behind a heading."""
    rows = PAGE.partition(f"\n## {after}\n")[2].partition("\n|---")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows.splitlines()[1:]]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z_-]+)`", cell))


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[str]:
    """The page's application as a process; its URL."""
    (tmp_path / "board.py").write_text(examples("python"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "board.py", "0"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        found = re.search(rb"http://\S+", await process.stdout.readline())
        assert found is not None
        yield found[0].decode()
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert errors.count(b"Traceback") == errors.count(b"the handler of 'add' failed") > 0, errors.decode()


async def test_what_the_page_shows_happens_over_each_transport(application: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(modules())
    for transports in TRANSPORTS * 2:  # whoever came before is gone
        await happens(application, tmp_path, transports)


async def happens(url: str, folder: Path, transports: str) -> None:
    """Run the page's client, and compare what it gets with what the page says."""
    shown = len(RESULT.findall(examples("js")))
    client = RESULT.sub(r"assert.deepEqual(\1, \2); met += 1;", examples("js"))
    assert shown == client.count("assert.deepEqual") == PAGE.count("; // → ") > 10
    assert IMPORT in client
    (folder / "client.mjs").write_text(
        'import assert from "node:assert/strict";\nlet met = 0;\n'
        + client.replace("http://127.0.0.1:3000", url).replace(*_using(transports))
        + "\nconsole.log(met);\nprocess.exit();\n"
    )
    process = await asyncio.create_subprocess_exec(
        *("node", "client.mjs"), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert int(said) == shown


def _using(transports: str) -> tuple[str, str]:
    """What stands in for the page's import, so that its client uses these."""
    wrapped = f"const io = (url, options = {{}}) => open(url, {{ transports: {transports}, ...options }});"
    return IMPORT, f"{wrapped}\nimport {{ io as open }} from"


def test_every_reason_that_an_application_may_hear_is_listed() -> None:
    listed = [reason for cells in table("Who goes") for reason in words(cells[0])]
    assert sorted(listed) == sorted(
        {*SESSION_ENDS, "client-disconnect", "connection-lost"} - WHILE_NOT_IN - OF_THE_EDGE
    )


def test_every_limit_has_a_setting_of_that_name_and_every_end_is_one() -> None:
    rows = table("Limits")
    assert len(rows) > 5
    for _, settings, beyond in rows:
        known = {field.name for field in fields(HubSettings if "hub:" in settings else EngineSettings)}
        assert words(settings)
        assert words(settings) <= known
        assert words(beyond) <= set(SESSION_ENDS)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_every_file_it_links_to_is_there(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
