"""What clients are told is written down before they are told: no crash lets them know more than the edge does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.frames import Outgoing
from realtime.journal import Journal
from tests.edge import PATIENCE
from tests.realtime.participants import World, world
from tests.realtime.talking import Talker
from tests.realtime.test_journal import fails, journal, read
from tests.realtime.wire import turns


async def begun(found: Journal | None) -> None:
    """Wait until the first file is begun: before that nothing can be written at once."""
    assert found is not None
    assert await found.settled() is True


def content(directory: Path) -> bytes:
    """What a process that is started now would read, if this one had been killed."""
    return b"".join(path.read_bytes() for path in sorted(directory.glob("*.journal")))


async def test_what_is_written_now_is_in_the_file_before_anything_else_happens(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        await begun(first)
        first.append(("one",))
        assert content(tmp_path) == b""
        assert first.write_now() is True
        assert b'["one"]' in content(tmp_path)
        assert first.write_now() is True
        assert content(tmp_path).count(b"\n") == 1


async def test_what_is_written_at_once_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        await begun(first)
        for number in range(3):
            first.append(("packet", number))
        assert first.write_now() is True
    path = tmp_path / "00000001.journal"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert await read(tmp_path) == []
    path.write_bytes(whole)
    assert await read(tmp_path) == [("packet", number) for number in range(3)]


@given(steps=st.lists(st.sampled_from(("append", "now", "turn", "asked", "cut", "wait")), max_size=40))
@settings(max_examples=60, deadline=None)
def test_records_are_read_in_the_order_in_which_they_were_appended(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("journal")

    async def run() -> int:
        count = 0
        async with journal(directory) as found:
            asked = []
            for step in steps:
                if step == "append":
                    found.append(("packet", count))
                    count += 1
                elif step == "now":
                    found.write_now()
                elif step == "turn":
                    await turns(1)
                elif step == "cut":
                    found._cut()
                elif step == "asked":
                    asked.append(asyncio.create_task(found.settled()))
                else:
                    await begun(found)
            assert await asyncio.gather(*asked) == [True] * len(asked)
        return count

    count = asyncio.run(run())
    assert asyncio.run(read(directory)) == [("packet", number) for number in range(count)]


async def test_while_a_file_is_being_begun_nothing_is_written_into_the_one_before(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        await begun(first)
        first._cut()
        first.append(("one",))
        assert first.write_now() is False
        assert await first.settled() is True
        assert (tmp_path / "00000002.journal").read_bytes().count(b"one") == 1
        first.append(("two",))
        assert first.write_now() is True


async def test_who_asks_while_what_was_appended_is_being_written_is_answered_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    write = Journal._write

    def slow(self: Journal, batch: Any) -> bool:
        if batch:
            writing.set()
            go_on.wait()
        return write(self, batch)

    async with journal(tmp_path) as first:
        await begun(first)
        monkeypatch.setattr(Journal, "_write", slow)
        first.append(("one",))
        first._hand_over()
        await asyncio.to_thread(writing.wait)
        answer = asyncio.create_task(first.settled())
        await turns(1)
        go_on.set()
        async with asyncio.timeout(PATIENCE):
            assert await answer is True
        assert b'["one"]' in content(tmp_path)


async def test_a_thread_that_is_writing_is_waited_for_only_shortly(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        await begun(first)
        with first._turn:
            first.append(("one",))
            assert first.write_now() is False
        assert first.write_now() is True


async def test_a_slow_disk_is_left_to_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.journal.SPARED", 3600.0)
    async with journal(tmp_path) as first:
        await begun(first)
        monkeypatch.setattr("realtime.journal.SLOW", 0.0)
        first.append(("slow",))
        assert first.write_now() is True
        first.append(("left to the thread",))
        assert first.write_now() is False
        assert await first.settled() is True
        assert content(tmp_path).count(b"\n") == 2


async def test_what_a_failing_disk_has_not_taken_is_not_said_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal(tmp_path) as first:
        await begun(first)
        monkeypatch.setattr("realtime.journal._line", fails)
        first.append(("one",))
        assert first.write_now() is False
        assert first.write_now() is False
        assert await first.settled() is False
        assert content(tmp_path) == b""


# With the conversations


class Watch:
    """What was written down at the moment at which a client was sent something."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[str, bytes]] = []
        send: Callable[[Talker, Outgoing], None] = Talker.send

        def watched(talker: Talker, outgoing: Outgoing) -> None:
            self.told.append((outgoing.payload.decode(errors="replace"), content(directory)))
            send(talker, outgoing)

        monkeypatch.setattr(Talker, "send", watched)

    def journal_when_told(self, words: str) -> bytes:
        return next(written for told, written in self.told if words in told)


def sessions(directory: Path) -> list[bytes]:
    """The records of clients that were written down."""
    return [line for line in content(directory).splitlines() if b'["session"' in line]


async def on_record(found: World) -> None:
    """Wait until those who have come are written down."""
    found.core.hub._note_newcomers()
    assert await found.core.hub.settled() is True


async def test_a_message_is_written_down_before_anybody_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(journal=tmp_path) as found:
        anna = await found.come("anna", joins="7")
        await on_record(found)
        watch = Watch(tmp_path, monkeypatch)
        draft = {"conversation_id": "7", "sender_id": "anna", "content": "a word", "client_id": "c1"}
        told = await anna.ask("send_message", draft)
        assert told["ok"] is True
        (line,) = [line for line in watch.journal_when_told("new_messages_batch").splitlines() if b"a word" in line]
        assert b'"packet"' in line
        assert b"c1" in line, "with the name under which its sender may repeat it"


@pytest.mark.parametrize(
    ("event", "payload", "told", "gained"),
    [
        ("authenticate", {"token": "for-ben"}, '"authenticated"', b"ben"),
        ("join_conversation", "A", '"conversation_id":"A"', b":A"),
        ("subscribe", "news", '"channel":"news"', b"news"),
    ],
)
async def test_what_a_known_client_gains_is_written_down_before_it_is_told(
    event: str, payload: Any, told: str, gained: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(journal=tmp_path) as found:
        anna = await found.come("anna")
        await on_record(found)
        before = content(tmp_path)
        watch = Watch(tmp_path, monkeypatch)
        assert (await anna.ask(event, payload))["ok"] is True
        new = watch.journal_when_told(told).removeprefix(before)
        assert gained in new, f"the journal had {new!r} more than before"


async def test_a_newcomer_is_written_down_once_for_all_that_it_gains_when_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then a crash makes it a new client, which keeps nothing that it was told; so there is no hurry."""
    monkeypatch.setattr("realtime.hub.NOTE_WITHIN", 3600.0)
    async with world(journal=tmp_path) as found:
        await found.come("anna", joins="7A")
        await begun(found.core.hub._journal)
        assert sessions(tmp_path) == []
        assert await found.core.hub.settled() is True
        (session,) = sessions(tmp_path)
        assert all(word in session for word in (b"anna", b":7", b":A"))


async def test_a_newcomer_that_gains_nothing_is_written_down_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.hub.NEWCOMERS_WITHIN", 0.01)
    async with world(journal=tmp_path) as found:
        found.arrive()
        async with asyncio.timeout(10):
            while not sessions(tmp_path):
                await asyncio.sleep(0.01)
