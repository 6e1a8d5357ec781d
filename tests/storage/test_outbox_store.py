"""The outbox on disk: order, durability, bounds, damage, and who may read it."""

from __future__ import annotations

import logging
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import StorageError
from proxy.outbox_store import Content, OutboxFull, OutboxStore, Write
from proxy.policy.messages import Fields

NOW = 1_800_000_000.0
SECRET = "Bearer c0nfidential"
CONTENT = Content(Fields([("Host", "app.example"), ("Authorization", SECRET)]), b"\x00body\xff")


def write(id_: str, length: int = 6) -> Write:
    return Write(
        id=id_,
        state="queued",
        method="POST",
        target="/messages",
        host="app.example",
        scheme="http",
        route="api",
        idempotency_key=f'"{id_}"',
        length=length,
        credentials=True,
        accepted_at=NOW,
        retention=60.0,
        next_attempt_at=NOW,
    )


def opened(path: Path, max_writes: int = 100, max_bytes: int = 1000) -> OutboxStore:
    return OutboxStore(path / "outbox", max_writes=max_writes, max_bytes=max_bytes)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[OutboxStore]:
    store = opened(tmp_path)
    await store.open()
    yield store
    await store.close()


async def test_a_write_comes_back_as_it_was_put(store: OutboxStore) -> None:
    await store.append(write("a"), CONTENT, None)
    assert await store.find("a") == write("a") == await store.head()
    assert await store.content("a") == CONTENT
    assert await store.find("b") is None
    assert await store.content("b") is None


async def test_the_queue_keeps_its_order_over_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.open()
    for id_ in "cab":
        await store.append(write(id_), CONTENT, None)
    await store.close()
    again = opened(tmp_path)
    await again.open()
    assert [each.id for each in await again.writes(10)] == ["c", "a", "b"]
    for expected in "cab":
        head = await again.head()
        assert head is not None
        assert head.id == expected
        await again.settled(head.id, at=NOW, status=201)
    await again.close()


async def test_of_a_delivered_write_nothing_is_kept_but_its_fate(store: OutboxStore, tmp_path: Path) -> None:
    await store.append(write("a"), CONTENT, None)
    await store.settled("a", at=NOW + 5, status=201)
    done = await store.find("a")
    assert done == replace(write("a"), state="done", attempts=1, response_status=201, settled_at=NOW + 5)
    assert await store.content("a") is None
    await store.sweep(NOW + 10)
    for path in (tmp_path / "outbox").iterdir():
        assert SECRET.encode() not in path.read_bytes()


async def test_a_dead_letter_keeps_its_content_and_can_be_queued_again_behind_the_others(store: OutboxStore) -> None:
    for id_ in "ab":
        await store.append(write(id_), CONTENT, None)
    await store.buried("a", at=NOW + 5, error="the origin answered 422", status=422, answer="no such room")
    dead = await store.find("a")
    assert dead is not None
    assert (dead.state, dead.answer, dead.attempts) == ("dead", "no such room", 1)
    assert await store.content("a") == CONTENT
    assert await store.revived("a", NOW + 100)
    revived = await store.find("a")
    assert revived is not None
    assert (revived.state, revived.attempts, revived.expires_at) == ("queued", 0, NOW + 160)
    assert [each.id for each in await store.writes(10)] == ["b", "a"]


async def test_what_is_delivered_or_unknown_cannot_be_queued_again(store: OutboxStore) -> None:
    await store.append(write("a"), CONTENT, None)
    await store.settled("a", at=NOW, status=200)
    assert not await store.revived("a", NOW)
    assert not await store.revived("b", NOW)


async def test_a_repetition_is_kept_once_while_the_first_waits(store: OutboxStore) -> None:
    assert (await store.append(write("a"), CONTENT, "same")).id == "a"
    assert (await store.append(write("b"), CONTENT, "same")).id == "a"
    assert (await store.append(write("c"), CONTENT, "other")).id == "c"
    await store.settled("a", at=NOW, status=200)
    assert (await store.append(write("d"), CONTENT, "same")).id == "d"


async def test_the_number_of_writes_is_bounded_and_dead_letters_give_way_first(tmp_path: Path) -> None:
    store = opened(tmp_path, max_writes=2)
    await store.open()
    await store.append(write("a"), CONTENT, None)
    await store.append(write("b"), CONTENT, None)
    with pytest.raises(OutboxFull, match="2 writes"):
        await store.append(write("c"), CONTENT, None)
    await store.buried("a", at=NOW, error="", status=400)
    await store.append(write("c"), CONTENT, None)
    assert [each.id for each in await store.writes(10)] == ["b", "c"]
    await store.close()


async def test_the_bytes_of_bodies_are_bounded(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=10)
    await store.open()
    await store.append(write("a"), CONTENT, None)
    with pytest.raises(OutboxFull, match="6 bytes"):
        await store.append(write("b"), CONTENT, None)
    await store.append(write("c", length=4), Content(Fields(), b"four"), None)
    await store.close()


async def test_only_the_owner_can_read_it(store: OutboxStore, tmp_path: Path) -> None:
    await store.append(write("a"), CONTENT, None)
    directory = tmp_path / "outbox"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {"outbox.db", "outbox.db-wal", "lock"} <= set(names)
    assert set(names.values()) == {0o600}


async def test_a_second_process_may_not_have_the_same_queue(store: OutboxStore, tmp_path: Path) -> None:
    second = opened(tmp_path)
    with pytest.raises(StorageError, match="another process uses the outbox"):
        await second.open()
    await second.close()


@pytest.mark.parametrize("damage", ["rubbish", "pages", "layout", "foreign"])
async def test_a_damaged_database_is_set_aside_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store = opened(tmp_path)
    await store.open()
    await store.append(write("a"), Content(Fields(), b"x" * 900), None)
    await store.close()
    path = tmp_path / "outbox" / "outbox.db"
    if damage == "rubbish":
        path.write_bytes(b"this is no database" * 500)
    elif damage == "pages":
        content = bytearray(path.read_bytes())
        content[4096:] = b"\x5a" * (len(content) - 4096)
        path.write_bytes(content)
    else:
        statement = "PRAGMA user_version = 99" if damage == "layout" else "ALTER TABLE writes DROP COLUMN body"
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.close()
    with caplog.at_level(logging.ERROR):
        again = opened(tmp_path)
        await again.open()
    assert await again.writes(10) == []
    await again.append(write("b"), CONTENT, None)
    await again.close()
    assert "set aside" in caplog.text
    assert [each for each in path.parent.iterdir() if "corrupt" in each.name]


async def test_what_was_settled_long_ago_is_forgotten_and_the_queue_never_is(store: OutboxStore) -> None:
    for id_ in "abc":
        await store.append(write(id_), CONTENT, None)
    await store.settled("a", at=NOW, status=200)
    await store.buried("b", at=NOW, error="", status=400)
    await store.sweep(NOW + 86_000)
    assert len(await store.writes(10)) == 3
    await store.sweep(NOW + 2 * 86_400)
    assert [each.id for each in await store.writes(10)] == ["c", "b"]
    await store.sweep(NOW + 31 * 86_400)
    assert [each.id for each in await store.writes(10)] == ["c"]


async def test_a_closed_outbox_says_so_instead_of_crashing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(StorageError, match="not open"):
        await store.head()
    await store.close()
    await store.close()
    with pytest.raises(StorageError, match="closed"):
        await store.head()
