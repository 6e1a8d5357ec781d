from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.storage.tombstones import Tombstones, read_tombstones, write_tombstones


def test_without_a_file_nothing_is_void(tmp_path: Path) -> None:
    assert read_tombstones(tmp_path / "tombstones") == Tombstones()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.frozensets(st.integers(1, 2**63), max_size=505))
def test_exactly_the_named_records_are_void(tmp_path: Path, records: frozenset[int]) -> None:
    write_tombstones(tmp_path / "tombstones", records, 2**63 + 1)
    tombstones = read_tombstones(tmp_path / "tombstones")
    assert tombstones == Tombstones(0, records)
    assert tombstones.highest == max(records, default=0)


def test_more_records_than_the_block_names_make_everything_up_to_now_void(tmp_path: Path) -> None:
    write_tombstones(tmp_path / "tombstones", range(1, 5000), 9000)
    tombstones = read_tombstones(tmp_path / "tombstones")
    assert tombstones is not None
    assert tombstones.covers(1)
    assert tombstones.covers(8999)
    assert not tombstones.covers(9000)
    assert tombstones.highest == 8999


def test_stating_tombstones_again_never_makes_the_file_grow(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    sizes = set()
    for records in ([], [1], range(400), range(10_000)):
        write_tombstones(path, records, 20_000)
        sizes.add(path.stat().st_size)
    assert sizes == {4096}


@pytest.mark.parametrize("damage", [b"", b"CWT1", b"\0" * 4096])
def test_a_file_that_is_no_block_of_tombstones_is_reported_as_unreadable(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "tombstones").write_bytes(damage)
    assert read_tombstones(tmp_path / "tombstones") is None


def test_a_block_with_a_flipped_bit_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    write_tombstones(path, [7], 8)
    block = bytearray(path.read_bytes())
    block[27] ^= 1
    path.write_bytes(block)
    assert read_tombstones(path) is None
