"""What is said to all who are in a room: over real connections, of which some stall, close, poll or come back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from realtime.frames import Outgoing
from realtime.room import MANY, Room
from realtime.socket import Socket
from tests.edge import PATIENCE
from tests.engine import EngineUnderTest, RawWebSocket, Recorder, engine_with, masked, stalled

CROWD = 2 * MANY
KILOBYTE = "x" * 1000


class Place:
    """A server with a room, and the clients that came to the server."""

    def __init__(self, engine: EngineUnderTest) -> None:
        self.engine = engine
        self.room = Room(engine.stats)
        self.clients: list[RawWebSocket] = []

    async def arrive(self, headers: str = "") -> RawWebSocket:
        self.clients.append(await self.engine.session(headers))
        return self.clients[-1]

    def enter(self, receiver: Recorder) -> None:
        self.room.put(cast("Socket", receiver), receiver.connection)

    def leave(self, receiver: Recorder) -> None:
        self.room.remove(cast("Socket", receiver))

    def say(self, text: str) -> int:
        return self.room.send(Outgoing([text]))


@asynccontextmanager
async def place(count: int = CROWD, **settings: Any) -> AsyncIterator[tuple[Place, list[RawWebSocket]]]:
    """With so many in the room."""
    async with engine_with(**settings) as engine:
        made = Place(engine)
        try:
            for _ in range(count):
                await made.arrive()
                made.enter(engine.last)
            yield made, list(made.clients)
        finally:
            for client in made.clients:
                client.client.leave()


async def everybody_hears(members: list[RawWebSocket], text: str) -> None:
    assert [await member.text() for member in members] == [f"4{text}"] * len(members)


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, CROWD])
async def test_everybody_who_is_in_it_hears_what_is_said(count: int) -> None:
    async with place(count) as (here, members):
        for text in ("one", "two"):
            assert here.say(text) == count
            await everybody_hears(members, text)


async def test_whoever_comes_or_goes_does_so_between_two_words() -> None:
    async with place() as (here, members):
        here.say("one")
        late = await here.arrive()
        here.enter(here.engine.last)
        here.leave(here.engine.receivers[0])
        here.say("two")
        await everybody_hears(members, "one")
        await everybody_hears([*members[1:], late], "two")
        here.engine.receivers[0].send("for you alone")
        assert await members[0].text() == "4for you alone"


async def test_nobody_hears_what_was_meant_for_the_connection_whose_descriptor_it_has_now() -> None:
    async with place() as (here, members):
        here.say("one")
        gone = here.engine.receivers[0]
        (carrier,) = (it for it in here.engine.engine._carriers if it is gone.session._socket)
        descriptor = cast("Any", carrier).descriptor
        members[0].client.leave()
        await gone.end()  # and is still in the room
        strangers = [await here.arrive() for _ in range(3)]
        taken = [cast("Any", stranger.session._socket).descriptor for stranger in here.engine.receivers[CROWD:]]
        assert descriptor in taken  # else this would prove nothing
        here.say("two")
        for stranger in here.engine.receivers[CROWD:]:
            stranger.send("hello, stranger")
        assert [await stranger.text() for stranger in strangers] == ["4hello, stranger"] * 3
        await everybody_hears(members[1:], "one")
        await everybody_hears(members[1:], "two")


async def test_nothing_is_said_to_somebody_after_the_end() -> None:
    async with place() as (here, members):
        here.say("one")
        here.engine.receivers[0].connection.close()
        here.say("two")
        assert [await members[0].frame() for _ in range(2)] == [(1, b"4one"), (8, b"\x03\xe8server-close")]
        assert await members[0].client.reader.read() == b""


async def test_who_polls_hears_it_beside_the_others() -> None:
    async with place() as (here, members):
        polling = await here.engine.polling()
        here.enter(here.engine.last)
        for text in ("one", "two"):
            here.say(text)
            await everybody_hears(members, text)
        assert (await polling.get()).body == b"4one\x1e4two"


async def test_who_has_compression_gets_what_is_worth_it_compressed() -> None:
    async with place(compression=100) as (here, members):
        squeezed = await here.arrive("Sec-WebSocket-Extensions: permessage-deflate\r\n")
        here.enter(here.engine.last)
        here.say(KILOBYTE)
        here.say("short")
        opcode, data = await squeezed.frame()
        assert (opcode, len(data) < 100) == (0x41, True)
        assert await squeezed.text() == "4short"
        await everybody_hears(members, KILOBYTE)


async def test_a_member_that_stalls_gets_everything_in_order_when_it_reads_again_and_delays_nobody() -> None:
    async with place(high_water=10_000, max_queue=50_000_000) as (here, members):
        slow = await stalled(here.engine)
        here.enter(here.engine.last)
        session, count = here.engine.last.session, 0
        while not session.queued or count % 20:
            here.say(f"{count:06}{KILOBYTE}")
            await everybody_hears(members, f"{count:06}{KILOBYTE}")
            count += 1
        reader, writer = await asyncio.open_connection(sock=slow)
        for number in range(count):
            async with asyncio.timeout(PATIENCE):
                frame = await reader.readexactly(4 + 1 + 6 + len(KILOBYTE))
            assert frame[5:11] == b"%06d" % number
        while session.queued or session.destination is None:
            await asyncio.sleep(0)
        for text in ("once more", "and again"):  # beside the others, and as one of them
            here.say(text)
            assert (await reader.readexactly(3 + len(text)))[3:] == text.encode()
            await everybody_hears(members, text)
        writer.close()


@pytest.mark.parametrize("high_water", [10_000, 50_000_000])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_a_client_reads_meanwhile_all_that_it_is_told_comes_in_order(high_water: int, seed: int) -> None:
    dice = random.Random(seed)
    async with place(high_water=high_water, max_queue=50_000_000) as (here, _):
        slow = await stalled(here.engine)
        alone = here.engine.last
        wire = cast("Any", alone.session._socket)._wire
        wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        here.enter(alone)
        said, heard = [], bytearray()
        for number in range(4000):
            text = f"{number:06}{KILOBYTE}"
            said.append(text)
            if dice.random() < 0.3:
                alone.send(text)
            else:
                here.say(text)
            if dice.random() < 0.4:  # the system then takes more, before those who wait for that know it
                with contextlib.suppress(BlockingIOError):
                    while dice.random() < 0.9:
                        heard += slow.recv(10_000)
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        expected = b"".join(Outgoing([text]).frame for text in said)
        async with asyncio.timeout(PATIENCE):
            while len(heard) < len(expected):
                heard += await asyncio.get_running_loop().sock_recv(slow, 1 << 20)
        assert heard == expected
        slow.close()


async def test_what_a_connection_was_sent_is_known_at_its_end() -> None:
    ended: list[tuple[int, int, str]] = []
    async with place() as (here, members):
        carrier = cast("Any", here.engine.receivers[0].session._socket)
        carrier._ended = lambda *figures: ended.append(figures)
        before = carrier._sent
        for _ in range(3):
            here.say("hello")
        members[0].client.leave()
        await here.engine.receivers[0].end()
        while not ended:
            await asyncio.sleep(0)
        assert ended[0][1] - before == 3 * Outgoing(["hello"]).size


@pytest.mark.parametrize("said_before", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 5000])
async def test_what_is_answered_and_what_all_are_told_keep_their_order(said_before: int, length: int) -> None:
    async with place() as (here, members):
        for number in range(said_before):  # from the second on they are written to in a row
            here.say(f"before {number}")
            await everybody_hears(members, f"before {number}")
        asking = here.engine.receivers[0]

        def received(message: str | bytes) -> None:
            asking.send(f"answer to {message!r} {'x' * length}")
            here.say(f"told of {message!r}")
            asking.send(f"that was {message!r}")

        asking.received = received  # type: ignore[method-assign]
        await members[0].client.send(b"".join(masked(f"4{number}") for number in range(3)))
        for number in range(3):
            assert await members[0].text() == f"4answer to '{number}' {'x' * length}"
            assert await members[0].text() == f"4told of '{number}'"
            assert await members[0].text() == f"4that was '{number}'"
            await everybody_hears(members[1:], f"told of '{number}'")
