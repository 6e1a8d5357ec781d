"""A session over WebSocket, frame by frame; and what becomes of the connection that carries it."""

from __future__ import annotations

import asyncio
import gc
import random
import ssl
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy.connection import ClientListener, Handler
from realtime.frames import PING, PONG
from realtime.upgrading import deflate_accepted
from realtime.websocket import MOST_COLLECTED, PINGS, SHORT, TakenWebSocket
from tests.edge import PATIENCE
from tests.engine import PATH, EngineUnderTest, ListenerOf, RawWebSocket, engine_with, masked, upgrade_head

ENDS = (
    "transport-close",
    "transport-error",
    "protocol-error",
    "invalid-packet",
    "invalid-text",
    "too-large",
    "ping-flood",
)
"""What a hostile client's session may end of."""


async def test_messages_pass_both_ways_one_in_a_frame(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send("4hello")
        await websocket.send("4wörld")
        await websocket.send(b"\x01\x02")
        await websocket.send(b"")
        assert [await engine.last.message() for _ in range(4)] == ["hello", "wörld", b"\x01\x02", b""]
        engine.last.send("ü", b"\x03")
        assert await websocket.frame() == (1, "4ü".encode())
        assert await websocket.frame() == (2, b"\x03")


@pytest.mark.parametrize("size", [124, 125, 65_534, 65_535, 300_000])
async def test_messages_of_any_size_pass(size: int) -> None:
    async with engine_with() as engine, await engine.session() as websocket:
        await websocket.send("4" + "x" * size)
        assert await engine.last.message() == "x" * size
        engine.last.send("y" * size)
        assert await websocket.text() == "4" + "y" * size


async def test_a_real_client_speaks_with_it(engine: EngineUnderTest) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{engine.host}{PATH}?EIO=4&transport=websocket") as socket,
    ):
        assert (await socket.receive_str())[0] == "0"
        await socket.send_str("4hello")
        assert await engine.last.message() == "hello"
        engine.last.connection.close()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000
    assert await engine.last.end() == "server-close"


async def test_what_came_together_with_the_handshake_is_read(engine: EngineUnderTest) -> None:
    client = await engine.connect()
    await client.send(upgrade_head(f"{PATH}?EIO=4&transport=websocket", engine.host) + masked("4early") + masked(b"x"))
    assert (await client.receive()).status == 101
    assert await engine.last.message() == "early"
    assert await engine.last.message() == b"x"
    client.leave()


async def test_a_message_in_fragments_is_put_together_around_control_frames(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send("4he", fin=False)
        await websocket.send(b"l", opcode=0, fin=False)
        await websocket.send(b"beat", opcode=PING)
        assert await websocket.frame() == (PONG, b"beat")
        await websocket.send(b"lo", opcode=0)
        assert await engine.last.message() == "hello"


async def test_connections_read_in_turns_and_none_reads_what_is_another_s(engine: EngineUnderTest) -> None:
    async with await engine.session() as one, await engine.session() as other:
        first, second = engine.receivers
        for number in range(5):
            long, short = masked(f"4{number}" + "a" * 9_000), masked(f"4{number}b")
            await one.client.send(long[:5_000])
            await other.client.send(short[:3])
            await one.client.send(long[5_000:])
            assert await first.message() == f"{number}" + "a" * 9_000
            await other.client.send(short[3:])
            assert await second.message() == f"{number}b"


async def test_it_works_over_tls(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with engine_with() as engine:
        server = await asyncio.get_running_loop().create_server(engine.listener, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}?EIO=4&transport=websocket"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=False, max_msg_size=0) as socket:
            assert (await socket.receive_str())[0] == "0"
            for size in (1, 70_000, 500_000):
                await socket.send_str("4" + "x" * size)
                assert await engine.last.message() == "x" * size
                engine.last.send("y" * size)
                assert await socket.receive_str() == "4" + "y" * size
        assert await engine.last.end() == "transport-close"
        server.close()


async def ended(engine: EngineUnderTest, websocket: RawWebSocket, reason: str, code: int) -> None:
    assert await websocket.close_code() == code
    assert await engine.last.end() == reason
    await websocket.send(code.to_bytes(2, "big"), opcode=8)
    assert await websocket.client.closed() == b""


@pytest.mark.parametrize("packet", ["abc", "7", "", "0{}", "2", "2probe"])
async def test_an_invalid_packet_closes_it(engine: EngineUnderTest, packet: str) -> None:
    async with await engine.session() as websocket:
        await websocket.send(packet)
        await ended(engine, websocket, "invalid-packet", 1002)
        assert engine.stats.invalid == {"packet": 1}


async def test_the_close_packet_closes_it(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send("1")
        await ended(engine, websocket, "client-close", 1000)


async def test_a_message_beyond_the_limit_closes_it_before_it_has_come(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.client.send(masked("4" + "x" * 10_000)[:8])
        await ended(engine, websocket, "too-large", 1009)
        assert engine.stats.invalid == {"too-large": 1}


async def test_fragments_beyond_the_limit_close_it(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send("4" + "x" * 8_000, fin=False)
        await websocket.send(b"x" * 4_000, opcode=0)
        await ended(engine, websocket, "too-large", 1009)


async def test_a_message_at_the_limit_is_taken(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send("4" + "x" * 9_999)
        assert await engine.last.message() == "x" * 9_999


async def test_text_that_is_no_utf_8_closes_it(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send(b"4\xff", opcode=1)
        await ended(engine, websocket, "invalid-text", 1007)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x024a",
        masked("4a", rsv1=True),
        masked(b"x", opcode=3),
        masked(b"x", opcode=0),
        masked(b"x", opcode=PING, fin=False),
        masked(b"x" * 126, opcode=PING),
        masked(b"\x03", opcode=8),
        masked(b"\x03\xed", opcode=8),
        masked("4a", fin=False) + masked("4b"),
    ],
    ids=[
        "unmasked",
        "rsv1",
        "opcode-3",
        "continues-nothing",
        "ping-in-parts",
        "long-ping",
        "short-close",
        "close-1005",
        "no-end",
    ],
)
async def test_what_is_not_websocket_closes_it(engine: EngineUnderTest, frame: bytes) -> None:
    async with await engine.session() as websocket:
        await websocket.client.send(frame)
        await ended(engine, websocket, "protocol-error", 1002)


@pytest.mark.parametrize("first", [1, 2, 5])
async def test_an_unmasked_first_frame_closes_it_however_it_comes(engine: EngineUnderTest, first: int) -> None:
    unmasked = b"\x81\x054oops"
    async with await engine.session() as websocket:
        before = engine.stats.bytes_in
        await websocket.client.send(unmasked[:first])
        async with asyncio.timeout(PATIENCE):
            while engine.stats.bytes_in == before:
                await asyncio.sleep(0)
        await websocket.client.send(unmasked[first:])
        await ended(engine, websocket, "protocol-error", 1002)


async def test_a_masked_first_frame_may_come_byte_by_byte(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        for byte in masked("4hello"):
            before = engine.stats.bytes_in
            await websocket.client.send(bytes([byte]))
            async with asyncio.timeout(PATIENCE):
                while engine.stats.bytes_in == before:
                    await asyncio.sleep(0)
        assert await engine.last.message() == "hello"


async def test_the_clients_close_is_answered(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send((1001).to_bytes(2, "big"), opcode=8)
        assert await websocket.close_code() == 1000
        assert await websocket.client.closed() == b""
        assert await engine.last.end() == "transport-close"


async def test_a_connection_that_breaks_ends_the_session(engine: EngineUnderTest) -> None:
    websocket = await engine.session()
    await websocket.leave()
    assert await engine.last.end() in ("transport-close", "transport-error")
    engine.last.send("nobody hears")
    engine.last.connection.close()
    assert engine.engine.sessions == {}


async def test_nothing_is_read_after_the_end(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.client.send(masked("4a") + masked("1") + masked("4b") + masked("abc"))
        await ended(engine, websocket, "client-close", 1000)
        assert engine.last.messages.qsize() == 1


async def test_a_flood_of_pings_closes_it(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.client.send(masked(b"", opcode=PING) * (PINGS + 1))
        for _ in range(PINGS):
            assert await websocket.frame() == (PONG, b"")
        await ended(engine, websocket, "ping-flood", 1008)


async def test_what_was_sent_before_the_close_arrives_before_it(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        engine.last.send("bye")
        engine.last.connection.close()
        engine.last.connection.close()
        engine.last.send("too late")
        assert await websocket.text() == "4bye"
        await ended(engine, websocket, "server-close", 1000)


async def test_a_client_that_does_not_close_is_cut_off() -> None:
    async with engine_with(close_timeout=0.01) as engine, await engine.session() as websocket:
        engine.last.connection.close()
        assert await websocket.close_code() == 1000
        assert await websocket.client.closed() == b""


async def test_the_heartbeat_keeps_a_client_that_answers() -> None:
    async with engine_with(ping_interval=0.02, ping_timeout=60.0) as engine, await engine.session() as websocket:
        for _ in range(3):
            assert await websocket.text() == "2"
            await websocket.send("3")
        await websocket.text()
        assert engine.last.connection.round_trip is not None
        assert 0 < engine.last.connection.round_trip < 60.0


async def test_the_heartbeat_ends_a_client_that_does_not_answer() -> None:
    async with engine_with(ping_interval=0.02, ping_timeout=0.02) as engine, await engine.session() as websocket:
        assert await websocket.text() == "2"
        await ended(engine, websocket, "ping-timeout", 1000)


async def test_the_session_is_told_of_its_end_from_the_loop_and_not_from_inside_a_call(engine: EngineUnderTest) -> None:
    async with await engine.session():
        engine.last.connection.close()
        assert engine.last.ends == []
        assert await engine.last.end() == "server-close"


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_bytes_come_nobody_else_is_harmed(engine: EngineUnderTest, seed: int) -> None:
    chance = random.Random(seed)
    async with await engine.session() as healthy:
        well = engine.last
        async with await engine.session() as hostile:
            for _ in range(20):
                noise = chance.randbytes(chance.randrange(1, 200))
                if chance.random() < 0.5:
                    noise = masked(noise, opcode=chance.choice([0, 1, 2, 8, 9, 10]), fin=chance.random() < 0.7)
                if hostile.client.writer.is_closing():
                    break
                await hostile.client.send(noise)
        assert await engine.last.end() in ENDS
        await healthy.send("4hello")
        assert await well.message() == "hello"


# Compression

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("offers", "accepted"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits; server_no_context_takeover", True),
        ('x-webkit-deflate-frame, Permessage-Deflate; client_max_window_bits="15"', True),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; unheard_of", False),
        ("permessage-bzip2", False),
        ("", False),
    ],
)
def test_an_offer_is_accepted_if_it_can_be_kept(offers: str, accepted: bool) -> None:
    assert deflate_accepted(offers) is accepted


async def test_only_messages_from_the_threshold_on_are_compressed() -> None:
    async with engine_with(compression=100) as engine, await engine.session(OFFER) as websocket:
        assert websocket.answer["Sec-WebSocket-Extensions"] == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )
        engine.last.send("short")
        assert await websocket.frame() == (1, b"4short")
        engine.last.send("x" * 1000)
        opcode, data = await websocket.frame()
        assert opcode == 0x41
        assert zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff") == b"4" + b"x" * 1000
        for _ in range(2):
            await websocket.send(deflated(b"4" + b"y" * 1000), opcode=1, rsv1=True)
            assert await engine.last.message() == "y" * 1000


async def test_without_an_offer_or_the_setting_nothing_is_compressed(engine: EngineUnderTest) -> None:
    async with await engine.session(OFFER) as websocket:
        assert "Sec-WebSocket-Extensions" not in websocket.answer
    async with engine_with(compression=1) as other, await other.session() as websocket:
        assert "Sec-WebSocket-Extensions" not in websocket.answer
        other.last.send("x" * 1000)
        assert await websocket.text() == "4" + "x" * 1000


@pytest.mark.parametrize("opcode", [8, 9, 10], ids=["close", "ping", "pong"])
async def test_a_control_frame_that_says_it_is_compressed_closes_it(opcode: int) -> None:
    async with engine_with(compression=100) as engine, await engine.session(OFFER) as websocket:
        await websocket.send(b"", opcode=opcode, rsv1=True)
        await ended(engine, websocket, "protocol-error", 1002)


async def test_a_compression_bomb_is_closed_at_the_limit() -> None:
    async with (
        engine_with(compression=100, max_payload=10_000) as engine,
        await engine.session(OFFER) as websocket,
    ):
        bomb = deflated(b"4" + b"0" * 8_000_000)
        assert len(bomb) < 10_000
        await websocket.send(bomb, opcode=1, rsv1=True)
        await ended(engine, websocket, "too-large", 1009)


@pytest.mark.parametrize(("size", "taken"), [(10_000, True), (10_001, False)])
async def test_the_limit_is_of_a_message_as_it_was_before_it_was_compressed(size: int, taken: bool) -> None:
    async with (
        engine_with(compression=100, max_payload=10_000) as engine,
        await engine.session(OFFER) as websocket,
    ):
        await websocket.send(deflated(b"4" + b"y" * (size - 1)), opcode=1, rsv1=True)
        if taken:
            assert await engine.last.message() == "y" * (size - 1)
        else:
            await ended(engine, websocket, "too-large", 1009)


# The connection


def alive(kind: type) -> list[Any]:
    gc.collect()
    return [item for item in gc.get_objects() if isinstance(item, kind)]


def of_http() -> tuple[int, int, int]:
    """How many connections, requests and tasks there are in the process."""
    return len(alive(RequestHandler)), len(alive(web.BaseRequest)), len(asyncio.all_tasks())


async def settled(before: tuple[int, int, int]) -> None:
    """Wait until of HTTP there is no more than there was."""
    async with asyncio.timeout(PATIENCE):
        while of_http() > before:
            await asyncio.sleep(0)


async def test_of_a_taken_connection_nothing_of_http_is_left(engine: EngineUnderTest) -> None:
    before = of_http()
    async with await engine.session() as websocket:
        assert engine.listener.connections == []
        await settled(before)
        await websocket.send("4here")
        assert await engine.last.message() == "here"


async def test_of_a_closed_session_nothing_is_left(engine: EngineUnderTest) -> None:
    websocket = await engine.session()
    await websocket.leave()
    await engine.last.end()
    del engine.receivers[:]
    assert alive(TakenWebSocket) == []
    assert engine.engine.sessions == {}


async def test_a_closed_websocket_is_freed_without_the_garbage_collector(engine: EngineUnderTest) -> None:
    websocket = await engine.session()
    gc.collect()
    gc.disable()
    try:
        await websocket.leave()
        await engine.last.end()
        del engine.receivers[:]
        async with asyncio.timeout(PATIENCE):
            while any(isinstance(item, TakenWebSocket) for item in gc.get_objects()):
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_what_is_sent_while_the_connection_breaks_is_dropped_without_a_word(engine: EngineUnderTest) -> None:
    websocket = await engine.session()
    (carrier,) = engine.engine._carriers
    carrier.abort()
    for _ in range(10):
        engine.last.send("nobody hears")
    assert await engine.last.end() == "transport-close"
    assert engine.stats.packets_out == 0
    await websocket.leave()


def paused_listener(handler: Handler) -> web.Server:
    """Hands a request on only when aiohttp has stopped reading what follows it."""

    async def paused(request: web.BaseRequest) -> web.StreamResponse:
        while request.transport is not None and request.transport.is_reading():
            await asyncio.sleep(0)
        return await handler(request)

    return web.Server(paused)


@pytest.mark.parametrize("listener", [web.Server, paused_listener])
async def test_any_number_of_messages_may_come_together_with_the_handshake(listener: ListenerOf) -> None:
    async with engine_with(listener) as engine:
        client = await engine.connect()
        messages = [f"{number:03}" + "x" * 9_000 for number in range(100)]
        early = b"".join(masked(f"4{message}") for message in messages)
        await client.send(upgrade_head(f"{PATH}?EIO=4&transport=websocket", engine.host) + early)
        assert (await client.receive()).status == 101
        assert [await engine.last.message() for _ in messages] == messages
        client.leave()


async def test_a_connection_that_served_requests_before_can_be_taken(engine: EngineUnderTest) -> None:
    client = await engine.connect()
    await client.send(f"GET {PATH}?EIO=4&transport=polling HTTP/1.1\r\nHost: {engine.host}\r\n\r\n".encode())
    assert (await client.receive()).status == 200
    await client.send(upgrade_head(f"{PATH}?EIO=4&transport=websocket", engine.host))
    websocket = RawWebSocket(client, await client.receive())
    async with websocket:
        assert (await websocket.text())[0] == "0"
        await websocket.send("4hello")
        assert await engine.last.message() == "hello"


def edges_listener(handler: Handler) -> web.Server:
    return ClientListener(
        handler,
        refused=lambda _: None,
        request_id=lambda: "1",
        head_timeout=5.0,
        idle_timeout=5.0,
        max_connections=100,
        max_head=8000,
        max_target=8000,
    )


async def test_it_works_below_the_edges_own_kind_of_connection() -> None:
    async with engine_with(edges_listener) as engine:
        before = of_http()
        client = await engine.connect()
        await client.send(upgrade_head(f"{PATH}?EIO=4&transport=websocket", engine.host) + masked("4early"))
        websocket = RawWebSocket(client, await client.receive())
        assert await engine.last.message() == "early"
        assert (await websocket.text())[0] == "0"
        assert engine.listener.connections == []
        await settled(before)
        engine.last.send("hello")
        assert await websocket.text() == "4hello"
        await websocket.leave()
        await engine.last.end()
        polling = await engine.polling()
        waiting = await polling.waiting_get()
        assert (await polling.post("4posted")).body == b"ok"
        engine.last.send("polled")
        assert (await waiting).body == b"4polled"


async def test_it_works_below_a_whole_application_of_aiohttps() -> None:
    async with engine_with() as engine:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await engine.handle(request)

        application = web.Application()
        application.router.add_route("*", PATH, handle)
        runner = web.AppRunner(application, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        engine.port = runner.addresses[0][1]
        async with await engine.session() as websocket:
            await websocket.send("4hello")
            assert await engine.last.message() == "hello"
            async with asyncio.timeout(PATIENCE):
                await runner.cleanup()
            engine.last.send("still here")
            assert await websocket.text() == "4still here"


async def test_an_unmasked_frame_after_masked_ones_closes_it(engine: EngineUnderTest) -> None:
    async with await engine.session() as websocket:
        await websocket.send("4a")
        assert await engine.last.message() == "a"
        await websocket.client.send(b"\x81\x054oops")
        assert await engine.last.end() == "protocol-error"
        assert await websocket.close_code() == 1002


@pytest.mark.parametrize("cut", [0, 1, 3])
async def test_what_was_said_before_a_frame_that_may_not_be_is_heard_however_it_was_cut(
    engine: EngineUnderTest, cut: int
) -> None:
    async with await engine.session() as websocket:
        said = masked("4one") + masked("4two") + b"\x81\x054oops"
        await websocket.client.send(said[: len(said) - cut])
        if cut:
            await websocket.client.send(said[len(said) - cut :])
        assert [await engine.last.message() for _ in range(2)] == ["one", "two"]
        assert await engine.last.end() == "protocol-error"
        assert await websocket.close_code() == 1002


class TestAnswers:
    """What is said while messages that came together are acted on."""

    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """What is handed to the system, each in one go."""
        handed: list[bytes] = []
        give = TakenWebSocket._give

        def watched(self: TakenWebSocket, data: bytes) -> None:
            handed.append(data)
            give(self, data)

        monkeypatch.setattr(TakenWebSocket, "_give", watched)
        return handed

    @staticmethod
    def echoing(engine: EngineUnderTest, *also: str) -> None:
        """Have the last session answer with what it is told."""
        last = engine.last

        def received(message: str | bytes) -> None:
            last.send(message, *also)

        last.received = received  # type: ignore[method-assign]

    async def test_leave_in_one_go(self, engine: EngineUnderTest, given: list[bytes]) -> None:
        async with await engine.session() as websocket:
            self.echoing(engine)
            given.clear()
            await websocket.client.send(b"".join(masked(f"4{number}") for number in range(5)))
            assert [await websocket.text() for _ in range(5)] == [f"4{number}" for number in range(5)]
            assert given == [b"".join(b"\x81\x024%d" % number for number in range(5))]

    async def test_that_are_long_are_not_copied_and_do_not_overtake(
        self, engine: EngineUnderTest, given: list[bytes]
    ) -> None:
        async with await engine.session() as websocket:
            self.echoing(engine)
            given.clear()
            long = "4" + "x" * SHORT
            await websocket.client.send(masked("4a") + masked(long) + masked("4b"))
            assert [await websocket.text() for _ in range(3)] == ["4a", long, "4b"]
            assert len(given) == 3

    async def test_come_before_the_pong_and_the_close_that_follow_them(self, engine: EngineUnderTest) -> None:
        async with await engine.session() as websocket:
            self.echoing(engine)
            ping, close = masked(b"hi", opcode=9), masked(b"\x03\xe8", opcode=8)
            await websocket.client.send(masked("4a") + ping + masked("4b") + close)
            assert [await websocket.frame() for _ in range(4)] == [
                (1, b"4a"), (10, b"hi"), (1, b"4b"), (8, b"\x03\xe8"),
            ]  # fmt: skip

    async def test_are_not_collected_without_end(self, engine: EngineUnderTest, given: list[bytes]) -> None:
        async with await engine.session() as websocket:
            self.echoing(engine)
            given.clear()
            count = 5 * MOST_COLLECTED
            await websocket.client.send(b"".join(masked(f"4{number}") for number in range(count)))
            assert [await websocket.text() for _ in range(count)] == [f"4{number}" for number in range(count)]
            assert max(data.count(b"\x81") for data in given) == MOST_COLLECTED + 1

    async def test_that_end_the_session_come_before_its_end(self, engine: EngineUnderTest) -> None:
        async with await engine.session() as websocket:
            last = engine.last

            def received(message: str | bytes) -> None:
                last.send("goodbye")
                last.connection.close()

            last.received = received  # type: ignore[method-assign]
            await websocket.client.send(masked("4a") + masked("4b"))
            assert [await websocket.frame() for _ in range(2)] == [(1, b"4goodbye"), (8, b"\x03\xe8server-close")]
