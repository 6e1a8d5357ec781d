from __future__ import annotations

import asyncio
import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.storage.base import Store
from proxy.storage.index import RouteLimits
from proxy.storage.memory import memory_weight
from proxy.storage.tiers import Tiers
from tests.storage.conftest import Open
from tests.storage.samples import KIB, MIB, Clock, content_of, everything, flushed, head, loaded, of_path, store, tiers


def test_the_tiers_are_a_store(tmp_path: Path) -> None:
    it: Store = tiers(tmp_path)
    assert it.mark() == 0


async def test_what_was_put_is_loaded_with_its_length_and_checksum(opened: Open) -> None:
    it = await opened()
    entry = await store(it, head(), b"hello")
    assert entry is not None
    assert list(it.variants("http://shop/a")) == [entry]
    found = await it.load(entry)
    assert found is not None
    stored, body = found
    assert (stored.length, stored.checksum) == (5, 0x3610A686)
    assert stored == replace(head(), length=5, checksum=0x3610A686)
    assert await content_of(body) == b"hello"


async def test_a_hit_in_memory_never_suspends_and_uses_no_thread(opened: Open) -> None:
    it = await opened()
    entry = await store(it, head(), b"hello")
    assert entry is not None
    await flushed(it)
    threads = threading.active_count()
    load = it.load(entry)
    with pytest.raises(StopIteration):
        load.send(None)
    assert threading.active_count() == threads


async def test_a_hit_counts_as_use_and_keeps_the_time_of_storing(opened: Open) -> None:
    clock = Clock()
    it = await opened(now=clock)
    entry = await store(it, head(), b"hello")
    assert entry is not None
    clock.now += 30
    assert await loaded(it) == b"hello"
    assert (entry.hits, entry.last_used, entry.stored_at) == (1, 1_000_030.0, 1_000_000.0)


async def test_a_large_body_lives_on_disk_only_and_streams_from_there(opened: Open) -> None:
    it = await opened()
    content = os.urandom(3 * MIB)
    entry = await store(it, head(), content)
    assert entry is not None
    assert (entry.in_memory, entry.on_disk) == (False, True)
    found = await it.load(entry)
    assert found is not None
    pieces = [chunk async for chunk in found[1].chunks()]
    await found[1].close()
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 256 * KIB
    assert await content_of((await it.load(entry) or found)[1], 100_000, 700_000) == content[100_000:700_000]
    assert it.stats().memory_bytes == 0


async def test_a_body_being_streamed_survives_the_removal_of_its_entry(opened: Open) -> None:
    it = await opened()
    content = os.urandom(3 * MIB)
    entry = await store(it, head(), content)
    assert entry is not None
    found = await it.load(entry)
    assert found is not None
    chunks = found[1].chunks()
    got = await anext(chunks)
    assert await it.remove(everything) == 1
    assert await it.load(entry) is None
    async for chunk in chunks:
        got += chunk
    await found[1].close()
    assert got == content


async def test_a_response_that_left_memory_is_still_a_hit_from_disk_and_returns_to_memory(opened: Open) -> None:
    it = await opened(memory=100 * KIB)
    contents = {of_path(f"{number}"): os.urandom(10 * KIB) for number in range(30)}
    for key, content in contents.items():
        await store(it, head(key), content)
    await flushed(it)
    gone = [key for key in contents if not it.variants(key)[0].in_memory]
    assert 15 < len(gone) < 30
    assert it.stats().evictions["memory"] == len(gone)
    for key in gone:
        assert await loaded(it, key) == contents[key]
        assert it.variants(key)[0].in_memory
    assert it.stats().memory_bytes <= 100 * KIB


async def test_a_file_sized_body_that_fits_memory_is_promoted_from_its_file(opened: Open) -> None:
    it = await opened()
    content = os.urandom(100 * KIB)  # over the inline bound of the database, under the memory tier's
    await store(it, head(), content)
    await it.close()
    again = await opened()
    assert await loaded(again) == content
    assert again.variants("http://shop/a")[0].in_memory
    assert await loaded(again) == content


async def test_an_entry_is_readable_before_the_disk_has_it(opened: Open) -> None:
    it = await opened(memory=0)
    entry = await store(it, head(), b"hello")
    assert it.stats().write_behind_bytes > 0
    assert entry is not None
    assert await loaded(it) == b"hello"
    await flushed(it)
    assert await loaded(it) == b"hello"


async def test_a_full_write_behind_costs_the_disk_copy_and_blocks_nobody(opened: Open) -> None:
    it = await opened(write_behind=50 * KIB)
    entries = [await store(it, head(of_path(f"{number}")), bytes(20 * KIB)) for number in range(10)]
    assert sum(entry is not None and entry.on_disk for entry in entries) < 10
    assert it.stats().dropped_writes > 0
    assert [await loaded(it, of_path(f"{number}")) for number in range(10)] == [bytes(20 * KIB)] * 10


async def test_an_entry_only_memory_had_is_gone_when_memory_evicts_it(opened: Open) -> None:
    it = await opened(disk=0, memory=100 * KIB)
    for number in range(30):
        await store(it, head(of_path(f"{number}")), bytes(10 * KIB))
    stats = it.stats()
    assert stats.entries == stats.memory_entries == len(list(it.entries())) < 10
    assert stats.disk_entries == 0
    assert await loaded(it, of_path("0")) is None
    assert await loaded(it, of_path("29")) == bytes(10 * KIB)


async def test_without_a_disk_nothing_larger_than_memory_allows_gets_a_spool(opened: Open) -> None:
    it = await opened(disk=0)
    assert it.spool(128 * KIB) is not None
    assert it.spool(128 * KIB + 1) is None
    assert it.spool(None) is not None


async def test_with_neither_tier_nothing_is_stored(opened: Open) -> None:
    it = await opened(disk=0, memory=0)
    assert it.spool(1) is None
    assert it.spool(None) is None


async def test_a_body_over_the_object_limit_gets_no_spool(opened: Open) -> None:
    it = await opened(max_object=MIB)
    assert it.spool(MIB + 1) is None
    spool = it.spool(MIB)
    assert spool is not None
    await spool.close()


async def test_a_spool_that_was_aborted_is_not_stored(opened: Open) -> None:
    it = await opened()
    spool = it.spool(None)
    assert spool is not None
    await spool.write(b"half")
    await spool.abort(RuntimeError("broke off"))
    assert await it.put(head(), spool, it.mark()) is None
    await spool.close()
    assert list(it.entries()) == []


# Freshening


@pytest.mark.parametrize("size", [10, 100 * KIB, MIB])
async def test_freshening_replaces_the_head_and_keeps_the_body_over_a_restart(opened: Open, size: int) -> None:
    it = await opened()
    content = os.urandom(size)
    entry = await store(it, head(), content)
    assert entry is not None
    await flushed(it)
    # A 304 knows nothing of length and checksum; the store keeps its own.
    fresh = replace(head(at=1_000_500.0), fields=head().fields.replacing(("ETag", '"v2"')))
    freshened = await it.freshen(entry, fresh)
    assert freshened is not None
    assert freshened is not entry
    assert freshened.stored_at == 1_000_500.0
    assert it.variants("http://shop/a") == (freshened,)
    for again in (it, None):
        if again is None:
            await it.close()
        now = again or await opened()
        found = await now.load(now.variants("http://shop/a")[0])
        assert found is not None
        assert found[0].fields.first("etag") == '"v2"'
        assert found[0].fresh_until == 1_000_560.0
        assert await content_of(found[1]) == content


async def test_a_load_from_disk_shows_the_latest_head_while_heads_are_being_written(opened: Open) -> None:
    """The edit may reach the database between the reader's look at it and the loop's at what is pending."""
    it = await opened()
    entry = await store(it, head(), bytes(200 * KIB))
    for number in range(300):
        assert entry is not None
        entry = await it.freshen(entry, replace(head(), reason=f"version {number}"))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        assert entry is not None
        found = await it.load(entry)
        assert found is not None
        await found[1].close()
        assert found[0].reason == f"version {number}"


async def test_freshening_an_entry_that_is_gone_or_changed_does_nothing(opened: Open) -> None:
    it = await opened()
    entry = await store(it, head(), b"body")
    assert entry is not None
    await it.expire(everything, 1_000_001.0)
    assert await it.freshen(entry, head()) is None
    await it.remove(everything)
    assert await it.freshen(entry, head()) is None
    assert list(it.entries()) == []


# Bounds


async def test_the_disk_bound_holds_and_the_least_recently_used_leave_first(opened: Open, tmp_path: Path) -> None:
    it = await opened(disk=4 * MIB, memory=0)
    for number in range(6):
        await store(it, head(of_path(f"{number}")), bytes(MIB))
        await loaded(it, of_path("0"))
    assert it.stats().disk_bytes <= 4 * MIB
    assert sorted(entry.url for entry in it.entries()) == [of_path("0"), of_path("4"), of_path("5")]
    await it.close()
    files = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.val"))
    assert files == 3 * MIB


async def test_the_disk_bytes_counted_are_those_the_directory_really_occupies(opened: Open, tmp_path: Path) -> None:
    it = await opened(write_behind=64 * MIB)
    order = random.Random(7)
    for number in range(400):
        size = int(order.choice([300, 2000, 10_000, 60_000, 100_000]) * order.uniform(0.5, 1.5))
        await store(it, head(of_path(f"{number:06}")), order.randbytes(size))
    counted = it.stats().disk_bytes
    await it.close()
    occupied = sum(path.stat().st_blocks * 512 for path in (tmp_path / "cache" / "cache").rglob("*") if path.is_file())
    assert 0.9 < counted / occupied < 1.1


async def test_a_route_keeps_its_limits(opened: Open) -> None:
    clock = Clock()
    limits = {"images": RouteLimits(max_entries=3, max_age=60)}
    it = await opened(now=clock, limits=lambda route: limits.get(route, RouteLimits()))
    for number in range(5):
        await store(it, head(of_path(f"{number}"), route="images", at=clock.now), b"x")
    await store(it, head(of_path("page"), at=clock.now), b"x")
    assert it.stats().entries == 4
    clock.now += 61
    await it.sweep()
    assert [entry.url for entry in it.entries()] == [of_path("page")]
    assert it.stats().expired == 3


async def test_smaller_bounds_take_effect_at_the_next_start(opened: Open) -> None:
    it = await opened()
    for number in range(20):
        await store(it, head(of_path(f"{number}")), b"x")
    await it.close()
    smaller = await opened(max_entries=5)
    assert [entry.url for entry in smaller.entries()] == [of_path(f"{number}") for number in range(15, 20)]
    await smaller.close()
    assert len(list((await opened()).entries())) == 5


@pytest.mark.parametrize("seed", range(4))
async def test_concurrent_puts_loads_and_purges_never_show_a_torn_or_purged_response(opened: Open, seed: int) -> None:
    """Bodies say their own version; whoever loads must see one version whole, and none from before a purge."""
    it: Tiers = await opened(memory=300 * KIB, memory_object=64 * KIB, disk=8 * MIB)
    order = random.Random(seed)
    purged_before: dict[str, int] = {}
    version = 0

    def body(number: int, size: int) -> bytes:
        return b"%08d" % number * (size // 8)

    async def put(key: str) -> None:
        nonlocal version
        version += 1
        mine, mark = version, it.mark()
        size = order.choice([800, 40 * KIB, 80 * KIB, 600 * KIB])
        await asyncio.sleep(order.random() / 300)
        await store(it, head(key), body(mine, size), mark=mark)

    async def load(key: str) -> None:
        floor = purged_before.get(key, 0)
        for variant in it.variants(key):
            found = await it.load(variant)
            if found is not None:
                content = await content_of(found[1])
                assert content == content[:8] * (len(content) // 8)
                assert int(content[:8]) > floor

    async def purge(key: str) -> None:
        nonlocal version
        version += 1
        mine = version
        await it.remove(everything, url=key)
        purged_before[key] = max(mine, purged_before.get(key, 0))

    async def soften(key: str) -> None:
        await it.expire(everything, 1_000_000.0, url=key)

    keys = [of_path(f"{number}") for number in range(6)]
    async with asyncio.TaskGroup() as group:
        for _ in range(250):
            action = order.choices([put, load, purge, soften], [4, 6, 1, 1])[0]
            group.create_task(action(order.choice(keys)))
            if order.random() < 0.3:
                await asyncio.sleep(order.random() / 500)
    stats = it.stats()
    held = [resident for entry in it.entries() if entry.in_memory and (resident := it.resident(entry)) is not None]
    assert stats.memory_bytes == sum(memory_weight(one.stored, len(one.body)) for one in held) <= 300 * KIB
    assert stats.memory_entries == len(held)
    assert stats.storage_errors == stats.damaged == 0
    before = {entry.key: await loaded(it, entry.key) for entry in it.entries() if entry.on_disk}
    await it.close()
    again = await opened(memory=300 * KIB, memory_object=64 * KIB, disk=8 * MIB)
    assert {entry.key: await loaded(again, entry.key) for entry in again.entries()} == before
