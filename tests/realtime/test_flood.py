"""One client that sends without end, and everybody else who must not notice."""

from __future__ import annotations

import asyncio

import pytest

from realtime.connection import Handshake
from realtime.engineio import Session, State, Via
from realtime.limits import Rate
from realtime.session import EngineSession
from realtime.settings import EngineSettings
from realtime.stats import RealtimeStats
from realtime.transport import INBOX
from realtime.websocket import TakenWebSocket
from tests.engine import EngineUnderTest, Recorder, engine_with, masked

_PACKETS = {"message": "4x", "noop": "6", "pong": "3", "upgrade": "5", "binary": b"x"}


class Clock:
    """A loop as far as a session knows it, whose time passes when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.soon: list[tuple[object, ...]] = []

    def time(self) -> float:
        return self.seconds

    def call_soon(self, *call: object) -> None:
        self.soon.append(call)


class House:
    """A server with one session and a clock."""

    def __init__(self, packets: Rate) -> None:
        self.settings = EngineSettings(packets=packets)
        self.stats = RealtimeStats()
        self.loop = Clock()
        machine = Session("sid", State.POLLING, 25.0, 20.0, self.loop.seconds)
        self.session = EngineSession(self, machine, Handshake("/", {}, {}, "", False, 0.0), None)  # type: ignore[arg-type]
        self.session.open(Recorder)

    def beat_changed(self, session: EngineSession) -> None: ...

    def entered(self, session: EngineSession) -> None: ...

    def ended(self, session: EngineSession, reason: str) -> None: ...

    def taken(self, most: int, packet: str | bytes = "4x") -> int:
        """How many of `most` packets are taken before one is refused."""
        return next((number for number in range(most) if not self.session.arrived(packet, Via.POST)), most)


@pytest.mark.parametrize("packet", _PACKETS.values(), ids=_PACKETS)
def test_a_burst_of_packets_of_any_kind_is_taken_and_the_next_one_ends_the_session(packet: str | bytes) -> None:
    house = House(Rate(5.0, 1000.0))
    assert house.taken(2000, packet) == 1000
    assert house.stats.sessions_closed == {"flood": 1}
    assert house.stats.rate_limited == {"packets": 1}


def test_a_sender_at_the_rate_is_never_ended() -> None:
    house = House(Rate(500.0, 10.0))
    for _ in range(5_000):
        assert house.taken(1) == 1
        house.loop.seconds += 1 / 500
    assert house.taken(20) == 10, "a pause does not save up for more than the burst"


def test_what_was_spent_comes_back_with_time() -> None:
    house = House(Rate(10.0, 20.0))
    assert house.taken(20) == 20
    house.loop.seconds += 0.5
    assert house.taken(20) == 5


def test_a_long_text_counts_for_more_and_bytes_do_not() -> None:
    assert House(Rate(1.0, 100.0)).taken(100, "4" + "x" * 4096 * 10) == 10
    assert House(Rate(1.0, 100.0)).taken(200, b"x" * 4096 * 10) == 100


def test_brackets_count_because_each_is_an_object() -> None:
    assert House(Rate(1.0, 100.0)).taken(100, "42[" + "[]," * 1300 + "[]]") == 5
    assert House(Rate(1.0, 100.0)).taken(101, "42[" + "[]," * 300 + "[]]") == 100, "a short text is what it is"


def test_a_text_as_long_as_may_be_is_taken_whatever_the_rate_is() -> None:
    assert House(Rate(1.0, 2.0)).taken(5, "4" + "x" * 1_000_000) == 1


async def test_a_flood_over_a_websocket_is_closed_with_a_code_that_says_so() -> None:
    async with engine_with(packets=Rate(10.0, 20.0)) as engine, await engine.session() as websocket:
        await websocket.client.send(masked("6") * 50)
        assert await engine.last.end() == "flood"
        assert await websocket.close_code() == 1008


@pytest.mark.parametrize("end", ["parse-error", "flood"])
async def test_faults_above_close_with_a_code_of_their_own(engine: EngineUnderTest, end: str) -> None:
    async with await engine.session() as websocket:
        engine.last.connection.close(end)
        assert await websocket.close_code() == 1008


async def test_who_goes_on_after_the_close_is_not_read_any_more() -> None:
    async with engine_with(packets=Rate(10.0, 20.0), close_timeout=60.0) as engine, await engine.session() as websocket:
        for _ in range(3):
            await websocket.client.send(masked("6") * 1000)
        assert await engine.last.end() == "flood"
        assert await websocket.close_code() == 1008
        assert await asyncio.wait_for(websocket.client.reader.read(), 5) == b"", "and told that nobody listens"


async def test_of_what_one_client_sends_at_once_a_little_is_read_in_each_turn(
    engine: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    read = TakenWebSocket.buffer_updated

    def noted(websocket: TakenWebSocket, nbytes: int) -> None:
        sizes.append(nbytes)
        read(websocket, nbytes)

    monkeypatch.setattr(TakenWebSocket, "buffer_updated", noted)
    async with await engine.session() as websocket:
        await websocket.client.send(masked("4" + "x" * 9_000) * 10)
        for _ in range(10):
            assert await engine.last.message() == "x" * 9_000
    assert max(sizes) <= INBOX
    assert sum(sizes) > 90_000


async def test_pongs_that_nobody_asked_for_count_like_pings(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.client.send(masked(b"", opcode=0xA) * 21)
        assert await engine.last.end() == "ping-flood"


async def test_a_post_with_more_packets_than_a_burst_is_refused_before_it_is_read() -> None:
    async with engine_with(packets=Rate(10.0, 20.0)) as engine:
        client = await engine.polling()
        assert (await client.post("\x1e".join(["4x"] * 21))).status == 400
        assert await engine.last.end() == "flood"
        assert engine.last.messages.empty()
        assert (await client.get()).status == 400


async def test_a_post_with_a_burst_of_packets_is_taken() -> None:
    async with engine_with(packets=Rate(10.0, 20.0)) as engine:
        client = await engine.polling()
        assert (await client.post("\x1e".join(["4x"] * 20))).body == b"ok"
        assert engine.last.messages.qsize() == 20
        assert (await client.post("\x1e".join(["4x"] * 20))).status == 400
        assert await engine.last.end() == "flood"


async def test_fragments_that_never_become_a_message_are_a_flood_however_little_they_say() -> None:
    async with engine_with(packets=Rate(10.0, 200.0)) as engine, await engine.session() as websocket:
        await websocket.client.send(masked("4", fin=False) + masked(b"", opcode=0, fin=False) * 201)
        assert await engine.last.end() == "flood"
        assert await websocket.close_code() == 1008
        assert engine.stats.rate_limited == {"fragments": 1}


async def test_a_message_in_many_fragments_costs_like_as_many_packets_and_arrives() -> None:
    async with engine_with(packets=Rate(10.0, 200.0)) as engine, await engine.session() as websocket:
        parts = [masked("4", fin=False), *[masked(b"x", opcode=0, fin=False)] * 150, masked(b"", opcode=0)]
        await websocket.client.send(b"".join(parts))
        assert await engine.last.message() == "x" * 150
        await websocket.client.send(masked("6") * 60)
        assert await engine.last.end() == "flood"
        assert engine.stats.rate_limited == {"packets": 1}


async def test_fragments_after_our_close_are_not_read_for_long() -> None:
    async with engine_with(close_timeout=60.0) as engine, await engine.session() as websocket:
        engine.last.connection.close("server-close")
        await websocket.client.send(masked("4", fin=False) + masked(b"", opcode=0, fin=False) * 2000)
        await websocket.close_code()
        assert await asyncio.wait_for(websocket.client.reader.read(), 5) == b""


async def test_after_a_flood_those_who_come_again_have_a_small_burst() -> None:
    async with engine_with(packets=Rate(1.0, 200.0)) as engine:
        async with await engine.session() as websocket:
            await websocket.client.send(masked("6") * 250)
            assert await engine.last.end() == "flood"
        async with await engine.session() as websocket:
            await websocket.client.send(masked("4x") * 40)
            assert await engine.last.end() == "flood"
        assert 15 <= engine.last.messages.qsize() <= 25
