"""A session over long-polling, request by request."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import partial

import pytest
from aiohttp import web

from tests.edge import PATIENCE
from tests.engine import PATH, EngineUnderTest, PollingClient, engine_with, head


async def test_what_is_posted_is_received_and_answered_with_ok(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    answer = await client.post("4hello\x1e4wörld\x1ebAQID\x1e4")
    assert (answer.status, answer.body) == (200, b"ok")
    assert [await engine.last.message() for _ in range(4)] == ["hello", "wörld", b"\x01\x02\x03", ""]


async def test_a_get_takes_everything_that_waits(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    engine.last.send("a", "ü")
    engine.last.send(b"\x01\x02\x03\x04")
    answer = await client.get()
    assert (answer.status, answer.body) == (200, "4a\x1e4ü\x1ebAQIDBA==".encode())
    assert answer["Content-Type"] == "text/plain; charset=UTF-8"


async def test_a_get_waits_until_there_is_something_and_takes_all_that_is_sent_at_once(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    engine.last.send("a")
    engine.last.send("b")
    assert (await waiting).body == b"4a\x1e4b"


@pytest.mark.parametrize(
    "body",
    [b"abc", b"", b"7", b"0{}", b"2", b"4a\x1e", b"\xff\xfe", b"b!!", b"b" + b64encode(b"x")[:-1], b"4a\x1eb\x1ex"],
)
async def test_an_invalid_packet_ends_the_session(engine: EngineUnderTest, body: bytes) -> None:
    client = await engine.polling()
    assert (await client.post(body)).status == 400
    assert await engine.last.end() == "invalid-packet"
    assert (await client.get()).status == 400
    assert sum(engine.stats.invalid.values()) == 2, "the packet, and the session that is unknown by now"


async def test_a_payload_beyond_the_limit_ends_the_session(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    assert (await client.post("4" + "x" * 10_000)).status == 413
    assert await engine.last.end() == "too-large"
    assert engine.stats.invalid["too-large"] == 1


async def test_a_payload_at_the_limit_is_taken(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    assert (await client.post("4" + "x" * 9_999)).status == 200
    assert await engine.last.message() == "x" * 9_999


async def test_a_payload_that_does_not_say_its_length_is_bounded_as_well(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    raw = await engine.connect()
    await raw.send(
        head(f"{PATH}?{client.query}", engine.host, "PATCH", "Transfer-Encoding: chunked\r\n").replace(
            b"PATCH", b"POST"
        )
    )
    await raw.send(b"2800\r\n" + b"4" * 0x2800 + b"\r\n")
    assert (await raw.receive()).status == 413
    assert await engine.last.end() == "too-large"
    raw.leave()


async def test_a_second_get_ends_the_session_and_both_are_answered(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    second = await client.get()
    first = await waiting
    assert (first.status, first.body) == (200, b"1")
    assert second.status == 400
    assert await engine.last.end() == "duplicate-poll"
    assert (await client.get()).status == 400


async def broken_off(client: PollingClient) -> None:
    """A GET that waits, and whose client leaves."""
    engine = client.engine
    leaving = await engine.connect()
    await leaving.send(head(f"{PATH}?{client.query}", engine.host))
    async with asyncio.timeout(PATIENCE):
        while not engine.last.session.is_polled:
            await asyncio.sleep(0)
        (connection,) = engine.listener.connections
        leaving.leave()
        while connection.transport is not None:
            await asyncio.sleep(0)


async def test_a_get_that_was_broken_off_ends_the_session_with_the_next_one(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    await broken_off(client)
    assert (await client.get()).status == 400
    assert await engine.last.end() == "duplicate-poll"


async def test_a_get_that_was_broken_off_ends_the_session_when_there_is_something_to_send(
    engine: EngineUnderTest,
) -> None:
    client = await engine.polling()
    await broken_off(client)
    engine.last.send("for nobody")
    assert await engine.last.end() == "transport-error"
    assert engine.stats.packets_out == 0


async def test_where_aiohttp_cancels_what_nobody_waits_for_the_session_ends_at_once() -> None:
    async with engine_with(partial(web.Server, handler_cancellation=True)) as engine:
        client = await engine.polling()
        await broken_off(client)
        assert await engine.last.end() == "transport-error"


async def test_an_answer_that_cannot_be_delivered_ends_the_session() -> None:
    async with engine_with(max_queue=2**25) as engine:
        client = await engine.polling()
        reading_nothing = await engine.connect()
        await reading_nothing.send(head(f"{PATH}?{client.query}", engine.host))
        async with asyncio.timeout(PATIENCE):
            while not engine.last.session.is_polled:
                await asyncio.sleep(0)
            engine.last.send("x" * 2**24)
            while engine.last.session.is_polled:
                await asyncio.sleep(0)
        reading_nothing.leave()
        assert await engine.last.end() == "transport-error"


async def test_two_posts_at_once_end_the_session_because_their_order_is_unknown(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    slow = await engine.connect()
    await slow.send(head(f"{PATH}?{client.query}", engine.host, "POST", length=5) + b"4")
    async with asyncio.timeout(PATIENCE):
        while not engine.last.session.is_posting:
            await asyncio.sleep(0)
    assert (await client.post("4b")).status == 400
    assert await engine.last.end() == "overlapping-post"
    await slow.send(b"late")
    assert (await slow.receive()).status == 400
    slow.leave()


async def test_a_client_that_leaves_within_a_post_ends_the_session(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    leaving = await engine.connect()
    await leaving.send(head(f"{PATH}?{client.query}", engine.host, "POST", length=50) + b"4hello")
    async with asyncio.timeout(PATIENCE):
        while not engine.last.session.is_posting:
            await asyncio.sleep(0)
    leaving.leave()
    assert await engine.last.end() == "transport-error"
    assert engine.last.messages.empty()


async def test_the_client_closes_with_a_packet_and_its_get_is_answered(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    closing = await client.post("1")
    assert (closing.status, closing.body) == (200, b"ok")
    assert (await waiting).body == b"6"
    assert await engine.last.end() == "client-close"
    assert (await client.get()).status == 400


async def test_nothing_is_received_after_the_close_packet(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    assert (await client.post("4a\x1e1\x1e4b")).status == 200
    await engine.last.end()
    assert engine.last.messages.qsize() == 1


async def test_the_servers_close_reaches_the_get_that_waits_behind_what_was_sent(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    engine.last.send("bye")
    engine.last.connection.close()
    engine.last.send("too late")
    assert (await waiting).body == b"4bye"
    assert await engine.last.end() == "server-close"
    assert (await client.get()).body == b"1", "alone, since clients act on it before what is in the same answer"
    assert (await client.get()).status == 400


async def test_the_servers_close_is_told_to_the_get_that_waits_and_to_no_other(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    engine.last.connection.close()
    assert (await waiting).body == b"1"
    assert (await client.get()).status == 400


async def test_the_servers_close_is_told_to_the_next_get_when_none_waits(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    engine.last.connection.close()
    assert (await client.get()).body == b"1"
    assert (await client.get()).status == 400


@pytest.mark.parametrize("body", ["4a\x1ezzz", "4a\x1e", "4a\x1e1", "4a\x1e1\x1e4b"])
async def test_who_was_told_what_waited_gets_nothing_more_after_its_own_end(
    engine: EngineUnderTest, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    client = await engine.polling()
    monkeypatch.setattr(engine.last, "received", engine.last.send)
    waiting = await client.waiting_get()
    await client.post(body)
    assert (await waiting).body == b"4a"
    assert (await client.get()).status == 400


async def test_last_words_wait_for_the_next_get(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    engine.last.send("bye")
    engine.last.connection.close()
    assert await engine.last.end() == "server-close"
    assert (await client.post("4a")).status == 400
    assert (await client.get()).body == b"4bye"
    assert (await client.get()).body == b"1"
    assert (await client.get()).status == 400


async def test_the_server_pings_and_a_client_that_answers_stays() -> None:
    async with engine_with(ping_interval=0.02, ping_timeout=60.0) as engine:
        client = await engine.polling()
        for _ in range(3):
            assert (await client.get()).body == b"2"
            assert (await client.post("3")).body == b"ok"
        assert engine.last.connection.round_trip is not None
        assert 0 < engine.last.connection.round_trip < 60.0
        assert sum(engine.stats.round_trips) == 3


async def test_a_client_that_does_not_answer_is_closed_and_its_get_is_told() -> None:
    async with engine_with(ping_interval=0.02, ping_timeout=0.02) as engine:
        client = await engine.polling()
        assert (await client.get()).body == b"2"
        waiting = await client.get()
        assert waiting.body in (b"1", b'{"code":1,"message":"Session ID unknown"}')
        assert await engine.last.end() == "ping-timeout"


async def test_a_session_whose_time_is_over_is_unknown_even_if_no_timer_has_noticed_yet(
    engine: EngineUnderTest,
) -> None:
    client = await engine.polling()
    session = engine.last.session
    session.beat(session.machine.due)
    session.machine.due = asyncio.get_running_loop().time()
    assert (await client.get()).status == 400
    assert await engine.last.end() == "ping-timeout"


async def test_a_client_that_fetches_nothing_is_closed_when_its_queue_is_full() -> None:
    async with engine_with(max_queue=1000) as engine:
        client = await engine.polling()
        for _ in range(20):
            engine.last.send("x" * 100)
        assert await engine.last.end() == "slow-client"
        assert engine.stats.queue_drops == {"slow-client": 1}
        assert (await client.get()).status == 400


async def test_a_receiver_that_fails_ends_its_session_alone(
    engine: EngineUnderTest, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await engine.polling()
    client = await engine.polling()

    def fail(message: str | bytes) -> None:
        raise RuntimeError("a fault above")

    monkeypatch.setattr(engine.last, "received", fail)
    await client.post("4a\x1e4b")
    assert await engine.last.end() == "internal"
    assert len(caplog.records) == 1
    assert (await other.post("4c")).status == 200


async def test_everything_is_counted(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    await client.post("4hello")
    engine.last.send("hi")
    await client.get()
    await client.post("1")
    await engine.last.end()
    stats = engine.stats
    assert (stats.sessions_opened, stats.sessions_closed) == (1, {"client-close": 1})
    assert (stats.packets_in, stats.bytes_in) == (2, 7)
    assert (stats.packets_out, stats.bytes_out) == (1, 3)
