from __future__ import annotations

import asyncio
import os
import resource
import stat
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import BodyIncomplete, StorageError
from proxy.storage.files import Incoming
from proxy.storage.spool import LIVE_WINDOW, BodySpool
from tests.storage.samples import KIB, MIB, content_of, full_disk

Spooling = Callable[..., BodySpool]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
async def spooling(tmp_path: Path, pool: ThreadPoolExecutor) -> AsyncIterator[Spooling]:
    made: list[BodySpool] = []

    def spool(
        expected: int | None = None, *, memory: int = 100 * KIB, limit: int = 64 * MIB, disk: bool = True
    ) -> BodySpool:
        incoming = Incoming(tmp_path, pool) if disk else None
        made.append(BodySpool(expected=expected, memory_limit=memory, object_limit=limit, incoming=incoming))
        return made[-1]

    yield spool
    for one in made:
        await one.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the other tasks run until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def written(spool: BodySpool, content: bytes, piece: int = 64 * KIB) -> None:
    for start in range(0, len(content), piece):
        await spool.write(content[start : start + piece])
    await spool.finish()


async def test_a_small_body_stays_in_memory_and_touches_no_file(spooling: Spooling, tmp_path: Path) -> None:
    spool = spooling()
    await written(spool, b"hello world", piece=3)
    assert spool.take() == b"hello world"
    assert spool.checksum == zlib.crc32(b"hello world")
    assert files_in(tmp_path) == []


async def test_a_body_over_the_threshold_moves_to_a_private_file(spooling: Spooling, tmp_path: Path) -> None:
    content = os.urandom(700 * KIB)
    spool = spooling()
    await written(spool, content)
    (path,) = files_in(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert spool.take() == path
    assert path.read_bytes() == content
    assert spool.checksum == zlib.crc32(content)
    await spool.close()
    assert path.exists(), "a taken file belongs to its taker"


async def test_a_spool_that_nobody_took_leaves_no_file_behind(spooling: Spooling, tmp_path: Path) -> None:
    spool = spooling()
    await written(spool, bytes(MIB))
    await spool.close()
    await until(lambda: not files_in(tmp_path))


async def test_a_reader_that_starts_late_gets_every_byte_while_more_arrive(spooling: Spooling) -> None:
    content = os.urandom(2 * MIB)
    spool = spooling()
    await spool.write(content[:MIB])
    late = asyncio.create_task(content_of(spool.open()))
    await until(lambda: spool.readers == 1)
    for start in range(MIB, 2 * MIB, 50 * KIB):
        await spool.write(content[start : min(start + 50 * KIB, 2 * MIB)])
        await asyncio.sleep(0)
    assert not late.done()
    await spool.finish()
    assert await late == content
    assert await content_of(spool.open()) == content
    await spool.close()


async def test_the_length_is_unknown_until_the_spool_is_finished(spooling: Spooling) -> None:
    spool = spooling(expected=5)
    body = spool.open()
    assert body.length is None
    await written(spool, b"hello")
    assert body.length == 5
    await body.close()


async def test_readers_of_an_aborted_spool_get_what_there_was_and_then_the_error(spooling: Spooling) -> None:
    spool = spooling()
    await spool.write(b"half a ")
    body = spool.open()
    got: list[bytes] = []

    async def read() -> None:
        async for chunk in body.chunks():
            got.extend([chunk])

    reading = asyncio.create_task(read())
    await until(lambda: bool(got))
    await spool.abort(BodyIncomplete("the origin broke off"))
    with pytest.raises(BodyIncomplete, match="broke off"):
        await reading
    assert got == [b"half a "]
    assert not spool.storable
    with pytest.raises(StorageError):
        spool.take()
    await body.close()


async def test_closing_an_unfinished_spool_wakes_its_readers_with_an_error(spooling: Spooling) -> None:
    spool = spooling()
    reading = asyncio.create_task(content_of(spool.open()))
    await until(lambda: spool.readers == 1)
    await spool.close()
    with pytest.raises(BodyIncomplete):
        await reading


async def test_a_body_shorter_than_announced_cannot_be_stored(spooling: Spooling) -> None:
    spool = spooling(expected=10)
    await written(spool, b"short")
    assert not spool.storable


async def test_a_spool_takes_no_bytes_after_its_end(spooling: Spooling) -> None:
    spool = spooling()
    await written(spool, b"all")
    with pytest.raises(StorageError):
        await spool.write(b"more")


async def test_a_body_that_outgrows_the_limit_still_reaches_all_its_readers(spooling: Spooling) -> None:
    content = os.urandom(5 * MIB)
    spool = spooling(limit=2 * MIB)
    readers = [asyncio.create_task(content_of(spool.open())) for _ in range(3)]
    await until(lambda: spool.readers == 3)
    await written(spool, content)
    assert await asyncio.gather(*readers) == [content] * 3
    assert not spool.storable
    assert not spool.joinable


async def test_the_writer_of_a_live_body_waits_for_the_slowest_reader(spooling: Spooling) -> None:
    spool = spooling(limit=MIB)
    fast, slow = spool.open(), spool.open()
    fast_bytes = asyncio.create_task(content_of(fast))
    slow_chunks = slow.chunks()
    writing = asyncio.create_task(written(spool, bytes(6 * MIB)))
    slow_count = len(await anext(slow_chunks))
    await until(lambda: spool.written >= MIB + LIVE_WINDOW)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert not writing.done()
    assert spool.written <= MIB + LIVE_WINDOW + 256 * KIB
    async for chunk in slow_chunks:
        slow_count += len(chunk)
        assert spool.written - slow_count <= 2 * MIB + 256 * KIB
    await writing
    assert slow_count == 6 * MIB == len(await fast_bytes)
    await slow.close()


async def test_a_stalled_reader_that_leaves_lets_the_writer_of_a_live_body_go_on(spooling: Spooling) -> None:
    content = os.urandom(4 * MIB)
    spool = spooling(limit=MIB)
    stalled = spool.open()
    reading = asyncio.create_task(content_of(spool.open()))
    writing = asyncio.create_task(written(spool, content))
    await until(lambda: spool.written > MIB + LIVE_WINDOW // 2)
    await stalled.close()
    await writing
    assert await reading == content


async def test_writing_a_live_body_that_nobody_reads_raises(spooling: Spooling) -> None:
    spool = spooling(limit=MIB)
    body = spool.open()
    await spool.write(bytes(MIB))
    await body.close()
    assert not spool.abandoned
    with pytest.raises(StorageError, match="nobody reads"):
        await spool.write(b"one more")
    assert spool.abandoned


async def test_a_writer_that_waits_for_its_last_reader_is_told_when_it_left(spooling: Spooling) -> None:
    spool = spooling(limit=MIB)
    body = spool.open()
    writing = asyncio.create_task(written(spool, bytes(8 * MIB)))
    await until(lambda: spool.written > MIB + LIVE_WINDOW // 2)
    await body.close()
    with pytest.raises(StorageError, match="nobody reads"):
        await writing


async def test_a_reader_too_late_for_a_live_body_is_told_so_instead_of_getting_a_gap(spooling: Spooling) -> None:
    spool = spooling(limit=MIB)
    first = asyncio.create_task(content_of(spool.open()))
    await until(lambda: spool.readers == 1)
    await written(spool, bytes(4 * MIB))
    await first
    with pytest.raises(BodyIncomplete, match="too late"):
        await content_of(spool.open())


async def test_without_a_directory_a_large_body_passes_through_live(spooling: Spooling) -> None:
    content = os.urandom(3 * MIB)
    spool = spooling(disk=False)
    reading = asyncio.create_task(content_of(spool.open()))
    await until(lambda: spool.readers == 1)
    await written(spool, content)
    assert await reading == content
    assert not spool.storable


async def test_a_disk_that_fills_up_under_a_body_costs_its_storage_and_not_its_readers(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    content = os.urandom(4 * MIB)
    refusals: list[Exception] = []
    spool = BodySpool(
        expected=None,
        memory_limit=100 * KIB,
        object_limit=64 * MIB,
        incoming=Incoming(tmp_path, pool),
        on_refusal=refusals.append,
    )
    reading = asyncio.create_task(content_of(spool.open()))
    await until(lambda: spool.readers == 1)
    with full_disk(MIB + 100):
        await written(spool, content)
    assert await reading == content
    assert not spool.storable
    assert len(refusals) == 1
    assert isinstance(refusals[0], OSError)
    await spool.close()
    await until(lambda: not files_in(tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 300 * KIB), max_size=12),
    announced=st.booleans(),
    ranges=st.lists(st.tuples(st.integers(0, 2 * MIB), st.none() | st.integers(0, 2 * MIB)), min_size=1, max_size=4),
    data=st.data(),
)
async def test_every_reader_gets_exactly_its_range_however_the_body_arrives(
    spooling: Spooling,
    sizes: list[int],
    announced: bool,
    ranges: list[tuple[int, int | None]],
    data: st.DataObject,
) -> None:
    content = os.urandom(sum(sizes))
    spool = spooling(expected=len(content) if announced else None)
    starts = [data.draw(st.integers(0, len(sizes))) for _ in ranges]
    tasks: list[tuple[asyncio.Task[bytes], int, int | None]] = []

    def start_readers(step: int) -> None:
        for (first, stop), begin in zip(ranges, starts, strict=True):
            if begin == step:
                tasks.append((asyncio.create_task(content_of(spool.open(), first, stop)), first, stop))

    offset = 0
    for step, size in enumerate(sizes):
        start_readers(step)
        await spool.write(content[offset : offset + size])
        offset += size
        await asyncio.sleep(0)
    start_readers(len(sizes))
    await spool.finish()
    for task, first, stop in tasks:
        expected = b"" if stop is not None and stop < first else content[first:stop]
        assert await task == expected
    assert spool.storable
    await spool.close()


async def test_a_huge_body_passes_through_without_growing_the_process(spooling: Spooling, tmp_path: Path) -> None:
    spool = spooling(limit=2**30)
    piece, count = os.urandom(MIB), 300
    reader = spool.open()

    async def length(chunks: AsyncIterator[bytes]) -> int:
        return sum([len(chunk) async for chunk in chunks])

    reading = asyncio.create_task(length(reader.chunks()))
    before = resident_memory()
    most = before
    for _ in range(count):
        await spool.write(piece)
        most = max(most, resident_memory())
    await spool.finish()
    assert await reading == count * MIB
    await reader.close()
    await spool.close()
    assert most - before < 64 * MIB


def resident_memory() -> int:
    """Bytes of physical memory the process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
