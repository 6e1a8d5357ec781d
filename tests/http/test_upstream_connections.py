"""How the origin client makes, keeps, shares and gives up connections, and when it asks again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.config.model import Origin as OriginSettings
from proxy.errors import OriginError, OriginTimeout, OriginUnreachable
from proxy.policy.messages import Fields
from proxy.upstream import Origin, OriginRequest, OriginResponse
from tests.origin import ScriptedOrigin, Wire, computed, hang_up, head, raw, reply, reset, silence, steps, tell, when


class Clock:
    """A wall clock that stands still, and a sleep that only notes how long."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, delay: float) -> None:
        self.slept.append(delay)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def client(origin: ScriptedOrigin, clock: Clock, **settings: Any) -> AsyncIterator[Origin]:
    upstream = Origin(OriginSettings(url=origin.url, **settings), now=clock.now, sleep=clock.sleep)
    try:
        yield upstream
    finally:
        await upstream.close()
        health = upstream.health
        assert (health.open_connections, health.idle_connections, health.waiting_requests) == (0, 0, 0)


def get(target: str = "/", method: str = "GET") -> OriginRequest:
    return OriginRequest(method, target, Fields([("Host", "app.example")]))


async def body(response: OriginResponse) -> bytes:
    return b"".join([part async for part in response.chunks()])


async def fetch(upstream: Origin, target: str = "/") -> bytes:
    return await body(await upstream.send(get(target)))


async def turns(count: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_connection_serves_many_requests(origin: ScriptedOrigin, clock: Clock) -> None:
    """RFC 9112 section 9.3."""
    origin.on("/", reply(body=b"x"))
    async with client(origin, clock) as upstream:
        for _ in range(5):
            assert await fetch(upstream) == b"x"
        assert (upstream.health.open_connections, upstream.health.idle_connections) == (1, 1)
    assert origin.opened == 1
    await origin.until_all_closed()


async def test_an_unread_response_whose_bytes_have_arrived_does_not_hold_its_connection(
    origin: ScriptedOrigin, clock: Clock
) -> None:
    origin.on("/", reply(body=b"x"))
    async with client(origin, clock, max_connections=1) as upstream:
        first, second = await upstream.send(get()), await upstream.send(get())
        assert (await body(first), await body(second)) == (b"x", b"x")
    assert origin.opened == 1


async def test_closing_a_response_before_its_end_closes_its_connection(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/", steps(raw(head(200, {"Content-Length": "10"}) + b"half"), silence()))
    async with client(origin, clock) as upstream:
        response = await upstream.send(get())
        assert upstream.health.open_connections == 1
        await response.close()
        await response.close()
        assert upstream.health.open_connections == 0
        await origin.until_all_closed()


async def test_the_most_recently_used_connection_is_used_first(origin: ScriptedOrigin, clock: Clock) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    origin.on("/first", when(first, reply()))
    origin.on("/second", when(second, reply()))
    async with client(origin, clock) as upstream:
        one = asyncio.ensure_future(upstream.send(get("/first")))
        await origin.until_asked("/first")
        two = asyncio.ensure_future(upstream.send(get("/second")))
        await origin.until_asked("/second")
        second.set()
        await two
        first.set()
        await one
        await fetch(upstream, "/third")
        assert origin.requests[-1].connection == 1


async def test_an_idle_connection_is_closed_after_its_timeout(origin: ScriptedOrigin, clock: Clock) -> None:
    """RFC 9112 section 9.5."""
    async with client(origin, clock, idle_timeout="0.05s") as upstream:
        await fetch(upstream)
        await origin.until_all_closed()
        assert upstream.health.open_connections == 0


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"\r\n"])
async def test_bytes_on_an_idle_connection_retire_it(origin: ScriptedOrigin, clock: Clock, unasked: bytes) -> None:
    """RFC 9112 section 9.2."""
    gate, pushed = asyncio.Event(), asyncio.Event()
    origin.on("/", steps(reply(body=b"first"), when(gate, raw(unasked)), tell(pushed)), reply(body=b"second"))
    async with client(origin, clock) as upstream:
        assert await fetch(upstream) == b"first"
        gate.set()
        await pushed.wait()
        await origin.until_all_closed()
        assert await fetch(upstream) == b"second"


async def test_bytes_that_the_loop_has_not_read_yet_retire_an_idle_connection_too(clock: Clock) -> None:
    """RFC 9112 section 9.2.

    The bytes are in the kernel when the next request begins, and the event loop had no turn between.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    upstream = Origin(OriginSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}"), now=clock.now)
    answered = asyncio.ensure_future(upstream.send(get()))
    wire, _ = await loop.sock_accept(listener)
    assert await loop.sock_recv(wire, 4096)
    await loop.sock_sendall(wire, head(200, {"Content-Length": "0"}))
    await (await answered).close()

    again = upstream.send(get("/again"))
    wire.send(head(200, {"Content-Length": "6"}) + b"poison")
    answered = asyncio.ensure_future(again)
    fresh, _ = await loop.sock_accept(listener)
    assert b"/again" in await loop.sock_recv(fresh, 4096)
    await loop.sock_sendall(fresh, head(200, {"Content-Length": "5"}) + b"clean")
    assert await body(await answered) == b"clean"
    await upstream.close()
    for open_socket in (wire, fresh, listener):
        open_socket.close()


async def test_a_connection_the_origin_wants_closed_is_not_reused(origin: ScriptedOrigin, clock: Clock) -> None:
    """RFC 9112 section 9.6."""
    origin.on("/", raw(head(200, {"Content-Length": "0", "Connection": "x, Close"})), reply())
    async with client(origin, clock) as upstream:
        await fetch(upstream)
        await fetch(upstream)
    assert [asked.connection for asked in origin.requests] == [1, 2]


# -- the bound and its queue


async def test_no_more_connections_than_allowed_and_whoever_came_first_is_next(
    origin: ScriptedOrigin, clock: Clock
) -> None:
    """RFC 9112 section 9.4."""
    gate = asyncio.Event()
    for number in range(6):
        origin.on(f"/{number}", when(gate, reply(body=b"%d" % number)))
    async with client(origin, clock, max_connections=2) as upstream:
        fetches = []
        for number in range(6):
            fetches.append(asyncio.ensure_future(fetch(upstream, f"/{number}")))
            await turns()
        await origin.until(lambda: origin.count() == 2)
        assert upstream.health.waiting_requests == 4
        gate.set()
        assert await asyncio.gather(*fetches) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert origin.opened == 2
    assert sorted(a.path for a in origin.requests[:2]) == ["/0", "/1"]
    assert sorted(a.path for a in origin.requests[2:4]) == ["/2", "/3"]


async def test_waiting_for_a_connection_ends_with_the_response_timeout(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/slow", steps(raw(head(200, {"Content-Length": "1"})), silence()))
    async with client(origin, clock, max_connections=1, response_timeout="0.05s") as upstream:
        held = await upstream.send(get("/slow"))
        with pytest.raises(OriginTimeout, match="busy"):
            await upstream.send(get("/other"))
        assert upstream.health.waiting_requests == 0
        await held.close()
        await fetch(upstream, "/other")
    assert origin.count("/other") == 1


async def test_a_freed_slot_goes_to_the_queue_when_its_connection_cannot_be_reused(
    origin: ScriptedOrigin, clock: Clock
) -> None:
    origin.on("/", reply(body=b"x", headers={"Connection": "close"}))
    async with client(origin, clock, max_connections=2) as upstream:
        assert await asyncio.gather(*(fetch(upstream) for _ in range(9))) == [b"x"] * 9


@pytest.mark.parametrize("moment", range(24))
async def test_a_client_that_leaves_at_any_moment_leaves_no_slot_taken(
    origin: ScriptedOrigin, clock: Clock, moment: int
) -> None:
    origin.on("/", reply(body=b"x"))
    async with client(origin, clock, max_connections=1) as upstream:
        if moment % 2:
            await fetch(upstream)
        leaving = [asyncio.ensure_future(upstream.send(get())) for _ in range(3)]
        await turns(moment // 2)
        leaving[0].cancel()
        await turns(moment % 3)
        leaving[1].cancel()
        for answer in await asyncio.gather(*leaving, return_exceptions=True):
            if isinstance(answer, OriginResponse):
                await answer.close()
        assert upstream.health.waiting_requests == 0
        assert upstream.health.open_connections == upstream.health.idle_connections
        async with asyncio.timeout(5):
            assert await fetch(upstream) == b"x"


async def test_a_client_that_leaves_before_the_head_closes_the_connection(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/", silence())
    async with client(origin, clock) as upstream:
        leaving = asyncio.ensure_future(upstream.send(get()))
        await origin.until_asked("/")
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert upstream.health.open_connections == 0
        assert upstream.health.errors == 0
        await origin.until_all_closed()


async def test_a_late_cancellation_does_not_touch_a_connection_that_was_handed_on(
    origin: ScriptedOrigin, clock: Clock
) -> None:
    origin.on("/a", reply(body=b"a"))
    origin.on("/b", reply(body=b"b"))
    async with client(origin, clock, max_connections=1) as upstream:
        leaving = asyncio.ensure_future(upstream.send(get("/a")))
        await turns(1)
        other = asyncio.ensure_future(fetch(upstream, "/b"))
        await turns(1)
        assert upstream.health.waiting_requests == 1
        while upstream.health.waiting_requests:
            await asyncio.sleep(0)
        # The answer has come and its connection has a new owner; the one who leaves had no turn since.
        assert not leaving.done()
        leaving.cancel()
        assert await other == b"b"
        with pytest.raises(asyncio.CancelledError):
            await leaving
    assert origin.opened == 1


# -- asking again


async def test_a_connection_closed_while_idle_costs_one_new_connection_and_no_wait(
    origin: ScriptedOrigin, clock: Clock
) -> None:
    """RFC 9112 section 9.3.1."""
    async with client(origin, clock) as upstream:
        await asyncio.gather(*(fetch(upstream) for _ in range(3)))
        await origin.drop_connections()
        await fetch(upstream)
        assert clock.slept == []
        assert upstream.health.errors == 0


@pytest.mark.parametrize("ending", [hang_up(), reset()], ids=["closed", "reset"])
async def test_a_connection_that_proves_stale_at_reuse_is_replaced_at_once_without_counting(
    origin: ScriptedOrigin, clock: Clock, ending: Any
) -> None:
    """RFC 9112 section 9.3.1."""
    origin.on("/stale", ending, reply(body=b"fresh"))
    async with client(origin, clock, retries=0) as upstream:
        await fetch(upstream)
        assert await fetch(upstream, "/stale") == b"fresh"
        assert (upstream.health.retries, upstream.health.errors, clock.slept) == (1, 0, [])


async def test_one_stale_connection_gives_up_the_ones_that_have_idled_longer(
    origin: ScriptedOrigin, clock: Clock
) -> None:
    origin.on("/", computed(lambda asked: hang_up() if asked.connection <= 3 else reply(body=b"fresh")))
    gate = asyncio.Event()
    origin.on("/warm", when(gate, reply()))
    async with client(origin, clock, retries=0) as upstream:
        warming = [asyncio.ensure_future(fetch(upstream, "/warm")) for _ in range(3)]
        await origin.until_asked("/warm", 3)
        gate.set()
        await asyncio.gather(*warming)
        assert upstream.health.idle_connections == 3
        assert await fetch(upstream) == b"fresh"
    assert origin.count("/") == 2


async def test_a_stale_connection_is_no_excuse_to_repeat_a_post(origin: ScriptedOrigin, clock: Clock) -> None:
    """RFC 9110 section 9.2.2, RFC 9112 section 9.3.1."""
    origin.on("/stale", hang_up())
    async with client(origin, clock) as upstream:
        await fetch(upstream)
        with pytest.raises(OriginUnreachable):
            await upstream.send(get("/stale", method="POST"))
    assert origin.count("/stale") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
async def test_an_idempotent_request_is_repeated_with_back_off(
    origin: ScriptedOrigin, clock: Clock, method: str
) -> None:
    """RFC 9110 section 9.2.2."""
    origin.on("/", hang_up(), reset(), hang_up(), reply(204))
    async with client(origin, clock) as upstream:
        assert (await upstream.send(get(method=method))).head.status == 204
        assert upstream.health.retries == 3
        assert upstream.health.state == "up"
    assert clock.slept == [0.025, 0.05, 0.1]
    assert origin.count() == 4


async def test_retries_end_at_their_limit(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/", hang_up())
    async with client(origin, clock, retries=2) as upstream:
        with pytest.raises(OriginUnreachable):
            await upstream.send(get())
        assert upstream.health.errors == 1
    assert origin.count() == 3


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
async def test_other_methods_are_never_repeated(origin: ScriptedOrigin, clock: Clock, method: str) -> None:
    """RFC 9110 section 9.2.2."""
    origin.on("/", hang_up())
    async with client(origin, clock) as upstream:
        with pytest.raises(OriginUnreachable):
            await upstream.send(get(method=method))
    assert origin.count() == 1


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503, 504])
async def test_a_status_is_never_a_reason_to_ask_again(origin: ScriptedOrigin, clock: Clock, status: int) -> None:
    origin.on("/", reply(status))
    async with client(origin, clock) as upstream:
        assert (await upstream.send(get())).head.status == status
    assert origin.count() == 1


async def test_an_origin_known_down_is_tried_once_for_a_second(origin: ScriptedOrigin, clock: Clock) -> None:
    await origin.stop()
    async with client(origin, clock) as upstream:
        with pytest.raises(OriginUnreachable):
            await upstream.send(get())
        assert upstream.health.connect_errors == 4
        clock.time += 0.9
        with pytest.raises(OriginUnreachable):
            await upstream.send(get())
        assert upstream.health.connect_errors == 5
        clock.time += 1.0
        with pytest.raises(OriginUnreachable):
            await upstream.send(get())
        assert upstream.health.connect_errors == 9
        assert upstream.health.open_connections == 0


async def test_an_origin_that_comes_back_is_used_at_once(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/", reply(body=b"x"))
    async with client(origin, clock) as upstream:
        await origin.stop()
        with pytest.raises(OriginUnreachable):
            await fetch(upstream)
        await origin.start()
        assert await fetch(upstream) == b"x"


# -- connecting


async def test_a_connection_that_is_not_made_in_time_is_an_origin_timeout(clock: Clock) -> None:
    """The listener's backlog is full, so the kernel answers no more of the connection requests."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    settings = OriginSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout="0.1s")
    upstream = Origin(settings, now=clock.now, sleep=clock.sleep)
    with pytest.raises(OriginTimeout, match=r"0\.1 s"):
        await upstream.send(get())
    assert upstream.health.open_connections == 0
    await upstream.close()
    for open_socket in (*fillers, listener):
        open_socket.close()


async def test_the_target_and_the_host_field_choose_no_other_server(origin: ScriptedOrigin, clock: Clock) -> None:
    async with client(origin, clock) as upstream:
        fields = Fields([("Host", "elsewhere.example:1")])
        response = await upstream.send(OriginRequest("GET", "http://elsewhere.example/", fields))
        assert response.head.status == 404
    assert origin.requests[0].target == "http://elsewhere.example/"


# -- health


async def test_health_tells_what_traffic_has_shown(origin: ScriptedOrigin, clock: Clock) -> None:
    async with client(origin, clock) as upstream:
        assert (upstream.health.state, upstream.health.since) == ("unknown", None)
        await fetch(upstream)
        clock.time += 5
        await fetch(upstream)
        health = upstream.health
        assert (health.state, health.since, health.last_success, health.requests) == ("up", 1000.0, 1005.0, 2)
        await origin.stop()
        clock.time += 5
        with pytest.raises(OriginError):
            await fetch(upstream)
        health = upstream.health
        assert (health.state, health.since, health.last_failure) == ("down", 1010.0, 1010.0)
        assert (health.consecutive_failures, health.errors, health.retries) == (4, 1, 3)
        assert origin.url in health.last_error


async def test_one_slow_answer_does_not_mean_down_but_three_in_a_row_do(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/slow", silence())
    async with client(origin, clock, response_timeout="0.02s") as upstream:
        await fetch(upstream)
        states = []
        for _ in range(3):
            with pytest.raises(OriginTimeout):
                await upstream.send(get("/slow"))
            states.append(upstream.health.state)
        assert states == ["up", "up", "down"]


async def test_health_tells_since_when_nothing_was_answered(origin: ScriptedOrigin, clock: Clock) -> None:
    origin.on("/slow", silence())
    async with client(origin, clock, response_timeout="0.02s") as upstream:
        assert upstream.health.unanswered_since is None
        for _ in range(2):
            with pytest.raises(OriginTimeout):
                await upstream.send(get("/slow"))
            assert upstream.health.unanswered_since == 1000.0
            clock.time += 5
        await fetch(upstream)
        assert upstream.health.unanswered_since is None


async def test_the_scripted_origin_sees_every_connection_end(origin: ScriptedOrigin, clock: Clock) -> None:
    async def half(wire: Wire) -> None:
        await wire.send(head(200, {"Content-Length": "2"}) + b"a")
        wire.close()

    origin.on("/", half)
    async with client(origin, clock) as upstream:
        response = await upstream.send(get())
        with pytest.raises(Exception, match="inside the response body"):
            await body(response)
    await origin.until_all_closed()
    assert origin.opened == origin.closed == 1


async def test_an_outage_is_told_now_and_then_and_not_for_every_request(
    origin: ScriptedOrigin, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="cachewire.origin")
    origin.default = hang_up()
    async with client(origin, clock, retries=0) as upstream:
        for pause in (0, 0, 0, 6, 0):
            clock.time += pause
            with pytest.raises(OriginUnreachable):
                await upstream.send(get())
        origin.default = reply(body=b"back")
        await fetch(upstream, "/a")
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if "the origin failed" in line][1:] == [f"{told[0]} (and 2 more)"]
    assert "is down" in "".join(told)
    assert told[-1].endswith("is up again after 6 s")
