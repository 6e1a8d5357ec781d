"""What the disk tier makes of damage: a miss, a log line, an empty cache, and never an exception to a request."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from proxy.errors import BodyIncomplete
from proxy.storage.directory import DirectoryInUse
from tests.storage.conftest import Open
from tests.storage.samples import (
    KIB,
    MIB,
    change,
    flushed,
    head,
    loaded,
    store,
    tiers,
    value_files,
)

# Damaged bodies


async def test_a_truncated_body_file_is_a_miss_and_its_entry_is_dropped(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    await store(it, head(), bytes(MIB))
    (path,) = value_files(tmp_path)
    os.truncate(path, MIB - 1)
    assert await loaded(it) is None
    assert list(it.entries()) == []
    assert it.stats().damaged == 1


async def test_a_missing_body_file_is_a_miss_and_its_entry_is_dropped(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    await store(it, head(), bytes(MIB))
    value_files(tmp_path)[0].unlink()
    assert await loaded(it) is None
    assert list(it.entries()) == []


@pytest.mark.parametrize("position", [0, 500_000, MIB - 1])
async def test_a_flipped_bit_in_a_streamed_body_is_noticed_before_its_last_piece(
    opened: Open, tmp_path: Path, position: int
) -> None:
    it = await opened()
    entry = await store(it, head(), bytes(MIB))
    assert entry is not None
    with value_files(tmp_path)[0].open("r+b") as file:
        file.seek(position)
        file.write(b"\1")
    found = await it.load(entry)
    assert found is not None
    received = 0
    with pytest.raises(BodyIncomplete, match="checksum"):
        async for chunk in found[1].chunks():
            received += len(chunk)
    await found[1].close()
    assert received < MIB
    assert list(it.entries()) == []
    assert it.stats().damaged == 1


async def test_a_body_file_truncated_while_it_is_streamed_breaks_off(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    entry = await store(it, head(), bytes(MIB))
    assert entry is not None
    found = await it.load(entry)
    assert found is not None
    chunks = found[1].chunks()
    await anext(chunks)
    os.truncate(value_files(tmp_path)[0], 300 * KIB)
    with pytest.raises(BodyIncomplete, match="shorter"):
        async for _ in chunks:
            pass
    await found[1].close()
    assert list(it.entries()) == []


@pytest.mark.parametrize("size", [100, 100 * KIB])
async def test_a_small_body_that_fails_its_checksum_is_never_handed_out(
    opened: Open, tmp_path: Path, size: int
) -> None:
    it = await opened()
    await store(it, head(), bytes(size))
    await it.close()
    if size < 64 * KIB:
        change(tmp_path, "UPDATE Cache SET value = ? WHERE length(value) = ?", b"\1" * size, size)
    else:
        value_files(tmp_path)[0].write_bytes(b"\1" * size)
    again = await opened()
    assert await loaded(again) is None
    assert list(again.entries()) == []


# Damaged records at start-up


async def test_a_damaged_head_costs_its_own_entry_only(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    for name in ("a", "b", "c"):
        await store(it, head(f"http://shop/{name}"), b"body")
    await it.close()
    change(tmp_path, "UPDATE Cache SET value = substr(value, 1, 40) WHERE instr(value, ?) > 0", b"http://shop/b")
    again = await opened()
    assert sorted(entry.url for entry in again.entries()) == ["http://shop/a", "http://shop/c"]
    assert again.stats().damaged > 0
    assert await loaded(again, "http://shop/c") == b"body"


async def test_a_record_of_which_one_half_is_missing_is_dropped(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    for name in ("a", "b", "c"):
        await store(it, head(f"http://shop/{name}"), b"body of " + name.encode())
    await it.close()
    change(tmp_path, "DELETE FROM Cache WHERE value = ?", b"body of a")
    change(tmp_path, "DELETE FROM Cache WHERE instr(value, ?) > 0", b"http://shop/b")
    again = await opened()
    assert [entry.url for entry in again.entries()] == ["http://shop/c"]
    await again.close()
    with closing(sqlite3.connect(tmp_path / "cache" / "cache" / "cache.db")) as connection:
        assert connection.execute("SELECT count(*) FROM Cache").fetchone() == (2,)


async def test_files_of_a_dead_process_are_removed_at_start_up(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    await store(it, head(), bytes(MIB))
    await it.close()
    orphan = tmp_path / "cache" / "cache" / "ab" / "cd" / f"{'0' * 28}.val"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"orphan")
    (tmp_path / "cache" / "incoming" / "half").write_bytes(b"half")
    again = await opened()
    assert not orphan.exists()
    assert not list((tmp_path / "cache" / "incoming").iterdir())
    assert await loaded(again) == bytes(MIB)


# Corrupt databases


@pytest.mark.parametrize(
    "garbage", [b"garbage " * 2000, b"SQLite format 3\0" + bytes(8000)], ids=["no database", "zeros after the magic"]
)
async def test_a_corrupt_database_is_set_aside_with_a_warning_and_an_empty_one_begun(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    it = await opened()
    await store(it, head(), b"body")
    await it.close()
    directory = tmp_path / "cache"
    for leftover in (directory / "cache").glob("cache.db-*"):
        leftover.unlink()
    (directory / "cache" / "cache.db").write_bytes(garbage)
    again = await opened()
    (aside,) = directory.glob("cache.corrupt-*")
    assert (aside / "cache.db").read_bytes() == garbage
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert str(aside) in warning.getMessage()
    assert str(directory / "cache") in warning.getMessage()
    assert list(again.entries()) == []
    await store(again, head(), b"anew")
    await again.close()
    assert await loaded(await opened()) == b"anew"


async def test_a_database_that_breaks_in_its_middle_never_stops_the_edge(opened: Open, tmp_path: Path) -> None:
    it = await opened(memory=0)
    for number in range(300):
        await store(it, head(f"http://shop/{number}"), os.urandom(3000))
    await it.close()
    path = tmp_path / "cache" / "cache" / "cache.db"
    data = bytearray(path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    path.write_bytes(data)
    for _ in range(3):  # what is not found corrupt at one start may be found in use, and set aside at the next
        again = await opened(memory=0)
        for number in range(300):
            await loaded(again, f"http://shop/{number}")
        await store(again, head("http://shop/new"), b"new")
        await again.close()
    last = await opened(memory=0)
    assert await loaded(last, "http://shop/new") == b"new"


async def test_a_database_that_is_destroyed_while_in_use_is_given_up_and_set_aside_at_the_next_start(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it = await opened(memory=MIB, memory_object=2 * KIB)
    await store(it, head("http://shop/small"), b"in memory, too")
    for number in range(400):
        await store(it, head(f"http://shop/{number}"), os.urandom(8 * KIB))
    await flushed(it)
    await loaded(it, "http://shop/1")
    for path in (tmp_path / "cache" / "cache" / "cache.db", tmp_path / "cache" / "cache" / "cache.db-wal"):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
    assert None in [await loaded(it, f"http://shop/{number}") for number in range(400)]
    assert "off until restart" in caplog.text
    assert it.stats().disk_available is False
    assert await loaded(it, "http://shop/small") == b"in memory, too"
    assert it.stats().disk_entries == it.stats().disk_bytes == it.stats().write_behind_bytes == 0
    assert [entry.url for entry in it.entries()] == ["http://shop/small"]
    assert await store(it, head("http://shop/new"), b"memory only") is not None
    assert await it.remove(lambda entry: entry.url == "http://shop/new") == 1
    await it.close()
    again = await opened()
    assert list(again.entries()) == []
    assert list((tmp_path / "cache").glob("cache.corrupt-*"))
    await store(again, head(), b"anew")
    await again.close()
    assert await loaded(await opened()) == b"anew"


async def test_unreadable_tombstones_make_everything_count_as_purged(opened: Open, tmp_path: Path) -> None:
    it = await opened()
    await store(it, head(), b"body")
    await it.close()
    (tmp_path / "cache" / "tombstones").write_bytes(b"scribble")
    again = await opened()
    assert list(again.entries()) == []
    await store(again, head(), b"anew")
    await again.close()
    assert await loaded(await opened()) == b"anew"


async def test_a_file_in_place_of_the_database_directory_is_set_aside(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cache").write_text("a file")
    it = await opened()
    await store(it, head(), b"body")
    await it.close()
    assert await loaded(await opened()) == b"body"
    (aside,) = (tmp_path / "cache").glob("cache.corrupt-*")
    assert aside.read_text() == "a file"


async def test_only_the_latest_corrupt_cache_is_kept(opened: Open, tmp_path: Path) -> None:
    for _ in range(3):
        it = await opened()
        await it.close()
        (tmp_path / "cache" / "cache" / "cache.db").write_bytes(b"garbage " * 1000)
    await opened()
    assert len(list((tmp_path / "cache").glob("cache.corrupt-*"))) == 1


# Unusable directories


async def test_a_directory_that_cannot_be_made_leaves_the_memory_tier_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("not a directory")
    it = tiers(tmp_path / "cache")
    await it.open()
    assert await store(it, head(), b"body") is not None
    assert await loaded(it) == b"body"
    assert it.spool(MIB) is None, "what only the disk could hold is not taken"
    assert it.stats().storage_errors == 1
    assert it.stats().disk_available is False
    assert "off until restart" in caplog.text
    await it.close()
    assert (tmp_path / "cache").read_text() == "not a directory"


async def test_two_processes_cannot_share_a_directory(opened: Open, tmp_path: Path) -> None:
    await opened()
    second = tiers(tmp_path / "cache")
    with pytest.raises(DirectoryInUse, match=r"cache\.dir"):
        await second.open()
    await second.close()


async def test_the_directory_is_closed_to_other_users(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    it = await opened()
    await store(it, head(), bytes(MIB))
    for directory in (tmp_path / "cache", tmp_path / "cache" / "cache", tmp_path / "cache" / "incoming"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(value_files(tmp_path)[0].stat().st_mode) == 0o600
