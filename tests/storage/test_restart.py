"""Restarts, orderly and not: the other process is a real one and dies by SIGKILL."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

from tests.storage.conftest import Open
from tests.storage.samples import KIB, MIB, content_of, head, loaded, store

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.storage.samples import KIB, MIB, flushed, head, store, tiers

def content(number: int) -> bytes:
    return b"%08d" % number * ((MIB if number % 20 == 0 else (number % 7 + 1) * 13 * KIB) // 8)

async def main() -> None:
    it = tiers(Path(sys.argv[1]))
    await it.open()
    number = 0
    while True:
        number += 1
        await store(it, head(f"http://shop/{number}"), content(number))
        if number % 10 == 0:
            await flushed(it)
            print(number, flush=True)
            spool = it.spool(None)  # a download that will never end
            assert spool is not None
            await spool.write(bytes(MIB))

asyncio.run(main())
"""


def content(number: int) -> bytes:
    return b"%08d" % number * ((MIB if number % 20 == 0 else (number % 7 + 1) * 13 * KIB) // 8)


async def killed_writer(directory: Path, after: int) -> int:
    """Run a process that stores and flushes, kill it amid its work; the last number it had flushed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(directory), stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    flushed = 0
    async with asyncio.timeout(60):
        while flushed < after:
            flushed = int(await process.stdout.readline())
    process.kill()
    rest = (await process.communicate())[0].split()
    assert process.returncode == -9
    return max([flushed, *map(int, rest)])


async def test_what_was_flushed_before_a_kill_is_served_after_the_restart(opened: Open, tmp_path: Path) -> None:
    last = await killed_writer(tmp_path / "cache", after=120)
    it = await opened()
    for number in range(1, last + 1):
        assert await loaded(it, f"http://shop/{number}") == content(number), number
    # Whatever else made it to disk is whole, too.
    for entry in it.entries():
        assert await loaded(it, entry.key) == content(int(entry.key.rpartition("/")[2]))
    assert it.stats().damaged == 0
    assert not list((tmp_path / "cache" / "incoming").iterdir())
    files = sum(1 for _ in (tmp_path / "cache").rglob("*.val"))
    assert files == sum(entry.length >= 64 * KIB for entry in it.entries())


async def test_a_killed_cache_can_be_written_to_and_killed_again(opened: Open, tmp_path: Path) -> None:
    for _ in range(3):
        last = await killed_writer(tmp_path / "cache", after=20)
    it = await opened()
    assert [await loaded(it, f"http://shop/{number}") for number in (1, last)] == [content(1), content(last)]
    assert len({entry.key for entry in it.entries()}) == it.stats().entries


async def test_closing_loses_nothing_that_was_put(opened: Open) -> None:
    it = await opened()
    for number in range(1, 200):
        await store(it, head(f"http://shop/{number}"), content(number))
    assert it.stats().write_behind_bytes > 0
    dropped = it.stats().dropped_writes
    await it.close()
    again = await opened()
    assert again.stats().entries == 199 - dropped
    for entry in again.entries():
        assert await loaded(again, entry.key) == content(int(entry.key.rpartition("/")[2]))


async def test_a_purge_is_on_disk_when_it_returns(opened: Open, tmp_path: Path) -> None:
    script = WRITER.replace(
        "print(number, flush=True)",
        "await it.remove(lambda entry: int(entry.url.rpartition('/')[2]) % 2 == 1); print(number, flush=True)",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "cache"), stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        last = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    it = await opened()
    stored = {int(entry.url.rpartition("/")[2]) for entry in it.entries()}
    assert {number for number in stored if number <= last} == set(range(2, last + 1, 2))


async def test_entries_keep_their_order_of_arrival_and_their_age_over_a_restart(opened: Open) -> None:
    it = await opened()
    await store(it, head(vary=(("accept", "text/html"),), at=500.0), b"older")
    await store(it, head(vary=(("accept", "image/png"),), at=600.0), b"newer")
    await it.close()
    newer, older = (await opened()).variants("http://shop/a")
    assert (newer.stored_at, older.stored_at) == (600.0, 500.0)


async def test_a_hundred_megabytes_survive_a_restart_bit_by_bit(opened: Open) -> None:
    it = await opened(disk=200 * MIB, max_object=150 * MIB)
    spool = it.spool(None)
    assert spool is not None
    digest = hashlib.sha256()
    for number in range(100):
        piece = number.to_bytes(4, "big") * (MIB // 4)
        digest.update(piece)
        await spool.write(piece)
    await spool.finish()
    assert await it.put(head(), spool, it.mark()) is not None
    await spool.close()
    await it.close()
    again = await opened(disk=200 * MIB, max_object=150 * MIB)
    found = await again.load(again.variants("http://shop/a")[0])
    assert found is not None
    assert hashlib.sha256(await content_of(found[1])).digest() == digest.digest()
