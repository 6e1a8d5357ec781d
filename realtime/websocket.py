"""A WebSocket without aiohttp's request behind it: the connection is taken over, so that an idle one costs no task.

Inbound frames are aiohttp's C reader's; it checks them and puts fragments together. Outbound bytes are written as
they are. This file and transport.py and polling.py are the only ones that import aiohttp.
"""

from __future__ import annotations

import asyncio
import math
import os
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp._websocket.models import WebSocketError
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from realtime.closing import NORMAL, POLICY_VIOLATION, code_of, reason_of
from realtime.connection import Caller, WebSocketEnded
from realtime.engineio import Via
from realtime.frames import PONG, Heads, Outgoing, close_frame, frame
from realtime.multicast import Destination, Multicast
from realtime.session import EngineSession, House
from realtime.stats import count
from realtime.upgrading import answer_head

_TEXT, _BINARY, _CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE
_PING, _PONG = WSMsgType.PING, WSMsgType.PONG

PINGS = 20
"""How many WebSocket pings a client may send within PINGS_WINDOW seconds. Engine.IO clients send none."""

PINGS_WINDOW = 10.0

TALKS = 0.1
"""Seconds between two reads, at most, of a connection that is worth resting: others have little to be read together."""

LATE = 1000
"""Frames (or KiB) that are looked through for the client's close after ours; whoever goes on is not read any more."""

SHORT = 4096
"""Bytes of what may be collected to be written in one go: what is longer would rather be copied than spared a call."""

MOST_COLLECTED = 16
"""How many answers are collected."""


def take_over(
    request: web.BaseRequest, house: House, caller: Caller, accept: bytes, *, deflate: bool
) -> TakenWebSocket | None:
    """Make the request's connection a WebSocket. The 101 leaves with whatever is written first, see `begin`.

    aiohttp's handler is told that its connection is lost, which is how it forgets everything about it, however it
    was derived; the request's handler then ends with an `Ended(101)`. None when the client has left.
    """
    handler: Any = request.protocol
    transport = handler.transport
    if transport is None or transport.is_closing():
        return None
    tail: bytes = handler._message_tail
    handler._message_tail = b""
    paused = handler.writing_paused
    handler.transport = None  # else it would close it
    handler._task_handler = None  # the server then forgets it at once, not when its task has ended
    handler.connection_lost(None)
    start = answer_head(accept, caller.fields, deflate=deflate), tail
    return TakenWebSocket(house, transport, start, deflate=deflate, congested=paused, ended=caller.ended)


class TakenWebSocket(WebSocketDataQueue, asyncio.BufferedProtocol):
    """One WebSocket: a Carrier for a session, the protocol of a transport, and the queue its own reader feeds.

    Being the queue means that a message is acted on where it is read, without a queue and a task in between. What the
    base would need for queueing is never made: its `__init__` is not called.
    """

    __slots__ = (
        "_closing",
        "_collected",
        "_deflate",
        "_drained",
        "_ended",
        "_fragments",
        "_heads",
        "_house",
        "_late",
        "_linger",
        "_multicasts",
        "_read_at",
        "_reader",
        "_received",
        "_sent",
        "_session",
        "_tail",
        "_talks",
        "_why",
        "_wire",
        "congested",
        "descriptor",
        "pings",
        "pings_since",
    )

    def __init__(
        self,
        house: House,
        wire: asyncio.Transport,
        start: tuple[bytes, bytes],
        *,
        deflate: bool,
        congested: bool,
        ended: WebSocketEnded | None,
    ) -> None:
        settings = house.settings
        self._house = house
        self._wire = wire
        self._tail = start
        self._deflate = settings.compression if deflate else None
        self.descriptor = -1 if wire.get_extra_info("sslcontext") else wire.get_extra_info("socket").fileno()
        self._closing = False
        self._collected: list[bytes] | None = None  # while what has come is acted on: what is said to that
        self._drained = True
        self._heads = Heads()
        self._fragments = 0  # frames that have made no message yet
        self._late = 0
        self._read_at = -math.inf
        self._talks = False
        self._linger: asyncio.TimerHandle | None = None
        self._multicasts: tuple[Multicast, ...] = ()
        self._session: EngineSession | None = None
        self._reader: WebSocketReader | None = WebSocketReader(self, settings.max_payload + 1, deflate, True)
        self.congested = congested
        self._ended = ended
        self._received = self._sent = 0
        self._why = ""
        self.pings = 0
        self.pings_since = 0.0

    def begin(self, session: EngineSession | None, first: Outgoing | None = None) -> None:
        """Carry `session` from now on, with `first` sent in the same segment as the answer to the handshake."""
        head, _ = self._tail
        wire = self._wire
        self._session = session
        self._house.connected(self)
        wire.set_protocol(self)
        wire.set_write_buffer_limits(high=self._house.settings.high_water)
        self._send(first.frame if first is not None else b"", head)
        if session is not None and not self.congested:
            session.resumed(self)
        if not wire.is_reading():
            wire.resume_reading()

    def feed_tail(self) -> None:
        """Read what came in the same segment as the request."""
        _, tail = self._tail
        self._tail = b"", b""
        if tail:
            self._read(tail)

    # The session's side

    def write(self, outgoing: Outgoing) -> None:
        if self._closing or self._wire.is_closing():
            return
        threshold = self._deflate
        data = outgoing.frame if threshold is None or outgoing.size < threshold else outgoing.deflated
        stats = self._house.stats
        stats.packets_out += outgoing.count
        stats.bytes_out += len(data)
        self._sent += len(data)
        collected = self._collected
        # What is in a row (see multicast.py) is written to without being asked, so nothing may wait for it here.
        if collected is None or self._multicasts or len(data) > SHORT:
            self._give_collected()
            self._give(data)
        else:
            collected.append(data)
            if len(collected) > MOST_COLLECTED:
                self._give_collected()

    def _give(self, data: bytes) -> None:
        """Hand bytes to the system, and what it does not take to the transport."""
        wire = self._wire
        if wire.is_closing():
            return
        written = 0
        if self.descriptor >= 0 and not wire.get_write_buffer_size():
            # Past the transport, which would only add to what the system takes for it. Its buffer is empty, so nothing
            # is overtaken, and it is not closing, so the descriptor is still its own; what the system does not take,
            # or says of the connection, the transport gets to see.
            try:
                written = os.write(self.descriptor, data)
            except OSError:
                written = 0
        if written < len(data):
            wire.write(data[written:])
            self._step_out()

    def _give_collected(self) -> None:
        if self._collected:
            data = b"".join(self._collected)
            self._collected.clear()
            self._give(data)

    def close(self, reason: str) -> None:
        """Say why and wait a while for the client to close too (RFC 6455 section 7.1.1)."""
        if self._closing:
            return
        self._closing = True
        self._step_out()
        self._why = self._why or reason
        if not self._wire.is_closing():
            self._send(close_frame(code_of(reason), reason))
            self._linger = self._house.loop.call_later(self._house.settings.close_timeout, self._wire.abort)
        self._session = None
        self.wake()  # the client's close is waited for

    def rest(self, until: float) -> None:
        may = self._talks and self._drained and not self._closing and self.descriptor >= 0
        if may and self._house.resting.add(self, until):
            self._wire.pause_reading()

    def listen(self) -> None:
        """As the transport would read if it were not paused; of the connection's end it learns by itself."""
        if self._wire.is_closing():
            return
        try:
            size = os.readv(self.descriptor, (self._house.inbox,))
        except BlockingIOError:
            return
        except OSError:
            self._end("transport-error")
            self.abort()
            return
        if size:
            self.buffer_updated(size)
        else:
            self.wake()

    def wake(self) -> None:
        self._house.resting.discard(self)
        if not self._wire.is_reading():
            self._wire.resume_reading()

    @property
    def buffered(self) -> int:
        """Bytes of its own that wait for the client to read."""
        return self._wire.get_write_buffer_size()

    def abort(self) -> None:
        self._step_out()
        self._give_collected()
        self._wire.abort()

    # Among others

    @property
    def destination(self) -> Destination | None:
        wire = self._wire
        waits = self._closing or wire.is_closing() or self._collected or wire.get_write_buffer_size()
        return None if waits or self._deflate is not None or self.descriptor < 0 else self

    def stepped_in(self, multicast: Multicast) -> None:
        self._multicasts = (*self._multicasts, multicast)

    def stepped_out(self, multicast: Multicast, sent: int) -> None:
        self._multicasts = tuple(other for other in self._multicasts if other is not multicast)
        self._sent += sent

    def left_over(self, data: bytes) -> None:
        if not self._wire.is_closing():
            self._wire.write(data)
        self._step_out()

    def _step_out(self) -> None:
        for multicast in self._multicasts:
            multicast.dissolve()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raise AssertionError("the connection was there before")

    def get_buffer(self, sizehint: int) -> memoryview:
        """The same for all connections: transports fill it and say so in one go, and what was read is copied out."""
        return self._house.inbox

    def buffer_updated(self, nbytes: int) -> None:
        now = self._house.loop.time()
        self._talks, self._read_at = now - self._read_at < TALKS, now
        self._drained = nbytes < len(self._house.inbox)
        self._read(bytes(self._house.inbox[:nbytes]))

    def _read(self, data: bytes) -> None:
        self._house.stats.bytes_in += len(data)
        self._received += len(data)
        reader = self._reader
        if reader is None:
            return
        heads = self._heads.count(data)
        if heads < 0:
            reader.feed_data(data[: self._heads.good])  # what was right before it holds, however it was cut
            self._refuse("protocol-error")  # the reader would take it
            return
        self._fragments += heads
        # What is said to several messages that came together leaves together.
        self._collected = []
        try:
            reader.feed_data(data)
        finally:
            self._give_collected()
            self._collected = None
        if self._fragments > 1:
            self._fragmented()

    def eof_received(self) -> None:
        return None  # the transport closes

    def pause_writing(self) -> None:
        self.congested = True
        if self._session is not None:
            self._session.congested(self)

    def resume_writing(self) -> None:
        self.congested = False
        if self._session is not None:
            self._session.resumed(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._step_out()  # when this returns, the descriptor may become another connection's
        self._end("transport-close" if exc is None else "transport-error")
        self._house.disconnected(self)
        self._house.resting.discard(self)
        self._reader = None  # it refers to us
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._ended is not None:
            self._ended(self._received, self._sent, self._why)
            self._ended = None

    # The reader's side

    def feed_data(self, data: Any, size: int) -> None:
        """One message, whole and checked."""
        kind = data[0]
        self._fragments -= 1
        if self._closing:
            if kind is _CLOSE:
                self._wire.close()
            else:
                self._too_late(size)
        elif size > self._house.settings.max_payload:
            self._refuse("too-large")  # the reader's limit is one more for what was compressed
        elif kind is _TEXT or kind is _BINARY:
            if self._session is not None:
                self._session.arrived(data[1], Via.SOCKET)
        elif kind is _PING or kind is _PONG:
            self._pinged(kind, data[1])
        elif kind is _CLOSE:
            self._closing = True
            self._step_out()
            self._send(close_frame(NORMAL))
            self._end("transport-close")
            self._wire.close()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """What came is not WebSocket, or too much of it."""
        self._refuse(reason_of(exc.code if isinstance(exc, WebSocketError) else None))

    def feed_eof(self) -> None:
        """Nothing waits for it."""

    def _fragmented(self) -> None:
        """Fragments cost like messages: without end, or empty, they are a flood that the reader says nothing of."""
        more, self._fragments = self._fragments - 1, 1
        if self._session is not None:
            self._session.spend(more)
        elif self._closing:
            self._late += more
            if self._late > LATE:
                self._turn_away()

    def _too_late(self, size: int) -> None:
        self._late += 1 + (size >> 10)
        if self._late > LATE:
            self._turn_away()
            raise WebSocketError(POLICY_VIOLATION, "enough")  # so that the reader stops here

    def _pinged(self, kind: WSMsgType, data: bytes) -> None:
        now = self._house.loop.time()
        if now - self.pings_since > PINGS_WINDOW:
            self.pings, self.pings_since = 0, now
        self.pings += 1
        if self.pings > PINGS:
            self._refuse("ping-flood")
        elif kind is _PING:
            self._send(frame(PONG, bytes(data)))

    def _refuse(self, reason: str) -> None:
        if self._closing:
            return
        count(self._house.stats.invalid, reason)
        self._end(reason)
        self.close(reason)
        self._turn_away()  # what still comes cannot be understood, not even the client's close

    def _turn_away(self) -> None:
        self._reader = None
        if self._wire.can_write_eof() and not self._wire.is_closing():
            self._wire.write_eof()

    def _send(self, data: bytes, head: bytes = b"") -> None:
        self._sent += len(data)
        self._give_collected()
        self._wire.write(head + data)
        if self._multicasts and self._wire.get_write_buffer_size():
            self._step_out()

    def _end(self, reason: str) -> None:
        self._why = self._why or reason
        session, self._session = self._session, None
        if session is not None:
            session.lost(self, reason)
