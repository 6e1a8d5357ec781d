from __future__ import annotations

import asyncio

from proxy.storage.base import Entry
from proxy.storage.purges import PurgeLog
from tests.storage.conftest import Open
from tests.storage.samples import MIB, everything, head, loaded, of_path, store


async def test_a_purge_removes_from_all_tiers_what_it_covers_and_nothing_else(opened: Open) -> None:
    it = await opened()
    await store(it, head(of_path("small")), b"small")
    await store(it, head(of_path("large")), bytes(MIB))
    await store(it, head("http://other/"), b"other")
    assert await it.remove(lambda entry: entry.url.startswith("http://shop/")) == 2
    assert [entry.url for entry in it.entries()] == ["http://other/"]
    assert it.stats().purged == 2
    await it.close()
    again = await opened()
    assert [entry.url for entry in again.entries()] == ["http://other/"]


async def test_a_purge_waits_for_its_own_deletes_and_not_for_the_traffic_of_others(opened: Open) -> None:
    it = await opened()
    busy = [await store(it, head(of_path(f"busy/{number}")), b"body") for number in range(50)]

    async def freshen_for_ever(entry: Entry | None) -> None:
        while entry is not None:
            entry = await it.freshen(entry, head())
            await asyncio.sleep(0)

    traffic = [asyncio.create_task(freshen_for_ever(entry)) for entry in busy]
    async with asyncio.timeout(2):
        for number in range(20):
            await store(it, head(of_path(f"{number}")), b"body")
            assert await it.remove(everything, url=of_path(f"{number}")) == 1
    assert not any(task.done() for task in traffic)
    for task in traffic:
        task.cancel()
    await asyncio.gather(*traffic, return_exceptions=True)


async def test_a_purge_by_url_or_tag_looks_at_nothing_else(opened: Open) -> None:
    it = await opened()
    for name in "abcd":
        await store(it, head(of_path(name), tags=("even",) if name in "bd" else ()), b"body")
    seen: list[str] = []

    def covers(entry: Entry) -> bool:
        seen.append(entry.url)
        return True

    assert await it.remove(covers, url=of_path("a")) == 1
    assert await it.remove(covers, tag="even") == 2
    assert sorted(seen) == [of_path("a"), of_path("b"), of_path("d")]


async def test_a_response_fetched_before_a_purge_that_covers_it_is_not_stored_after_it(opened: Open) -> None:
    it = await opened()
    mark = it.mark()
    await it.remove(everything, url=of_path("a"))
    assert await store(it, head(of_path("a")), b"old", mark=mark) is None
    assert await store(it, head(of_path("b")), b"not covered", mark=mark) is not None
    assert await store(it, head(of_path("a")), b"new") is not None
    assert await loaded(it, of_path("a")) == b"new"


async def test_a_purge_during_the_placing_of_a_large_body_still_holds(opened: Open) -> None:
    it = await opened()
    spool = it.spool(None)
    assert spool is not None
    await spool.write(bytes(MIB))
    await spool.finish()
    putting = asyncio.create_task(it.put(head(), spool, it.mark()))
    await asyncio.sleep(0)  # the file is on its way in the writer's thread
    await it.remove(everything)
    assert await putting is None
    await spool.close()
    await it.close()
    assert list((await opened()).entries()) == []


def test_a_mark_older_than_the_remembered_purges_is_not_trusted() -> None:
    purges = PurgeLog(bound=3)
    old = purges.sequence
    purges.add(lambda _: False)
    young = purges.sequence
    for _ in range(3):
        purges.add(lambda _: False)
    assert purges.applied_to(head(), old) is None
    assert purges.applied_to(head(), young) == head()


async def test_a_soft_purge_marks_stale_in_every_tier_and_survives_a_restart(opened: Open) -> None:
    it = await opened()
    await store(it, head(of_path("small")), b"small")
    await store(it, head(of_path("large")), bytes(MIB))
    before = list(it.entries())
    assert await it.expire(everything, 1_000_005.0) == 2
    for store_now in (it, None):
        if store_now is None:
            await it.close()
        again = store_now or await opened()
        assert len(list(again.entries())) == 2
        for entry in again.entries():
            assert entry not in before
            assert entry.fresh_until == 1_000_005.0
            found = await again.load(entry)
            assert found is not None
            assert found[0].stale_since == 1_000_005.0
            await found[1].close()


async def test_a_response_fetched_before_a_soft_purge_is_stored_as_stale(opened: Open) -> None:
    it = await opened()
    mark = it.mark()
    await it.expire(everything, 1_000_005.0)
    for content in (b"small", bytes(MIB)):
        entry = await store(it, head(), content, mark=mark)
        assert entry is not None
        found = await it.load(entry)
        assert found is not None
        assert found[0].stale_since == 1_000_005.0
        await found[1].close()


async def test_a_soft_purge_reaches_an_entry_that_only_the_disk_holds_before_the_disk_knows(opened: Open) -> None:
    it = await opened(memory=0)
    await store(it, head(), b"queued")
    expiring = asyncio.create_task(it.expire(everything, 1_000_005.0))
    await asyncio.sleep(0)
    (entry,) = it.entries()
    found = await it.load(entry)
    assert found is not None
    assert found[0].stale_since == 1_000_005.0
    assert await expiring == 1


async def test_what_a_purge_marks_stale_is_counted_apart_from_what_it_removes(opened: Open) -> None:
    it = await opened()
    await store(it, head(of_path("a")), b"a")
    await store(it, head(of_path("b")), b"b")
    assert await it.expire(everything, 0.0) == 2
    assert await it.remove(everything, url=of_path("a")) == 1
    assert (it.stats().purged, it.stats().marked_stale) == (1, 2)
