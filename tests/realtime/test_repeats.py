"""What a client sends again because it has no answer: it is answered, and nobody hears it twice."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from realtime.core import Core
from realtime.limits import Rate
from realtime.origin import OriginAway
from realtime.repeats import MOST_OF_A_SENDER, WINDOW, Repeats, id_of
from realtime.settings import AuthenticationSettings, ChatSettings, CoreSettings, LimitSettings, OriginSettings
from tests.realtime.talking import Answer, Ask, Talker, Talking, answer, talk, text
from tests.realtime.test_chat import PERSIST, Gate
from tests.realtime.wire import turns


def batch(*names: str, conversation: str = "7") -> dict[str, Any]:
    """A send_message_batch; each message is called like what it says."""
    return {"conversation_id": conversation, "messages": [text(name, client_id=name) for name in names]}


async def told(talking: Talking, talker: Talker, event: str, payload: Any) -> Any:
    """What the acknowledgement says, once the windows have ended."""
    number = talker.begin(event, payload)
    for _ in range(20):
        await talking.pass_time(0.05)
        await talking.core.hub.settled()
    return talker.answered(number)


def journal_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.journal"))


class TestInOneLife:
    async def test_a_batch_that_is_repeated_is_answered_with_the_same_ids_and_not_sent_again(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            first = await told(talking, alice, "send_message_batch", batch("a", "b"))
            again = await told(talking, alice, "send_message_batch", batch("a", "b"))
            assert first["ok"]
            assert again == first
            assert bob.contents == ["a", "b"]

    async def test_of_a_batch_of_known_and_new_messages_the_new_ones_are_sent(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            (known,) = (await told(talking, alice, "send_message", text("a", client_id="a")))["messages"]
            await talking.pass_time(1)
            mixed = await told(talking, alice, "send_message_batch", batch("b", "a", "c"))
            assert mixed["messages"][1] == known
            assert len(set(mixed["messages"])) == 3
            assert bob.contents == ["a", "b", "c"]

    async def test_a_name_that_a_batch_uses_twice_is_one_message(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            answered = await told(talking, alice, "send_message_batch", batch("a", "a"))
            assert answered["messages"][0] == answered["messages"][1]
            assert bob.contents == ["a"]

    async def test_a_repeat_of_what_is_under_way_waits_for_its_end_also_when_the_first_sender_is_gone(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            for content in "ab":
                alice.begin("send_message", text(content, client_id=content))
            await gate.asked(1)
            alice.close("transport-close")
            again = await talking.member("u1", "7")
            one, both = (
                again.begin("send_message", text("a", client_id="a")),
                again.begin("send_message_batch", batch("b")),
            )
            assert again.answered(one) is None
            gate.answers[0].set_result(answer({"ids": [1]}, 201))
            await gate.asked(2)
            gate.answers[1].set_result(answer({"ids": [2]}, 201))
            await turns(10)
            assert (again.answered(one)["messages"], again.answered(both)["messages"]) == ([1], [2])
            assert again.contents == ["a", "b"]

    async def test_what_has_failed_may_be_sent_again_and_whoever_repeated_it_meanwhile_is_told(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            first, meanwhile = (alice.begin("send_message", text("a", client_id="a")) for _ in range(2))
            await gate.asked(1)
            gate.answers[0].set_exception(OriginAway("away"))
            await turns(10)
            assert [alice.answered(number)["reason"] for number in (first, meanwhile)] == ["origin-away"] * 2
            await talking.pass_time(1)
            alice.begin("send_message", text("a", client_id="a"))
            await gate.asked(2)

    async def test_names_are_the_senders_own_in_each_conversation(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1", "7", "8"), await talking.member("u2", "7")
            await told(talking, alice, "send_message", text("a", client_id="1"))
            await told(talking, alice, "send_message", text("b", client_id="1", conversation="8"))
            await told(talking, bob, "send_message", text("c", client_id="1", sender="u2"))
            await talking.pass_time(1)
            assert alice.contents == ["a", "b", "c"]

    async def test_nobody_s_repeats_are_forgotten_because_the_others_are_busy(self) -> None:
        free = LimitSettings(events=Rate(1e9, 1e9), messages=Rate(1e9, 1e9), user_messages=Rate(1e9, 1e9))
        async with talk(chat={"limits": free}) as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "8")
            first = await told(talking, alice, "send_message", text("a", client_id="a"))
            for number in range(11_000):
                bob.emit("send_message", text("x", sender="u2", conversation="8", client_id=str(number)))
                if number % 100 == 0:
                    await talking.pass_time(0.06)
            assert await told(talking, alice, "send_message", text("a", client_id="a")) == first


class TestTheKeyOfABatch:
    async def test_it_is_the_same_after_a_crash_when_every_message_has_a_name(self) -> None:
        keys = []
        for _ in range(2):
            gate = Gate()
            async with talk(gate, origin=PERSIST) as talking:
                alice = await talking.member("u1", "7")
                alice.begin("send_message_batch", batch("a"))
                await gate.asked(1)
                keys += gate.keys
        assert keys[0] == keys[1]

    async def test_it_is_another_when_one_has_none_or_says_something_else(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7", "8")
            for count, message in enumerate((text("a"), text("a"), text("b", client_id="a"), text("c", client_id="b"))):
                alice.begin("send_message", message)
                await gate.asked(count + 1)
                gate.answers[count].set_result(answer())
                await turns(10)
                await talking.pass_time(1)
            assert len(set(gate.keys)) == 4


@asynccontextmanager
async def life(directory: Path, ask: Ask | None = None, at: float = 0.0) -> AsyncIterator[Talking]:
    """One process that keeps a journal; what is in the directory at its end is what kill -9 leaves."""
    settings = CoreSettings(
        chat=ChatSettings(),
        origin=OriginSettings(persist=None if ask is None else "/messages"),
        authentication=AuthenticationSettings(kind="trusted"),
    )
    talking = Talking(settings, ask)
    wall = 1_800_000_000.0 + at - talking.seconds
    talking.core = Core(
        settings,
        ask=ask,
        now=lambda: talking.seconds,
        wall=lambda: wall + talking.seconds,
        journal_path=directory,
    )
    await talking.core.start()
    try:
        yield talking
    finally:
        await talking.core.close()


async def killed(talking: Talking, directory: Path, left: Path) -> None:
    """What would be there if the process ended now."""
    await talking.core.hub.settled()
    shutil.copytree(directory, left)


class TestInTheNextLife:
    async def test_a_repeat_is_answered_with_the_id_of_the_former_life_and_nobody_hears_it_twice(
        self, tmp_path: Path
    ) -> None:
        async with life(tmp_path / "1") as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            first = await told(talking, alice, "send_message_batch", batch("a", "b"))
            await killed(talking, tmp_path / "1", tmp_path / "2")
        async with life(tmp_path / "2", at=20.0) as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            assert await told(talking, alice, "send_message_batch", batch("a", "b")) == first
            assert await told(talking, alice, "send_message", text("b", client_id="b")) == {
                "ok": True,
                "messages": first["messages"][1:],
            }
            assert bob.contents == []

    async def test_the_application_is_not_asked_to_keep_it_again(self, tmp_path: Path) -> None:
        asked = []

        async def persist(*_: object) -> Answer:
            asked.append(1)
            return answer({"ids": [7]}, 201)

        for number in range(3):
            async with life(tmp_path, persist, at=number * 10.0) as talking:
                alice = await talking.member("u1", "7")
                answered = await told(talking, alice, "send_message", text("a", client_id="a"))
                assert answered == {"ok": True, "messages": [7]}
        assert len(asked) == 1

    async def test_its_sender_can_delete_it_and_of_others_it_is_said_that_they_are_not_known(
        self, tmp_path: Path
    ) -> None:
        async with life(tmp_path) as talking:
            alice = await talking.member("u1", "7")
            named = await told(talking, alice, "send_message", text("a", client_id="a"))
            await talking.pass_time(1.0)
            nameless = await told(talking, alice, "send_message", text("b"))
        async with life(tmp_path, at=10.0) as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            ((deletable,), (lost,)) = named["messages"], nameless["messages"]
            refused = await bob.ask("delete_message", {"conversation_id": "7", "message_id": deletable})
            assert refused["reason"] == "not-allowed"
            assert (await alice.ask("delete_message", {"conversation_id": "7", "message_id": deletable}))["ok"]
            refused = await alice.ask("delete_message", {"conversation_id": "7", "message_id": lost})
            assert refused["reason"] == "unknown-message"
            assert refused["error"] == "This message is not known here any more."

    async def test_it_is_known_for_five_minutes_however_often_the_journal_is_begun_anew(self, tmp_path: Path) -> None:
        async with life(tmp_path) as talking:
            alice = await talking.member("u1", "7")
            first = await told(talking, alice, "send_message", text("a", client_id="a"))
        for at in (100.0, 200.0, 299.0):
            async with life(tmp_path, at=at) as talking:
                await talking.core.hub.settled()
            older, _ = journal_files(tmp_path)
            older.unlink()
        async with life(tmp_path, at=299.0) as talking:
            alice = await talking.member("u1", "7")
            assert await told(talking, alice, "send_message", text("a", client_id="a")) == first
            talking.seconds += 1.0
            assert await told(talking, alice, "send_message", text("a", client_id="a")) != first


KEY = ("7", "u1", "a")


def test_a_sender_s_latest_messages_are_known_and_no_more() -> None:
    repeats = Repeats(most=2)
    for number in range(4):
        repeats.add(("7", "u1", str(number)), number, now=1.0)
    repeats.add(("7", "u2", "0"), "other", now=1.0)
    known = [repeats.find(("7", "u1", str(number)), now=1.0) for number in range(4)]
    assert [None if record is None else id_of(record) for record in known] == [None, None, 2, 3]
    assert repeats.find(("7", "u2", "0"), now=1.0)


def test_they_are_forgotten_with_the_window_and_leave_nothing_behind() -> None:
    repeats = Repeats()
    repeats.add(KEY, 1, now=1.0)
    assert repeats.find(KEY, now=WINDOW + 0.9)
    assert repeats.find(KEY, now=WINDOW + 1.0) is None
    assert repeats.records(now=WINDOW + 1.0) == []
    assert (len(repeats), repeats._bytes, repeats._of_sender) == (0, 0, {})


def test_all_together_they_are_bounded_in_bytes() -> None:
    repeats = Repeats(most_bytes=50_000)
    for number in range(10_000):
        repeats.add(("7", f"u{number // 7}", "x" * (number % 200)), number, now=1.0)
        assert repeats._bytes <= 50_000
    assert 50 < len(repeats) < 130


def test_a_clock_that_was_put_back_between_two_lives_makes_nothing_known_for_longer() -> None:
    repeats = Repeats(wall=1000.0)
    repeats.load(("delivered", *KEY, 1, 9e9), now=0.0)
    assert repeats.find(KEY, now=WINDOW - 1.0)
    assert repeats.find(KEY, now=WINDOW) is None


def test_what_is_read_twice_is_known_once() -> None:
    repeats, again = Repeats(), Repeats()
    noted: list[Any] = []
    repeats.note = noted.append
    for number in range(MOST_OF_A_SENDER):
        repeats.add(("7", "u1", str(number)), number, now=1.0)
    for record in [*noted, *repeats.records(now=2.0)]:
        again.load(record, now=2.0)
    assert again.records(now=2.0) == repeats.records(now=2.0) == noted
