"""One Engine.IO session at work: its machine, its receiver, what waits for it, and the transports that carry it.

It knows no aiohttp: a WebSocket is a Carrier, and a GET that waits is a future.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, Protocol

from realtime.backlog import Backlog
from realtime.connection import Handshake, Receiver
from realtime.engineio import CLOSE, NOOP, PING, PROBE_ANSWER, Action, Beat, Session, State, Via
from realtime.frames import Outgoing, joined
from realtime.multicast import Destination
from realtime.resting import Resting
from realtime.settings import EngineSettings
from realtime.stats import RealtimeStats, count

_log = logging.getLogger("cachewire.realtime")

_PING = Outgoing.control(PING)
_NOOP = Outgoing.control(NOOP)
_CLOSE = Outgoing.control(CLOSE)
_PROBE_ANSWER = Outgoing.control(PROBE_ANSWER)

_GONE = frozenset({"client-close", "transport-close", "transport-error", "ping-timeout"})
_AT_FAULT = frozenset({"duplicate-poll", "flood", "invalid-packet", "overlapping-post", "too-large"})
_COMING_BACK = frozenset({"slow-client", "drain", "gave-way"})
_ABRUPT = _GONE | _AT_FAULT | _COMING_BACK
"""Ends after which what waits is not sent any more."""


class Carrier(Protocol):
    """A WebSocket below a session."""

    @property
    def congested(self) -> bool:
        """Its buffer is above the high-water mark."""

    @property
    def destination(self) -> Destination | None:
        """Where its bytes may go as they are; None while something of its own waits, or has to be done first."""

    def write(self, outgoing: Outgoing) -> None:
        """Send; nothing once it is closed."""

    def close(self, reason: str) -> None: ...

    def abort(self) -> None:
        """Close without a word."""

    def rest(self, until: float) -> None:
        """Read nothing until then, or until somebody wants to hear it: a hint."""

    def wake(self) -> None:
        """Read again, if it rests."""


class House(Protocol):
    """What all sessions of a server share."""

    settings: EngineSettings
    stats: RealtimeStats
    resting: Resting
    inbox: memoryview
    """What WebSockets read into, one after the other: asyncio would make, and unmap, 256 KiB for each read."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    def beat_changed(self, session: EngineSession) -> None: ...

    def entered(self, session: EngineSession) -> None: ...

    def ended(self, session: EngineSession, reason: str) -> None: ...

    def connected(self, carrier: Carrier) -> None: ...

    def disconnected(self, carrier: Carrier) -> None: ...


class EngineSession:
    """A Connection. Whatever calls come in whatever order, `closed` reaches the receiver exactly once.

    What is sent to hundreds of sessions goes through `send` of each, so that is the very function that has to be
    called: the WebSocket's `write` while it takes bytes, else one that lets it wait, or after the end drops it.
    """

    __slots__ = (
        "_backlog",
        "_candidate",
        "_farewell",
        "_free_at",
        "_house",
        "_poll",
        "_receiver",
        "_socket",
        "handshake",
        "is_posting",
        "machine",
        "send",
    )

    def __init__(self, house: House, machine: Session, handshake: Handshake, socket: Carrier | None) -> None:
        self.machine = machine
        self.handshake = handshake
        self._house = house
        self._receiver: Receiver | None = None
        self._socket = socket
        self._candidate: Carrier | None = None
        self._poll: asyncio.Future[None] | None = None
        self._backlog: Backlog | None = None
        self._farewell: Outgoing | None = None
        self._free_at = 0.0  # when its allowance of packets will be whole again
        self.is_posting = False
        self.send: Callable[[Outgoing], None] = self._hold

    @property
    def sid(self) -> str:
        return self.machine.sid

    @property
    def transport(self) -> Literal["polling", "websocket"]:
        return "polling" if self._socket is None else "websocket"

    @property
    def round_trip(self) -> float | None:
        return self.machine.round_trip

    @property
    def is_open(self) -> bool:
        return self.machine.state is not State.CLOSED

    @property
    def queued(self) -> int:
        """Bytes that wait because the client does not fetch or read them."""
        return 0 if self._backlog is None else self._backlog.size

    @property
    def destination(self) -> Destination | None:
        socket = self._socket
        return None if socket is None or self.send != socket.write else socket.destination

    def open(self, opened: Callable[[EngineSession], Receiver]) -> None:
        """Introduce the session to the layer above."""
        try:
            self._receiver = opened(self)
        except Exception:
            _log.exception("a session could not be opened")
            self.close("internal")

    def entered(self) -> None:
        if self.is_open:
            self._house.entered(self)

    def close(self, reason: str = "server-close") -> None:
        if self.machine.state is State.CLOSED:
            return
        self.machine.close()
        house = self._house
        count(house.stats.sessions_closed, reason)
        if self._candidate is not None:
            self._candidate.close(reason)
            self._candidate = None
        if self._socket is not None:
            if reason not in _ABRUPT:
                self._flush(self._socket, whole=True)
            self._socket.close(reason)
            self._backlog = None
        elif reason in _ABRUPT and self._poll is None:
            self._backlog = None
        elif reason not in _ABRUPT or self._backlog is None:
            self._farewell = _NOOP if reason == "client-close" else _CLOSE
        self.send = _drop
        self._release_poll()
        house.ended(self, reason)
        house.loop.call_soon(self._tell_closed, reason)

    def rest(self, until: float) -> None:
        if self._socket is not None and not self.machine.awaits_pong:  # a pong that is read late is a slow network
            self._socket.rest(until)

    # What arrives

    def arrived(self, packet: str | bytes, via: Via) -> bool:
        """Act on one packet; False when it was none that the session may get."""
        house = self._house
        house.stats.packets_in += 1
        now = house.loop.time()
        # A token bucket in one number, written out because every packet comes through here, whatever it says. What is
        # read as JSON costs by its length and brackets; the last one may cost more than what is left.
        per_second, burst = house.settings.packets
        free_at = self._free_at
        if free_at < now:
            free_at = now
        if (free_at - now) * per_second > burst - 0.5:
            self.flooded()
            return False
        length = len(packet)
        self._free_at = free_at + (1 if length < 1024 or isinstance(packet, bytes) else _cost(packet)) / per_second
        if self.machine.carries(packet, via):
            self._deliver(packet)
            return True
        action = self.machine.receive(packet, via, now)
        if action is Action.DELIVER:
            self._deliver(packet)
        elif action is Action.PONGED:
            house.stats.round_trip(self.machine.round_trip or 0.0)
            house.beat_changed(self)
        elif action is Action.END:
            self.close("client-close")
        elif action is Action.REFUSE:
            count(house.stats.invalid, "packet")
            self.close("invalid-packet")
            return False
        elif action is not Action.IGNORE:
            self._upgrade(action)
        return True

    def spend(self, packets: float) -> None:
        """Something else that costs like so many packets has come: fragments."""
        now = self._house.loop.time()
        per_second, burst = self._house.settings.packets
        self._free_at = max(self._free_at, now) + packets / per_second
        if (self._free_at - now) * per_second > burst:
            self.flooded("fragments")

    def flooded(self, limit: str = "packets") -> None:
        """More came than one client may send."""
        if self.machine.state is not State.CLOSED:
            count(self._house.stats.rate_limited, limit)
            self.close("flood")

    def _deliver(self, packet: str | bytes) -> None:
        if self._receiver is None:
            return
        try:
            self._receiver.received(packet[1:] if isinstance(packet, str) else packet)
        except Exception:
            _log.exception("a message could not be handled; its session ends")
            self.close("internal")

    # Time

    def beat(self, now: float) -> None:
        """Do what the heartbeat asks for by `now`: send a ping, or end a session that owes its pong."""
        due = self.machine.beat(now)
        if due is Beat.LATE:
            self.close("ping-timeout")
        elif due is Beat.PING:
            if self._socket is not None:
                self._socket.write(_PING)
                self._socket.wake()
            else:
                self._hold(_PING)
            self._house.beat_changed(self)

    # Long-polling

    @property
    def is_polled(self) -> bool:
        """A GET is waiting."""
        return self._poll is not None

    async def wait(self) -> None:
        """Wait until there is something for a GET. Whoever gives up waiting gives up the session."""
        if self._backlog is not None or self._farewell is not None or self.machine.state is State.PROBED:
            return
        self._poll = self._house.loop.create_future()
        try:
            await self._poll
        except asyncio.CancelledError:
            self.close("transport-error")
            raise
        finally:
            self._poll = None

    def payload(self) -> bytes:
        """What waits, as the answer to a GET; a noop when nothing does.

        The end is told alone: a client acts on it at once, and only afterwards on the messages beside it.
        """
        outgoing = []
        while self._socket is None and self._backlog is not None:
            outgoing.append(self._take(self._backlog))
        if not outgoing:
            outgoing.append(self._farewell or _NOOP)
            self._farewell = None
        payload = joined([item.payload for item in outgoing])
        self._house.stats.packets_out += sum(item.count for item in outgoing)
        self._house.stats.bytes_out += len(payload)
        return payload

    @property
    def has_last_words(self) -> bool:
        """Closed by us, and the client has yet to fetch what was sent before, or the end itself."""
        return self._farewell is not None and (self._poll is None or self._backlog is not None)

    def _release_poll(self) -> None:
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)

    # WebSocket

    def probe(self, candidate: Carrier) -> bool:
        """A WebSocket wants to take the session over; False when it cannot."""
        if not self.machine.probe():
            return False
        self._candidate = candidate
        return True

    def is_candidate(self, carrier: Carrier) -> bool:
        return carrier is self._candidate

    def lost(self, carrier: Carrier, reason: str) -> None:
        """A WebSocket has ended, or is about to, for `reason`."""
        if carrier is self._socket:
            self.close(reason)
        elif carrier is self._candidate:
            self._candidate = None
            self.machine.abandon()

    def congested(self, carrier: Carrier) -> None:
        """A WebSocket takes no more bytes for now."""
        if carrier is self._socket and self.is_open:
            self.send = self._hold

    def resumed(self, carrier: Carrier) -> None:
        """A WebSocket takes bytes, again or for the first time."""
        if carrier is self._socket:
            self._flush(carrier)

    def _upgrade(self, action: Action) -> None:
        candidate = self._candidate
        assert candidate is not None, "the machine has a candidate only while we have"
        if action is Action.ANSWER_PROBE:
            candidate.write(_PROBE_ANSWER)
            self._release_poll()
        elif action is Action.COMPLETE_UPGRADE:
            self._candidate, self._socket = None, candidate
            self._release_poll()
            self._flush(candidate)
        else:
            self._candidate = None
            count(self._house.stats.invalid, "upgrade")
            candidate.close("invalid-packet")

    # What waits

    def _hold(self, outgoing: Outgoing) -> None:
        if not outgoing.count:
            return
        if self._backlog is None:
            self._backlog = Backlog(self._house.settings.max_queue, self._house.stats.queue_drops)
        if not self._backlog.add(outgoing):
            count(self._house.stats.queue_drops, "slow-client")
            self.close("slow-client")
        elif self._socket is None:
            self._release_poll()

    def _flush(self, socket: Carrier, *, whole: bool = False) -> None:
        while self._backlog is not None and (whole or not socket.congested):
            socket.write(self._take(self._backlog))
        if self._backlog is None and not socket.congested:
            self.send = socket.write

    def _take(self, backlog: Backlog) -> Outgoing:
        outgoing = backlog.take()
        if not backlog:
            self._backlog = None
        return outgoing

    def _tell_closed(self, reason: str) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.closed(reason)


def _cost(text: str) -> int:
    """What a long text counts for; each bracket in it is an object to make and to walk."""
    return 1 + (len(text) >> 12) + (text.count("[") + text.count("{") >> 6)


def _drop(outgoing: Outgoing) -> None:
    """The session has ended."""
