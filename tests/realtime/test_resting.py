"""Connections that are read late, so that those of many are read together."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web

from realtime.core import Core
from realtime.limits import Rate
from realtime.resting import TOGETHER, UNWANTED, Resting, Rests
from realtime.settings import (
    AuthenticationSettings,
    BatchSettings,
    ChatSettings,
    CoreSettings,
    EngineSettings,
    HubSettings,
    LimitSettings,
)
from realtime.transport import INBOX
from realtime.websocket import TakenWebSocket
from tests.edge import PATIENCE, Client
from tests.engine import EngineUnderTest, RawWebSocket, engine_with, masked, upgrade_head


class Clock:
    """A loop of which only the time and the timers are real."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    @property
    def pending(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.is_over]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for timer in self.pending:
            if timer.when() <= self.now:
                timer.is_over = True
                timer.callback()


class Timer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self._when = when
        self.callback = callback
        self.is_over = False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.is_over = True


class Sleeper:
    """`rests_on` for so many seconds whenever it was heard; 0 for not."""

    def __init__(self, clock: Clock, resting: Resting) -> None:
        self.heard = 0
        self.woken = 0
        self.rests_on = 0.0
        self._clock = clock
        self._resting = resting

    def rest(self, seconds: float) -> bool:
        return self._resting.add(self, self._clock.now + seconds)

    def listen(self) -> None:
        self.heard += 1
        if self.rests_on:
            self.rest(self.rests_on)

    def wake(self) -> None:
        self._resting.discard(self)
        self.woken += 1

    @property
    def seen(self) -> tuple[int, int]:
        return self.heard, self.woken


def bedroom() -> tuple[Clock, Resting, list[Sleeper]]:
    clock = Clock()
    resting = Resting(lambda: cast("asyncio.AbstractEventLoop", clock))
    return clock, resting, [Sleeper(clock, resting) for _ in range(3)]


def test_whoever_rests_is_heard_by_those_who_want_to_hear_when_the_time_has_come() -> None:
    clock, resting, (anna, *_) = bedroom()
    anna.rest(0.02)
    clock.pass_time(0.018)
    resting.hear()
    resting.release()
    assert anna.seen == (0, 0)
    clock.pass_time(0.002)
    resting.hear()
    assert anna.seen == (1, 0)
    resting.release()
    assert (anna.seen, len(resting), clock.pending) == ((1, 1), 0, [])


def test_if_nobody_wants_to_hear_it_is_heard_a_little_later_all_the_same() -> None:
    clock, resting, (anna, *_) = bedroom()
    anna.rest(0.02)
    clock.pass_time(0.02)
    assert anna.seen == (0, 0)
    clock.pass_time(UNWANTED)
    assert (anna.seen, len(resting), clock.pending) == ((1, 1), 0, [])


def test_all_who_are_due_or_nearly_so_are_heard_in_a_row() -> None:
    clock, resting, sleepers = bedroom()
    for number, sleeper in enumerate(sleepers):
        sleeper.rest(0.02 + number * TOGETHER * 0.75)
    assert len(clock.pending) == 1
    clock.pass_time(0.02)
    resting.hear()
    assert [sleeper.heard for sleeper in sleepers] == [1, 1, 0]
    resting.release()
    clock.pass_time(2 * TOGETHER + UNWANTED)
    assert [sleeper.seen for sleeper in sleepers] == [(1, 1)] * 3


def test_who_is_told_to_rest_on_when_heard_is_not_woken() -> None:
    clock, resting, (anna, *_) = bedroom()
    anna.rests_on = 0.05
    anna.rest(0.02)
    clock.pass_time(0.02)
    resting.hear()
    resting.release()
    assert (anna.seen, len(resting)) == ((1, 0), 1)
    anna.rests_on = 0.0
    clock.pass_time(0.05 + UNWANTED)
    assert anna.seen == (2, 1)


def test_who_rests_already_keeps_its_time() -> None:
    clock, _, (anna, *_) = bedroom()
    assert anna.rest(0.02)
    assert not anna.rest(5.0)
    clock.pass_time(0.02 + UNWANTED)
    assert anna.seen == (1, 1)


def test_a_shorter_rest_is_not_made_longer_by_those_before_it() -> None:
    clock, _, (anna, ben, _) = bedroom()
    anna.rest(1.0)
    ben.rest(0.02)
    clock.pass_time(0.02 + UNWANTED)
    assert (anna.heard, ben.heard) == (0, 1)
    clock.pass_time(1.0)
    assert anna.heard == 1


def test_who_is_gone_is_not_heard() -> None:
    clock, resting, (anna, ben, _) = bedroom()
    anna.rest(0.02)
    ben.rest(0.02)
    assert resting.discard(anna)
    assert not resting.discard(anna)
    clock.pass_time(0.03)
    assert (anna.heard, ben.heard) == (0, 1)


def test_one_who_cannot_be_heard_does_not_keep_the_others_asleep() -> None:
    clock, resting, (anna, *_) = bedroom()

    class Broken(Sleeper):
        def listen(self) -> None:
            raise ValueError("broken")

    broken = Broken(clock, resting)
    broken.rest(0.02)
    anna.rest(0.02)
    with pytest.raises(ValueError, match="broken"):
        clock.pass_time(0.02 + UNWANTED)
    assert (broken.woken, anna.woken, len(resting)) == (1, 1, 0)


def test_at_the_end_everybody_is_woken_and_no_timer_is_left() -> None:
    clock, resting, sleepers = bedroom()
    for sleeper in sleepers:
        sleeper.rest(9.0)
    resting.end()
    assert ([sleeper.woken for sleeper in sleepers], len(resting), clock.pending) == ([1, 1, 1], 0, [])


# Over a real socket. LONG is longer than any test: what happens within it happens because somebody was woken.

LONG = 3 * PATIENCE


@pytest.fixture(autouse=True)
def anybody_who_speaks_twice_may_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.websocket.TALKS", LONG)


async def talking(engine: EngineUnderTest) -> RawWebSocket:
    """A session that has said two things in a row, and would rest."""
    websocket = await engine.session()
    for word in ("4one", "4two"):
        await websocket.send(word)
        await engine.last.message()
    return websocket


def rest(engine: EngineUnderTest, seconds: float) -> None:
    engine.last.connection.rest(asyncio.get_running_loop().time() + seconds)


def asleep(engine: EngineUnderTest) -> int:
    return len(engine.engine.resting)


async def test_what_is_said_meanwhile_is_read_when_the_rest_is_over_in_order() -> None:
    async with engine_with() as engine, await talking(engine) as websocket:
        rest(engine, LONG)
        for number in range(10):
            await websocket.send(f"4{number}")
        engine.engine.resting.end()
        assert [await engine.last.message() for _ in range(10)] == [str(number) for number in range(10)]


async def test_it_wakes_by_itself() -> None:
    async with engine_with() as engine, await talking(engine) as websocket:
        rest(engine, 0.02)
        assert asleep(engine) == 1
        await websocket.send("4three")
        assert await engine.last.message() == "three"
        assert asleep(engine) == 0


async def test_half_a_message_before_the_rest_and_half_after_it_are_one() -> None:
    async with engine_with() as engine, await talking(engine) as websocket:
        frame = masked("4a whole sentence")
        await websocket.client.send(masked("4first") + frame[:9])
        assert await engine.last.message() == "first"
        rest(engine, LONG)
        await websocket.client.send(frame[9:])
        engine.engine.resting.end()
        assert await engine.last.message() == "a whole sentence"


async def test_who_speaks_rarely_does_not_rest() -> None:
    async with engine_with() as engine, await engine.session() as websocket:
        await websocket.send("4one")
        await engine.last.message()
        rest(engine, LONG)
        assert asleep(engine) == 0


async def test_who_has_more_to_say_than_was_read_does_not_rest() -> None:
    async with engine_with() as engine, await talking(engine) as websocket:
        rested: list[int] = []
        received = engine.last.received

        def then_rest(message: str | bytes) -> None:
            rest(engine, LONG)
            rested.append(asleep(engine))
            received(message)

        engine.last.received = then_rest  # type: ignore[method-assign]
        await websocket.client.send(masked("4x") * (2 * INBOX // len(masked("4x"))))
        await engine.last.message()
        assert rested[0] == 0


async def test_a_ping_wakes_it_and_while_its_pong_is_awaited_it_does_not_rest() -> None:
    async with engine_with(ping_interval=0.05, ping_timeout=LONG) as engine, await talking(engine) as websocket:
        rest(engine, LONG)
        assert await websocket.text() == "2"
        rest(engine, LONG)
        assert asleep(engine) == 0
        await websocket.send("3")
        assert await websocket.text() == "2"  # only who has answered is asked again
        round_trip = engine.last.connection.round_trip
        assert round_trip is not None
        assert round_trip < PATIENCE


async def test_a_session_that_is_closed_while_it_rests_hears_the_clients_close() -> None:
    async with engine_with(close_timeout=LONG) as engine, await talking(engine) as websocket:
        rest(engine, LONG)
        engine.last.connection.close()
        assert await websocket.close_code() == 1000
        await websocket.send(b"", opcode=8)
        async with asyncio.timeout(PATIENCE):
            assert await websocket.client.reader.read() == b""
        assert asleep(engine) == 0


async def test_who_leaves_while_it_rests_is_noticed_when_the_rest_is_over() -> None:
    async with engine_with() as engine:
        websocket = await talking(engine)
        rest(engine, 0.02)
        websocket.client.leave()
        assert await engine.last.end() == "transport-close"
        assert asleep(engine) == 0


async def test_the_end_of_the_server_does_not_wait_for_those_who_rest() -> None:
    async with engine_with() as engine:
        websocket = await talking(engine)
        rest(engine, LONG)
        async with asyncio.timeout(PATIENCE):
            await engine.engine.close()
        assert asleep(engine) == 0
        websocket.client.leave()


async def test_a_session_that_polls_has_nothing_to_rest() -> None:
    async with engine_with() as engine:
        client = await engine.polling()
        rest(engine, LONG)
        await client.post("4hello")
        assert await engine.last.message() == "hello"


# In a conversation.


class Speaker:
    """Somebody in the conversation, who answers pings and keeps what was delivered."""

    def __init__(self, websocket: RawWebSocket) -> None:
        self.heard: list[dict[str, Any]] = []
        self.batches: list[list[str]] = []
        self._websocket = websocket
        self._answers = asyncio.Queue[str]()
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def enter(self, user: str) -> None:
        for packet in ("40", f'420["authenticate","{user}"]', '421["join_conversation","7"]'):
            await self._websocket.send(packet)
            async with asyncio.timeout(PATIENCE):
                await self._answers.get()

    async def say(self, user: str, *contents: str) -> None:
        """In one piece, and given to the system before this returns, if it takes it."""
        messages = [
            {"conversation_id": "7", "sender_id": user, "content": content, "message_type": "text"}
            for content in contents
        ]
        packets = ["42" + json.dumps(["send_message", message]) for message in messages]
        await self._websocket.client.send(b"".join(map(masked, packets)))

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()

    def leave(self) -> None:
        self._reading.cancel()
        self._websocket.client.leave()

    async def _read(self) -> None:
        while True:
            _, data = await self._websocket.frame()
            if data == b"2":
                await self._websocket.send("3")
            elif data.startswith((b"40", b"43")):
                self._answers.put_nowait(data.decode())
            elif data.startswith(b'42["new_messages_batch"'):
                messages = json.loads(data[2:])[1]
                self.heard += messages
                self.batches.append([message["content"] for message in messages])
                self._more.set()


@asynccontextmanager
async def conversation(
    count: int, ping_interval: float = 25.0, delay: float = 0.05
) -> AsyncIterator[tuple[Core, list[Speaker]]]:
    """A core, and so many speakers in one conversation."""
    plenty = Rate(1e6, 1e6)
    settings = CoreSettings(
        engine=EngineSettings(ping_interval=ping_interval, ping_timeout=PATIENCE),
        hub=HubSettings(recovery=None),
        authentication=AuthenticationSettings(kind="trusted"),
        chat=ChatSettings(
            batch=BatchSettings(delay=delay), limits=LimitSettings(messages=plenty, user_messages=plenty)
        ),
    )
    core = Core(settings)
    listener = web.Server(core.handle)
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    speakers: list[Speaker] = []
    try:
        for number in range(count):
            client = await Client.connect("127.0.0.1", port)
            await client.send(upgrade_head("/socket.io/?EIO=4&transport=websocket", f"127.0.0.1:{port}"))
            speakers.append(Speaker(RawWebSocket(client, await client.receive())))
            await speakers[-1].enter(f"u{number}")
        yield core, speakers
    finally:
        for speaker in speakers:
            speaker.leave()
        server.close()
        await core.close()
        await listener.shutdown(1.0)
        await server.wait_closed()


async def test_all_that_is_said_in_a_busy_conversation_arrives_in_order_and_no_pong_is_read_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rested = 0
    add = Resting.add

    def watched(self: Resting, connection: Rests, until: float) -> bool:
        nonlocal rested
        assert isinstance(connection, TakenWebSocket)
        assert connection._session is not None
        assert not connection._session.machine.awaits_pong
        rested += 1
        return add(self, connection, until)

    monkeypatch.setattr(Resting, "add", watched)
    async with conversation(5, ping_interval=0.03) as (core, speakers):
        for number in range(60):
            for place, speaker in enumerate(speakers):
                await speaker.say(f"u{place}", str(number))
            await asyncio.sleep(0.003)  # the pace of a conversation; nothing depends on it
        await speakers[0].hears(300)
        said = defaultdict(list)
        for message in speakers[0].heard:
            said[message["sender_id"]].append(message["content"])
        assert dict(said) == {f"u{place}": [str(number) for number in range(60)] for place in range(5)}
        assert rested > 0
        assert sum(core.stats.round_trips) > 0


async def test_a_loop_that_is_late_reads_who_rests_before_the_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.batching.UNHEARD", LONG)
    async with conversation(2, delay=0.5) as (core, (anna, ben)):
        await anna.say("u0", *"abcdefghijkl")
        await anna.hears(12)
        while not len(core.engine.resting):
            await asyncio.sleep(0)
        await ben.say("u1", "early")
        while not core.chat.conversations.waiting("7"):
            await asyncio.sleep(0)
        await anna.say("u0", "late")
        time.sleep(0.6)  # noqa: ASYNC251 - everybody is late now: who rests, and the window
        await ben.hears(14)
        assert ben.batches[-1] == ["early", "late"]
