"""The database is not trusted: no pickle, no path that leads out of its directory."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from proxy.storage.database import Batch, ByteDisk, Database
from proxy.storage.record import DamagedRecord, encode_head
from tests.storage.conftest import Open
from tests.storage.samples import (
    MIB,
    change,
    head,
    loaded,
    store,
    value_files,
)


def test_a_pickle_is_neither_written_nor_read(tmp_path: Path) -> None:
    disk = ByteDisk(str(tmp_path), min_file_size=10)
    for value in ({"a": 1}, "text", 1, 1.0, None, bytearray(b"x")):
        with pytest.raises(DamagedRecord):
            disk.store(value, False)
        with pytest.raises(DamagedRecord):
            disk.put(value)
    with pytest.raises(DamagedRecord):
        disk.fetch(4, None, pickle.dumps("x"), False)
    with pytest.raises(DamagedRecord):
        disk.get(pickle.dumps("x"), False)
    assert list(tmp_path.rglob("*.val")) == []


class Bomb:
    """Unpickling it would leave a trace."""

    exploded = False

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _explode, ()


def _explode() -> None:
    Bomb.exploded = True


@pytest.mark.parametrize("part", ["h", "b"])
async def test_a_pickle_smuggled_into_the_database_is_dropped_without_being_loaded(
    opened: Open, tmp_path: Path, part: str
) -> None:
    it = await opened()
    await store(it, head(), b"x" * len(pickle.dumps(Bomb())))
    await it.close()
    change(
        tmp_path,
        "UPDATE Cache SET value = ?, mode = 4 WHERE substr(key, 1, 1) = CAST(? AS BLOB)",
        pickle.dumps(Bomb()),
        part,
    )
    again = await opened(memory=0)
    assert await loaded(again) is None
    assert not Bomb.exploded


@pytest.mark.parametrize("name", ["../../secret.val", "/etc/passwd", "ab/cd/../../../lock"])
async def test_a_file_name_in_the_database_cannot_lead_out_of_its_directory(
    opened: Open, tmp_path: Path, name: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "secret.val").write_bytes(bytes(MIB))
    it = await opened()
    await store(it, head(), bytes(MIB))
    await it.close()
    change(tmp_path, "UPDATE Cache SET filename = ? WHERE filename IS NOT NULL", name)
    again = await opened()
    assert await loaded(again) is None


def test_a_batch_that_fails_leaves_neither_rows_nor_files(tmp_path: Path) -> None:
    database = Database(tmp_path)
    record = encode_head(head(length=100_000))
    with pytest.raises(FileNotFoundError):
        database.write(Batch(puts={1: (record, bytes(100_000)), 2: (record, tmp_path / "absent")}))
    assert database.read(1) is None
    assert value_files(tmp_path) == []
    database.close()
