"""Every message waits for the application for as long as its own patience lasts, whatever it waits behind or with."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.origin import OriginAway
from realtime.patience import LEAST, Patience
from realtime.settings import BatchSettings
from tests.realtime.talking import Answer, Talker, Talking, answer, talk, text
from tests.realtime.wire import turns

ONE_ATTEMPT = {"persist": "/messages", "patience": 4.0, "backoff": 60.0}


class Hanging:
    """An application that does not answer; `let` ends the latest question."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self._answers: list[asyncio.Future[Answer]] = []

    async def __call__(self, method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
        self.asked.append([message["content"] for message in json.loads(body)["messages"]])
        self._answers.append(asyncio.get_running_loop().create_future())
        return await self._answers[-1]

    async def let(self, said: Answer | None = None) -> None:
        if said is None:
            self._answers[-1].set_exception(OriginAway("no answer in time"))
        else:
            self._answers[-1].set_result(said)
        await turns(20)


async def sending(talking: Talking, talker: Talker, *moments: float) -> list[int]:
    """Send a message at each of these moments, named by it; the numbers of the questions."""
    begun = talking.seconds
    numbers = []
    for moment in moments:
        await talking.pass_time(begun + moment - talking.seconds)
        numbers.append(talker.begin("send_message", text(f"{moment:g}")))
        await turns()
    return numbers


def refused(talker: Talker, numbers: list[int]) -> list[bool]:
    """Which of the questions have been answered, all of them with a refusal."""
    answers = [talker.answered(number) for number in numbers]
    assert all(said is None or said["reason"] == "origin-away" for said in answers)
    return [said is not None for said in answers]


async def test_what_has_waited_too_long_is_refused_with_the_batch_before_it_and_the_rest_is_asked_for() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 0.1, 0.3, 2.0, 3.0)
        await talking.pass_time(1.0)
        await application.let()
        assert refused(alice, numbers) == [True, True, True, False, False]
        assert application.asked == [["0"], ["2", "3"]]
        assert [error["reason"] for error in alice.heard("message_error")] == ["origin-away"] * 3


async def test_of_a_batch_each_message_is_refused_when_its_own_patience_is_over() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 1.0, 2.0, 3.0)
        await talking.pass_time(0.9)
        await application.let()
        assert application.asked[1] == ["1", "2", "3"]
        await talking.pass_time(1.15)
        assert refused(alice, numbers) == [True, True, False, False]
        await talking.pass_time(1.0)
        assert refused(alice, numbers) == [True, True, True, False]
        await application.let()
        assert refused(alice, numbers) == [True] * 4
        assert len(alice.heard("message_error")) == 4, "each once"


async def test_what_was_refused_is_not_delivered_when_the_answer_comes_after_all_and_the_rest_is() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 1.0, 2.0, 3.0)
        await talking.pass_time(0.9)
        await application.let()
        await talking.pass_time(1.5)
        await application.let(answer({"ids": [1, 2, 3]}, 201))
        assert [alice.answered(number)["ok"] for number in numbers] == [False, False, True, True]
        assert alice.contents == ["2", "3"]
        assert talking.core.chat.conversations.waiting("7") == 0
        await talking.pass_time(10.0)
        assert not talking.core.chat.alarm.is_set, "nothing is left to wait for"


async def test_what_was_asked_for_without_an_answer_may_be_kept_and_what_waited_behind_it_was_not() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 0.1, 3.0)
        await talking.pass_time(1.0)
        await application.let()
        assert application.asked == [["0"], ["3"]]
        said = [alice.answered(number) for number in numbers]
        assert [each and each.get("may_be_kept", False) for each in said] == [True, False, None]
        assert "may have been saved" in said[0]["error"]
        assert said[1]["error"].endswith("Try again.")


@pytest.mark.parametrize("status", [408, 425, 429])
async def test_what_the_application_has_answered_with_not_yet_until_the_end_was_not_kept(status: int) -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        (number,) = await sending(talking, alice, 0.0)
        await application.let(answer(status=status))
        assert refused(alice, [number]) == [True]
        assert "may_be_kept" not in alice.answered(number)


@pytest.mark.parametrize("statuses", [(500,), (502,), (503,), (504,), (500, 429)])
async def test_what_the_application_has_answered_with_its_failure_may_be_kept(statuses: tuple[int, ...]) -> None:
    said = [answer(status=status) for status in statuses]

    async def fails(*_: object) -> Answer:
        return said.pop(0) if len(said) > 1 else said[0]

    async with talk(fails, origin={"persist": "/messages", "patience": 4.0, "backoff": 0.0}) as talking:
        alice = await talking.member("u1", "7")
        number = alice.begin("send_message", text("a"))
        await turns(20)
        await talking.pass_time(5.0)
        assert refused(alice, [number]) == [True]
        assert alice.answered(number)["may_be_kept"] is True
        assert "may have been saved" in alice.answered(number)["error"]


async def refuses_connections(*question: Any) -> Answer:
    question[-1].in_vain()
    raise OriginAway("connection refused")


async def test_what_could_not_be_asked_for_was_not_kept_neither_with_its_batch_nor_when_its_own_patience_is_over() -> (
    None
):
    gate = asyncio.Event()

    async def application(*question: Any) -> Answer:
        if not gate.is_set():
            await gate.wait()
            return answer({"ids": [1]}, 201)
        return await refuses_connections(*question)

    async with talk(application, origin={"persist": "/messages", "patience": 4.0, "backoff": 3.0}) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 0.5, 1.0)
        gate.set()
        await turns(20)
        assert alice.answered(numbers[0])["ok"]
        await talking.pass_time(3.6)
        assert refused(alice, numbers[1:]) == [True, False]
        assert "may_be_kept" not in alice.answered(numbers[1])
        assert alice.answered(numbers[1])["error"].endswith("Try again.")


async def test_what_was_kept_may_be_kept_while_others_of_its_batch_are_asked_for() -> None:
    async def application(*question: Any) -> Answer:
        contents = [message["content"] for message in json.loads(question[3])["messages"]]
        if contents == ["0"]:
            await gate.wait()
        if contents == ["1"]:
            return await refuses_connections(*question)
        return answer(status=422) if len(contents) > 1 else answer({"ids": [9]}, 201)

    gate = asyncio.Event()
    async with talk(application, origin={"persist": "/messages", "patience": 4.0, "backoff": 3.0}) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 0.5, 1.0)
        gate.set()
        await turns(20)
        await talking.pass_time(3.6)
        assert refused(alice, numbers[1:]) == [True, False]
        assert alice.answered(numbers[1])["may_be_kept"] is True


async def in_flight(talking: Talking, talker: Talker, application: Hanging) -> None:
    """Two named messages in one batch that the application is asked for; the first, `a`, has lost its patience."""
    talker.emit("send_message", text("before"))
    await turns()
    for name in "ab":
        await talking.pass_time(1.0)
        talker.emit("send_message", text(name, client_id=name))
    await application.let(answer({"ids": [1]}, 201))
    await talking.pass_time(0.1)
    assert application.asked == [["before"], ["a", "b"]]
    await talking.pass_time(3.0)
    (told,) = talker.heard("message_error")
    assert (told["client_id"], told["may_be_kept"]) == ("a", True)


async def test_a_repetition_of_what_is_still_asked_for_is_not_asked_for_beside_it_but_told_what_becomes_of_it() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
        await in_flight(talking, alice, application)
        again = [alice.begin("send_message", text("a", client_id="a")) for _ in range(2)]
        await talking.pass_time(0.5)
        assert [alice.answered(number) for number in again] == [None, None]
        await application.let(answer({"ids": [2, 3]}, 201))
        assert [alice.answered(number) for number in again] == [{"ok": True, "messages": [2]}] * 2
        assert bob.contents == ["before", "a", "b"]
        assert (await alice.ask("send_message", text("a", client_id="a")))["messages"] == [2]
        await talking.pass_time(1.0)
        assert len(application.asked) == 2
        assert len(alice.heard("message_error")) == 1
        assert talking.core.chat.conversations.waiting("7") == 0


@pytest.mark.parametrize(("said", "reason"), [(None, "origin-away"), (answer(status=403), "origin-refused")])
async def test_a_repetition_of_what_fails_in_the_end_is_told_so_once(said: Answer | None, reason: str) -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        await in_flight(talking, alice, application)
        again = alice.begin("send_message", text("a", client_id="a"))
        await talking.pass_time(0.5)
        await application.let(said)
        assert alice.answered(again)["reason"] == reason
        told = [(error["client_id"], error["reason"]) for error in alice.heard("message_error")]
        assert told == [("a", "origin-away"), ("a", reason), ("b", reason)]


async def test_what_is_repeated_when_nothing_is_asked_any_more_is_asked_for_again() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
        await in_flight(talking, alice, application)
        await application.let(answer({"ids": [2, 3]}, 201))
        assert bob.contents == ["before", "b"], "its sender was told that it may be lost"
        again = alice.begin("send_message", text("a", client_id="a"))
        await talking.pass_time(0.5)
        assert application.asked[2:] == [["a"]]
        await application.let(answer({"ids": [2]}, 201))
        assert alice.answered(again) == {"ok": True, "messages": [2]}
        assert bob.contents == ["before", "b", "a"]


async def test_what_waited_behind_a_slow_answer_for_too_long_is_not_asked_for() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 0.5)
        talking.seconds += 4.1  # the application's answer is there before the timers are
        await application.let(answer({"ids": [1]}, 201))
        assert (alice.answered(numbers[0])["ok"], alice.answered(numbers[1])["reason"]) == (True, "origin-away")
        assert application.asked == [["0"]]


async def test_many_full_batches_behind_one_that_hangs_are_each_refused_in_time() -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT, chat={"batch": BatchSettings(max_messages=2)}) as talking:
        alice = await talking.member("u1", "7")
        sent: list[tuple[float, int]] = []
        told: dict[int, float] = {}
        for step in range(60):
            if step < 30:
                batch = {"conversation_id": "7", "messages": [text(f"{step}a"), text(f"{step}b")]}
                sent.append((talking.seconds, alice.begin("send_message_batch", batch)))
            await talking.pass_time(0.25)
            for at, number in sent:
                if alice.answered(number) is not None:
                    told.setdefault(number, talking.seconds - at)
            oldest = next((at for at, number in sent if number not in told), None)
            if oldest is not None and talking.seconds - oldest >= 4.0:
                await application.let()  # as the origin's own timer would
        assert len(told) == 30
        assert max(told.values()) <= 4.5


@pytest.mark.parametrize("away", [False, True])
async def test_without_patience_every_message_is_asked_for_once(away: bool) -> None:
    application = Hanging()
    async with talk(application, origin=ONE_ATTEMPT | {"patience": 0.0}) as talking:
        alice = await talking.member("u1", "7")
        numbers = await sending(talking, alice, 0.0, 1.0)
        await talking.pass_time(100.0)
        assert refused(alice, numbers) == [False, False]
        await application.let(None if away else answer(status=201))
        assert application.asked == [["0"], ["1"]]


class Message(NamedTuple):
    since: float


moments = st.lists(st.integers(0, 40), min_size=1, max_size=10).map(sorted)


@given(taken=moments, steps=st.lists(st.integers(1, 30), max_size=10))
def test_each_message_is_named_once_when_its_time_has_come_and_the_last_ends_with_its_batch(
    taken: list[int], steps: list[int]
) -> None:
    patience: Patience[Any] = Patience(20.0)
    batch = [Message(float(since)) for since in taken]
    patience.begin("7", batch)
    named: list[Message] = []
    now = float(taken[-1])
    for step in steps:
        named += [message for _, message in patience.due(now)]
        assert named == [m for m in batch if m.since + 20.0 <= now and m.since < batch[-1].since]
        now += step
    assert set(patience.finish("7")) == {id(message) for message in named}
    assert (patience.deadline, list(patience.due(1e9))) == (None, [])
    assert patience.end(batch) == batch[-1].since + 20.0


@given(taken=moments, now=st.integers(0, 80))
def test_whoever_is_asked_for_has_time_left_for_it(taken: list[int], now: int) -> None:
    patience: Patience[Message] = Patience(20.0)
    batch = [Message(float(since)) for since in taken]
    for away, least in ((False, 0.0), (True, 20.0 * LEAST)):
        count = patience.hopeless(batch, float(now), away=away)
        assert all(message.since + 20.0 - now <= least for message in batch[:count])
        assert all(message.since + 20.0 - now > least for message in batch[count:])
