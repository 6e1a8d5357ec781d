"""What the origin client makes of an origin's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.config.model import Origin as OriginSettings
from proxy.errors import BodyIncomplete, OriginProtocolError, OriginTimeout, OriginUnreachable
from proxy.policy.messages import Fields
from proxy.upstream import Origin, OriginRequest, OriginResponse
from tests.origin import ScriptedOrigin, Wire, hang_up, head, interim, raw, reply, reset, silence, steps, when


@asynccontextmanager
async def client(origin: ScriptedOrigin, **settings: Any) -> AsyncIterator[Origin]:
    upstream = Origin(OriginSettings(url=origin.url, **settings))
    try:
        yield upstream
    finally:
        await upstream.close()
        assert upstream.health.open_connections == 0


def get(target: str = "/", *lines: tuple[str, str], method: str = "GET") -> OriginRequest:
    return OriginRequest(method, target, Fields((("Host", "app.example"), *lines)))


async def body(response: OriginResponse) -> bytes:
    return b"".join([part async for part in response.chunks()])


async def test_a_response_comes_back_as_the_origin_sent_it(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 5.3, RFC 9112 section 4."""
    origin.on(
        "/a", reply(203, b"hello", [("X-One", "1"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")], reason="So So")
    )
    async with client(origin) as upstream:
        response = await upstream.send(get("/a?x=%2f&y=//../", ("X-Empty", ""), ("X-Latin", "caf\xe9")))
        assert (response.head.status, response.head.reason, response.version) == (203, "So So", "1.1")
        assert response.head.fields.all("Set-Cookie") == ["a=1", "b=2"]
        assert response.length == 5
        assert await body(response) == b"hello"
    [asked] = origin.requests
    assert asked.raw_head == (
        b"GET /a?x=%2f&y=//../ HTTP/1.1\r\nHost: app.example\r\nX-Empty: \r\nX-Latin: caf\xe9\r\n\r\n"
    )


async def test_the_two_moments_of_age_arithmetic_are_taken_from_the_given_clock(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.2.3."""
    moments: list[float] = []

    def now() -> float:
        moments.append(100.0 + 1.5 * len(moments))
        return moments[-1]

    upstream = Origin(OriginSettings(url=origin.url), now=now)
    head = (await upstream.send(get())).head
    assert {head.request_time, head.response_time} < set(moments)
    assert head.response_time == head.request_time + 1.5, "the clock was asked before and after, and not in between"
    await upstream.close()


async def test_whitespace_around_a_value_is_not_part_of_it(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 5.1."""
    origin.on("/", raw(b"HTTP/1.1 200 OK\r\nX-A: \t padded \t \r\nX-None:\r\nContent-Length: 0\r\n\r\n"))
    async with client(origin) as upstream:
        response = await upstream.send(get())
        assert (response.head.fields.first("X-A"), response.head.fields.first("X-None")) == ("padded", "")


async def test_a_chunked_body_is_delivered_with_its_trailers(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 7.1, RFC 9112 section 7.1.2."""
    origin.on("/", reply(chunks=[b"one", b"two"], trailers={"X-Sum": "abc"}))
    async with client(origin) as upstream:
        response = await upstream.send(get())
        assert response.length is None
        assert await body(response) == b"onetwo"
        assert response.trailers.first("x-sum") == "abc"
        assert upstream.health.idle_connections == 1


async def test_a_response_split_at_every_byte_reads_the_same(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 7.1."""
    whole = head(200, {"Transfer-Encoding": "chunked", "X-A": "b"}) + b"5\r\nhello\r\n3;e=1\r\nabc\r\n0\r\nT: 1\r\n\r\n"

    async def byte_by_byte(wire: Wire) -> None:
        for byte in whole:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)

    origin.on("/", byte_by_byte)
    async with client(origin) as upstream:
        response = await upstream.send(get())
        assert await body(response) == b"helloabc"
        assert response.head.fields.first("X-A") == "b"
        assert response.trailers.first("T") == "1"


async def test_a_body_without_framing_ends_with_the_connection(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 6.3."""
    origin.on("/", steps(raw(head(200), b"until ", b"the end"), hang_up()))
    async with client(origin) as upstream:
        response = await upstream.send(get())
        assert response.length is None
        assert await body(response) == b"until the end"
        assert upstream.health.open_connections == 0


async def test_a_body_without_framing_that_ends_in_a_reset_is_incomplete(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 8."""
    gate = asyncio.Event()
    origin.on("/", steps(raw(head(200), b"some"), when(gate, reset())))
    async with client(origin) as upstream:
        response = await upstream.send(get())
        parts = response.chunks()
        assert await anext(parts) == b"some"
        gate.set()
        with pytest.raises(BodyIncomplete):
            await anext(parts)


@pytest.mark.parametrize(
    "message",
    [
        head(200, {"Content-Length": "100"}) + b"good",
        head(200, {"Transfer-Encoding": "chunked"}) + b"4\r\ngood\r\n",
        head(200, {"Transfer-Encoding": "chunked"}) + b"4\r\ngood\r\n0\r\nX-T: 1\r\n",
        head(200, {"Transfer-Encoding": "chunked"}) + b"4\r\ngood\r\nzz\r\n",
        head(200, {"Transfer-Encoding": "chunked"}) + b"4\r\ngoodX",
    ],
    ids=["short", "cut between chunks", "cut in the trailers", "malformed size", "malformed end of chunk"],
)
async def test_a_body_that_breaks_off_raises_after_its_good_bytes(origin: ScriptedOrigin, message: bytes) -> None:
    """RFC 9112 section 8."""
    origin.on("/", steps(raw(message), hang_up()))
    async with client(origin) as upstream:
        response = await upstream.send(get())
        read = b""
        with pytest.raises(BodyIncomplete):
            async for part in response.chunks():
                read += part
        assert read == b"good"
        assert not response.complete
        assert (upstream.health.errors, upstream.health.state) == (1, "up")


@pytest.mark.parametrize(
    "rest",
    [b"EXTRA", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"\x00"],
    ids=["garbage", "a second response", "a control byte"],
)
@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("GET", head(200, {"Content-Length": "4"}) + b"body"),
        ("GET", head(200, {"Transfer-Encoding": "chunked"}) + b"4\r\nbody\r\n0\r\n\r\n"),
        ("GET", head(204)),
        ("GET", head(304, {"Content-Length": "4"})),
        ("HEAD", head(200, {"Content-Length": "4"})),
        ("HEAD", head(200, {"Transfer-Encoding": "chunked"})),
        ("HEAD", head(200)),
    ],
)
async def test_bytes_after_the_end_of_a_response_are_never_read_as_another(
    origin: ScriptedOrigin, method: str, first: bytes, rest: bytes
) -> None:
    """RFC 9112 section 6.3, RFC 9112 section 9.2."""
    origin.on("/", raw(first + rest), reply(body=b"clean"))
    async with client(origin) as upstream:
        response = await upstream.send(get(method=method))
        assert await body(response) in (b"body", b"")
        second = await upstream.send(get())
        assert await body(second) == b"clean"
    assert [asked.connection for asked in origin.requests] == [1, 2]


@pytest.mark.parametrize("headers", [{"Content-Length": "1000"}, {"Transfer-Encoding": "chunked"}, {}])
async def test_a_response_to_head_ends_with_its_head_and_keeps_the_connection(
    origin: ScriptedOrigin, headers: dict[str, str]
) -> None:
    """RFC 9110 section 9.3.2, RFC 9112 section 6.3."""
    origin.on("/", raw(head(200, headers)), reply(body=b"next"))
    async with client(origin) as upstream:
        response = await upstream.send(get(method="HEAD"))
        assert (response.length, await body(response)) == (0, b"")
        assert await body(await upstream.send(get())) == b"next"
    assert [asked.connection for asked in origin.requests] == [1, 1]


async def test_interim_responses_are_handed_over_in_order_before_the_final_one(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 15.2."""
    origin.on("/", steps(interim(102), interim(103, {"Link": "</a.css>"}), reply(body=b"done")))
    seen: list[tuple[int, str | None]] = []
    async with client(origin) as upstream:
        response = await upstream.send(
            get(), interim=lambda status, fields: seen.append((status, fields.first("Link")))
        )
        assert seen == [(102, None), (103, "</a.css>")]
        assert response.head.fields.first("Link") is None
        assert await body(response) == b"done"


async def test_an_error_of_the_interim_callback_reaches_the_caller(origin: ScriptedOrigin) -> None:
    def fails(status: int, fields: Fields) -> None:
        raise LookupError("the client has left")

    origin.on("/", steps(interim(103), silence()))
    async with client(origin) as upstream:
        with pytest.raises(LookupError):
            await upstream.send(get(), interim=fails)
        assert upstream.health.open_connections == 0


async def test_http_1_0_is_understood_but_not_kept_alive_unless_it_says_so(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 9.3."""
    origin.on(
        "/",
        raw(head(200, {"Content-Length": "1", "Connection": "keep-alive"}, version="1.0") + b"a"),
        raw(head(200, {"Content-Length": "1"}, version="1.0") + b"b"),
        reply(body=b"c"),
    )
    async with client(origin) as upstream:
        first = await upstream.send(get())
        assert first.version == "1.0"
        bodies = [await body(first), await body(await upstream.send(get())), await body(await upstream.send(get()))]
        assert bodies == [b"a", b"b", b"c"]
    assert [asked.connection for asked in origin.requests] == [1, 1, 2]


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 099 No\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Surprise\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Surprise\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: folded\r\n value\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_not_one_unambiguous_response_is_a_protocol_error(origin: ScriptedOrigin, message: bytes) -> None:
    """RFC 9112 section 2.3, RFC 9112 section 5.2, RFC 9112 section 6.3."""
    origin.on("/", raw(message))
    async with client(origin) as upstream:
        with pytest.raises(OriginProtocolError):
            await upstream.send(get())
        assert upstream.health.open_connections == 0
        assert upstream.health.errors == 1
    assert origin.count() == 1


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X-A: aaaaaaaaaa\r\n" * 100 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 2000,
        b"HTTP/1.1 200 " + b"a" * 2000,
        b"HTTP/1.1 103 Early\r\nLink: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n" * 50,
        b"HTTP/1.1 102 \r\n\r\n" * 100,
    ],
    ids=[
        "many fields",
        "a field without end",
        "a reason without end",
        "interim responses without end",
        "empty interim responses",
    ],
)
async def test_a_head_over_the_limit_is_a_protocol_error(origin: ScriptedOrigin, message: bytes) -> None:
    """RFC 9110 section 5.4."""
    origin.on("/", raw(message))
    async with client(origin, max_head="1KiB") as upstream:
        with pytest.raises(OriginProtocolError, match="1024"):
            await upstream.send(get())


@pytest.mark.parametrize("more", [b"a" * 4096, b"X-T: aaaaaaaaaa\r\n" * 256], ids=["one line", "many lines"])
async def test_trailers_without_end_break_the_body_off(origin: ScriptedOrigin, more: bytes) -> None:
    """RFC 9112 section 7.1.2."""

    async def script(wire: Wire) -> None:
        await wire.send(head(200, {"Transfer-Encoding": "chunked"}) + b"2\r\nhi\r\n0\r\n")
        await wire.send(b"X-T: ")
        while True:
            await wire.send(more)

    origin.on("/", script)
    async with client(origin, max_head="1KiB") as upstream:
        with pytest.raises(BodyIncomplete, match="1024"):
            await body(await upstream.send(get()))


async def test_a_large_body_passes_a_small_head_limit(origin: ScriptedOrigin) -> None:
    content = bytes(range(256)) * 4096
    origin.on("/", reply(body=content))
    async with client(origin, max_head="1KiB") as upstream:
        assert await body(await upstream.send(get())) == content


async def test_reading_stops_while_the_reader_is_far_behind_and_resumes_after(origin: ScriptedOrigin) -> None:
    total = 24 * 2**20
    sent = 0
    stuck = asyncio.Event()

    async def flood(wire: Wire) -> None:
        nonlocal sent
        await wire.send(head(200, {"Content-Length": str(total)}))
        while sent < total:
            sending = asyncio.ensure_future(wire.send(b"x" * 2**16))
            done, _ = await asyncio.wait({sending}, timeout=0.2)
            if not done:
                stuck.set()
                await sending
            sent += 2**16

    origin.on("/", flood)
    async with client(origin, body_timeout="0.1s") as upstream:
        response = await upstream.send(get())
        async with asyncio.timeout(10):
            await stuck.wait()
        assert sent < total
        assert response.paused
        assert response.buffered < 2**20
        read = 0
        async for part in response.chunks():
            read += len(part)
        assert read == total


async def test_small_parts_are_joined_for_the_reader(origin: ScriptedOrigin) -> None:
    origin.on("/", reply(chunks=[b"x"] * 500))
    async with client(origin) as upstream:
        response = await upstream.send(get())
        await until(lambda: response.complete)
        assert [part async for part in response.chunks()] == [b"x" * 500]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_no_head_in_time_is_an_origin_timeout_and_not_asked_again(origin: ScriptedOrigin) -> None:
    origin.on("/", silence())
    async with client(origin, response_timeout="0.05s") as upstream:
        with pytest.raises(OriginTimeout):
            await upstream.send(get())
        assert upstream.health.open_connections == 0
    assert origin.count() == 1


async def test_interim_responses_do_not_prolong_the_wait_for_the_final_one(origin: ScriptedOrigin) -> None:
    async def forever(wire: Wire) -> None:
        while True:
            await wire.send(head(102))
            await asyncio.sleep(0.01)

    origin.on("/", forever)
    async with client(origin, response_timeout="0.1s") as upstream:
        with pytest.raises(OriginTimeout):
            await upstream.send(get())


async def test_silence_inside_a_body_breaks_it_off_after_its_good_bytes(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 8."""
    origin.on("/", steps(raw(head(200, {"Content-Length": "10"}) + b"half"), silence()))
    async with client(origin, body_timeout="0.05s") as upstream:
        parts = (await upstream.send(get())).chunks()
        assert await anext(parts) == b"half"
        with pytest.raises(BodyIncomplete, match="silent"):
            await anext(parts)
        assert upstream.health.open_connections == 0


async def test_a_connection_that_breaks_inside_the_head_is_not_asked_again(origin: ScriptedOrigin) -> None:
    origin.on("/", steps(raw(b"HTTP/1.1 200 OK\r\nX-"), hang_up()))
    async with client(origin) as upstream:
        with pytest.raises(OriginUnreachable):
            await upstream.send(get())
    assert origin.count() == 1


async def test_closing_the_client_ends_whoever_waits(origin: ScriptedOrigin) -> None:
    origin.on("/body", steps(raw(head(200, {"Content-Length": "10"}) + b"half"), silence()))
    origin.on("/head", silence())
    upstream = Origin(OriginSettings(url=origin.url, max_connections=2))
    response = await upstream.send(get("/body"))
    waiting = [asyncio.ensure_future(upstream.send(get("/head"))) for _ in range(2)]
    await origin.until_asked("/head")
    await upstream.close()
    assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [OriginUnreachable] * 2
    with pytest.raises(BodyIncomplete):
        await body(response)
    with pytest.raises(OriginUnreachable):
        await upstream.send(get("/head"))
    await origin.until_all_closed()
