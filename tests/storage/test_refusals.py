"""A disk that is full, and a process out of descriptors: costs hits, and never a purge."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from pathlib import Path

import pytest

from tests.storage.conftest import Open
from tests.storage.samples import (
    MIB,
    Clock,
    everything,
    flushed,
    full_disk,
    head,
    loaded,
    store,
    value_files,
)


async def test_on_a_full_disk_responses_stay_in_memory_and_the_log_stays_quiet(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    it = await opened(now=clock)
    with full_disk():
        for number in range(50):
            await store(it, head(f"http://shop/{number}"), bytes(3000))
            await flushed(it)
        assert await loaded(it, "http://shop/49") == bytes(3000)
        assert it.stats().storage_errors >= 10
        assert len(caplog.records) == 1
        clock.now += 61
        await store(it, head("http://shop/later"), bytes(3000))
        await flushed(it)
        assert len(caplog.records) == 2
    assert not any(entry.on_disk for entry in it.entries() if entry.url == "http://shop/later")
    await store(it, head("http://shop/after"), bytes(3000))
    await it.close()
    assert await loaded(await opened(), "http://shop/after") == bytes(3000)


async def test_a_purge_on_a_full_disk_holds_now_and_after_a_restart(opened: Open) -> None:
    it = await opened()
    for name in ("a", "b"):
        await store(it, head(f"http://shop/{name}"), bytes(3000))
    await store(it, head("http://shop/large"), bytes(MIB))
    await flushed(it)
    with full_disk():
        assert await it.remove(lambda entry: entry.url != "http://shop/b") == 2
        assert await loaded(it, "http://shop/a") is None
        assert it.stats().storage_errors > 0
        await it.close()  # still full: nothing could be deleted
        again = await opened()
        assert [entry.url for entry in again.entries()] in ([], ["http://shop/b"])
        await again.close()
    roomy = await opened()
    assert [entry.url for entry in roomy.entries()] == ["http://shop/b"]
    assert await loaded(roomy, "http://shop/b") == bytes(3000)


async def test_what_a_full_disk_refused_to_delete_is_deleted_once_it_can_be(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    await store(it, head("http://shop/large"), bytes(MIB))
    with full_disk():
        await it.remove(everything)
    assert len(value_files(tmp_path)) == 1
    await it.sweep()
    await it.close()
    assert value_files(tmp_path) == []


async def test_a_purge_while_the_disk_tier_is_off_makes_the_next_start_begin_empty(
    opened: Open, tmp_path: Path
) -> None:
    it = await opened()
    await store(it, head(), b"body")
    await it.close()
    with full_disk(size=0):  # not even the database can be opened
        off = await opened()
        assert await off.remove(everything) == 0
        await off.close()
    assert not (await opened()).variants("http://shop/a")


async def test_a_large_body_whose_record_does_not_fit_leaves_no_file_behind(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    spool = it.spool(None)
    assert spool is not None
    await spool.write(bytes(MIB))
    await spool.finish()
    with full_disk():
        assert await it.put(head(), spool, it.mark()) is None
    await spool.close()
    await it.close()
    assert value_files(tmp_path) == list((tmp_path / "cache" / "incoming").iterdir()) == []


async def test_a_put_that_is_cancelled_leaves_nothing_behind(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    spool = it.spool(None)
    assert spool is not None
    await spool.write(bytes(MIB))
    await spool.finish()
    putting = asyncio.create_task(it.put(head(), spool, it.mark()))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await spool.close()
    await it.close()
    assert value_files(tmp_path) == list((tmp_path / "cache" / "incoming").iterdir()) == []
    assert list((await opened()).entries()) == []


async def test_a_process_out_of_file_descriptors_misses_but_keeps_its_entries(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    await store(it, head(), bytes(MIB))
    assert await loaded(it) == bytes(MIB)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # what earlier tests left would give descriptors back in the middle of this one
    highest = max(map(int, os.listdir("/proc/self/fd")))
    spare = [os.dup(0) for _ in range(highest)]  # fill every gap below the limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
    try:
        assert await loaded(it) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in spare:
            os.close(descriptor)
    assert it.stats().storage_errors == 1
    assert await loaded(it) == bytes(MIB)
