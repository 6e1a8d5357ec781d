"""How the origin client sends a request: its head, its body, and what may come back meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Origin as OriginSettings
from proxy.errors import BodyIncomplete, OriginTimeout, OriginUnreachable, RequestRefused
from proxy.origin_request import request_head
from proxy.policy.messages import Fields
from proxy.upstream import Origin, OriginRequest, OriginResponse
from tests.origin import ScriptedOrigin, Wire, hang_up, head, interim, raw, read_body, reply, silence, steps, tell, when


@asynccontextmanager
async def client(origin: ScriptedOrigin, **settings: Any) -> AsyncIterator[Origin]:
    upstream = Origin(OriginSettings(url=origin.url, **settings))
    try:
        yield upstream
    finally:
        await upstream.close()
        assert upstream.health.open_connections == 0


class Upload:
    """A request body that waits for the test between its parts and tells how far it was read."""

    def __init__(self, *parts: bytes, gate: asyncio.Event | None = None, error: Exception | None = None) -> None:
        self.taken = 0
        self._parts = parts
        self._gate = gate
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.taken == len(self._parts):
            if self._gate is not None:
                await self._gate.wait()
            if self._error is not None:
                raise self._error
            raise StopAsyncIteration
        self.taken += 1
        return self._parts[self.taken - 1]


def send(
    body: AsyncIterator[bytes] | None,
    length: int | None = None,
    *lines: tuple[str, str],
    method: str = "POST",
    target: str = "/",
) -> OriginRequest:
    return OriginRequest(method, target, Fields((("Host", "app.example"), *lines)), body, length)


async def text(response: OriginResponse) -> bytes:
    return b"".join([part async for part in response.chunks()])


# -- the head


def test_the_head_is_written_as_it_was_given_and_framed_by_its_body() -> None:
    """RFC 9110 section 7.6.1, RFC 9112 section 6.1, RFC 9112 section 6.2."""
    fields = [("Host", "a"), ("x-lower", "1"), ("X-Lower", "2"), ("Content-Length", "99"), ("Connection", "close")]
    body = Upload()
    known = OriginRequest("POST", "/%7e?a=b&a", Fields(fields), body, 5)
    assert (
        request_head(known)
        == b"POST /%7e?a=b&a HTTP/1.1\r\nHost: a\r\nx-lower: 1\r\nX-Lower: 2\r\nContent-Length: 5\r\n\r\n"
    )
    unknown = OriginRequest("POST", "/", Fields([("Transfer-Encoding", "gzip")]), body)
    assert request_head(unknown) == b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("method", "says_so"), [("GET", False), ("DELETE", False), ("POST", True), ("PUT", True)])
def test_a_method_that_anticipates_content_says_that_there_is_none(method: str, says_so: bool) -> None:
    """RFC 9110 section 8.6."""
    assert (b"Content-Length: 0\r\n" in request_head(OriginRequest(method, "/", Fields()))) is says_so


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("GET", "/a b", "X", "y"),
        ("GET", "/a\r\nX: y", "X", "y"),
        ("GET", "/\0", "X", "y"),
        ("GET", "", "X", "y"),
        ("GET /x HTTP/1.1\r\nA:", "/", "X", "y"),
        ("GET", "/", "X", "a\r\nEvil: 1"),
        ("GET", "/", "X", "a\nEvil: 1"),
        ("GET", "/", "X", "a\rEvil: 1"),
        ("GET", "/", "X", "a\0b"),
        ("GET", "/", "X: y\r\nEvil", "1"),
        ("GET", "/", "X y", "1"),
        ("GET", "/", "", "1"),
        ("GET", "/", "X", "\u20ac"),
        ("GET", "/\u20ac", "X", "y"),
    ],
)
async def test_a_part_that_would_change_the_head_is_refused_before_anything_is_sent(
    origin: ScriptedOrigin, method: str, target: str, name: str, value: str
) -> None:
    """RFC 9110 section 5.5, RFC 9112 section 3."""
    async with client(origin) as upstream:
        with pytest.raises(RequestRefused) as refused:
            await upstream.send(OriginRequest(method, target, Fields([(name, value)])))
        assert refused.value.status == 400
    assert origin.opened == 0


@given(st.text(max_size=8), st.text(max_size=12), st.lists(st.tuples(st.text(max_size=6), st.text(max_size=12))))
def test_a_head_that_is_written_has_exactly_the_lines_it_was_given(
    method: str, target: str, lines: list[tuple[str, str]]
) -> None:
    """RFC 9112 section 3, RFC 9112 section 5."""
    try:
        written = request_head(OriginRequest(method, target, Fields(lines)))
    except RequestRefused:
        return
    first, *rest = written.decode("latin-1").split("\r\n")
    assert first == f"{method} {target} HTTP/1.1"
    assert rest[-2:] == ["", ""]
    ours = {"connection", "keep-alive", "proxy-connection", "content-length", "transfer-encoding"}
    kept = [f"{name}: {value}" for name, value in lines if name.lower() not in ours]
    assert rest[:-2] in (kept, [*kept, "Content-Length: 0"])
    assert not any(byte in line for line in rest for byte in "\r\n\0")


# -- the body


async def test_a_body_of_known_length_arrives_whole(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 6.2."""
    origin.on("/", reply(201))
    async with client(origin) as upstream:
        assert (await upstream.send(send(Upload(b"one", b"", b"two"), 6))).head.status == 201
        assert upstream.health.idle_connections == 1
    [asked] = origin.requests
    assert (asked.body, asked.header("Content-Length"), asked.header("Transfer-Encoding")) == (b"onetwo", "6", None)


async def test_a_body_of_unknown_length_arrives_chunked(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 7.1."""
    origin.on("/", reply(201))
    async with client(origin) as upstream:
        await upstream.send(send(Upload(b"one", b"", b"two")))
        assert upstream.health.idle_connections == 1
    [asked] = origin.requests
    assert (asked.body, asked.header("Content-Length"), asked.header("Transfer-Encoding")) == (
        b"onetwo",
        None,
        "chunked",
    )


async def test_a_large_upload_is_sent_at_the_origins_pace(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    upload = Upload(*[b"x" * 2**16] * 400)
    origin.on("/", when(gate, reply(201)))
    async with client(origin) as upstream:
        sending = asyncio.ensure_future(upstream.send(send(upload, 400 * 2**16)))
        await origin.until_asked("/")
        before = -1
        while upload.taken != before:
            before = upload.taken
            await asyncio.sleep(0.02)
        assert upload.taken < 400
        gate.set()
        assert (await sending).head.status == 201
    assert len(origin.requests[0].body) == 400 * 2**16


async def test_an_upload_that_the_origin_does_not_take_times_out(origin: ScriptedOrigin) -> None:
    origin.on("/", when(asyncio.Event()))
    async with client(origin, body_timeout="0.05s") as upstream:
        with pytest.raises(OriginTimeout, match="request body"):
            await upstream.send(send(Upload(*[b"x" * 2**16] * 400), 400 * 2**16))


async def test_a_slow_client_is_not_blamed_on_the_origin(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.on("/", reply(201))
    async with client(origin, response_timeout="0.05s", body_timeout="0.05s") as upstream:
        sending = asyncio.ensure_future(upstream.send(send(Upload(b"part", gate=gate))))
        await asyncio.sleep(0.15)
        gate.set()
        assert (await sending).head.status == 201


async def test_the_wait_for_the_head_begins_when_the_upload_has_ended(origin: ScriptedOrigin) -> None:
    origin.on("/", steps(read_body(), silence()))
    async with client(origin, response_timeout="0.05s") as upstream:
        with pytest.raises(OriginTimeout, match="no response head"):
            await upstream.send(send(Upload(b"part")))


@pytest.mark.parametrize("status", [401, 413, 500])
async def test_an_early_error_is_delivered_and_ends_the_upload(origin: ScriptedOrigin, status: int) -> None:
    """RFC 9112 section 9.5."""
    never = asyncio.Event()
    upload = Upload(b"part", gate=never)
    origin.on("/", steps(reply(status, b"no", early=True), read_body()))
    async with client(origin) as upstream:
        response = await upstream.send(send(upload))
        assert (response.head.status, await text(response)) == (status, b"no")
        assert upstream.health.open_connections == 0
    await origin.until_all_closed()
    assert not origin.requests[0].complete


async def test_an_early_error_ends_the_upload_while_its_explanation_still_comes(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 9.5."""
    gate = asyncio.Event()

    class Watched(Upload):
        async def __anext__(self) -> bytes:
            try:
                return await super().__anext__()
            except asyncio.CancelledError:
                gate.set()
                raise

    origin.on("/", steps(raw(head(413, {"Content-Length": "4"}) + b"to"), when(gate, raw(b"o!"))))
    async with client(origin) as upstream:
        response = await upstream.send(send(Watched(b"part", gate=asyncio.Event())))
        async with asyncio.timeout(5):
            assert await text(response) == b"too!"


async def test_an_early_success_lets_the_upload_go_on(origin: ScriptedOrigin) -> None:
    async def echo(wire: Wire) -> None:
        await wire.send(head(200, {"Transfer-Encoding": "chunked"}))
        while part := await wire.read_part():
            await wire.send(b"%x\r\n%b\r\n" % (len(part), part))
        await wire.send(b"0\r\n\r\n")

    gate = asyncio.Event()
    origin.on("/", echo)
    async with client(origin) as upstream:
        response = await upstream.send(send(Upload(b"one", b"two", gate=gate)))
        parts = response.chunks()
        read = b""
        while len(read) < 6:
            read += await anext(parts)
        gate.set()
        assert read + b"".join([part async for part in parts]) == b"onetwo"
        assert upstream.health.idle_connections == 1


async def test_a_success_that_ends_before_the_upload_stops_it(origin: ScriptedOrigin) -> None:
    origin.on("/", reply(200, b"enough", early=True))
    async with client(origin) as upstream:
        response = await upstream.send(send(Upload(b"part", gate=asyncio.Event())))
        assert await text(response) == b"enough"
        assert upstream.health.open_connections == 0


def test_an_answer_sent_before_the_origin_reset_the_upload_is_not_lost() -> None:
    """RFC 9112 section 9.6.

    The write that meets the reset comes before the loop could read the 413, which waits in the kernel.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    reset = threading.Event()

    def refuse_and_reset() -> None:
        wire, _ = listener.accept()
        wire.recv(2**16)
        wire.sendall(head(413, {"Content-Length": "3"}) + b"big")
        wire.close()  # with unread bytes in its buffer: a reset
        reset.set()

    class Blocking(Upload):
        async def __anext__(self) -> bytes:
            if self.taken == 1:
                # Holds up the whole loop on purpose: no turn for it to read before the next write.
                assert reset.wait(5)
            return await super().__anext__()

    async def upload() -> tuple[int, bytes]:
        upstream = Origin(OriginSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        response = await upstream.send(send(Blocking(*[b"x" * 2**18] * 8), 2**21))
        answer = response.head.status, await text(response)
        await upstream.close()
        return answer

    origin = threading.Thread(target=refuse_and_reset)
    origin.start()
    assert asyncio.run(upload()) == (413, b"big")
    origin.join()
    listener.close()


# -- Expect: 100-continue

EXPECT = ("Expect", "100-continue")


async def test_the_body_waits_for_a_100(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 10.1.1."""
    asked, gate = asyncio.Event(), asyncio.Event()
    upload = Upload(b"part")
    seen: list[int] = []
    origin.on("/", steps(tell(asked), when(gate), interim(100), reply(201)))
    async with client(origin) as upstream:
        sending = asyncio.ensure_future(
            upstream.send(send(upload, 4, EXPECT), interim=lambda status, _: seen.append(status))
        )
        await asked.wait()
        assert upload.taken == 0
        gate.set()
        assert (await sending).head.status == 201
    assert seen == [100]
    assert (origin.requests[0].header("Expect"), origin.requests[0].body) == ("100-continue", b"part")


@pytest.mark.parametrize("status", [417, 413, 200])
async def test_a_final_answer_instead_of_a_100_leaves_the_body_untouched(origin: ScriptedOrigin, status: int) -> None:
    """RFC 9110 section 10.1.1."""
    upload = Upload(b"part")
    origin.on("/", reply(status, early=True))
    async with client(origin) as upstream:
        assert (await upstream.send(send(upload, 4, EXPECT))).head.status == status
        assert upstream.health.open_connections == 0
    assert upload.taken == 0


async def test_without_a_100_the_body_goes_after_a_second(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9110 section 10.1.1."""
    monkeypatch.setattr("proxy.origin_upload.CONTINUE_WAIT", 0.02)
    origin.on("/", reply(201))
    async with client(origin) as upstream:
        assert (await upstream.send(send(Upload(b"part"), 4, EXPECT))).head.status == 201


# -- bodies that fail, and repetition


@pytest.mark.parametrize("length", [None, 8])
async def test_an_error_of_the_body_reaches_the_caller_and_is_not_the_origins(
    origin: ScriptedOrigin, length: int | None
) -> None:
    async with client(origin) as upstream:
        with pytest.raises(LookupError, match="client left"):
            await upstream.send(send(Upload(b"part", error=LookupError("client left")), length))
        assert (upstream.health.errors, upstream.health.open_connections) == (0, 0)
    await origin.until_all_closed()
    assert not any(asked.complete for asked in origin.requests)


async def test_a_body_that_fails_during_the_response_breaks_the_response_off(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.on("/", steps(raw(head(200, {"Content-Length": "9"})), silence()))
    async with client(origin) as upstream:
        response = await upstream.send(send(Upload(b"part", gate=gate, error=LookupError("client left"))))
        gate.set()
        with pytest.raises(BodyIncomplete, match="client left"):
            await text(response)


@pytest.mark.parametrize(("parts", "length"), [((b"ab",), 3), ((b"ab", b"cd"), 3)])
async def test_a_body_that_is_not_as_long_as_announced_is_refused(
    origin: ScriptedOrigin, parts: tuple[bytes, ...], length: int
) -> None:
    """RFC 9110 section 8.6."""
    origin.on("/", silence())
    async with client(origin) as upstream:
        with pytest.raises(RequestRefused):
            await upstream.send(send(Upload(*parts), length))
        assert upstream.health.open_connections == 0
    assert all(len(asked.body) <= length for asked in origin.requests)


async def test_a_put_is_repeated_while_no_byte_of_its_body_was_taken(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 9.2.2, RFC 9110 section 10.1.1."""
    upload = Upload(b"part")
    origin.on("/", hang_up(), steps(interim(100), reply(201)))
    async with client(origin) as upstream:
        assert (await upstream.send(send(upload, 4, EXPECT, method="PUT"))).head.status == 201
    assert (origin.count(), origin.requests[1].body) == (2, b"part")


async def test_a_put_is_not_repeated_once_its_body_was_taken(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 9.2.2."""
    origin.on("/", steps(read_body(), hang_up()))
    async with client(origin) as upstream:
        with pytest.raises(OriginUnreachable):
            await upstream.send(send(Upload(b"part"), 4, method="PUT"))
    assert origin.count() == 1


async def test_a_client_that_leaves_in_the_middle_of_its_upload_leaves_nothing_behind(origin: ScriptedOrigin) -> None:
    async with client(origin) as upstream:
        leaving = asyncio.ensure_future(upstream.send(send(Upload(b"part", gate=asyncio.Event()))))
        await origin.until_asked("/")
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await origin.until_all_closed()
        await asyncio.sleep(0)
        assert upstream.health.open_connections == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
