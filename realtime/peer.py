"""What stands above one Engine.IO session: its Socket.IO packets go to the namespaces it is in.

Packets are taken in order. When an application answers one with a coroutine, those behind it wait until the
coroutine has begun, so that what a client sent first also starts first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from realtime.frames import Outgoing
from realtime.limits import TokenBucket
from realtime.socket import Socket
from realtime.socketio import (
    TOO_LARGE,
    Client,
    ConnectedTwice,
    Kind,
    Malformed,
    Message,
    NotConnected,
    Packet,
    refused,
)
from realtime.stats import count

if TYPE_CHECKING:
    from realtime.connection import Connection
    from realtime.hub import Hub


class Peer(Client[Socket]):
    """The Receiver of one connection. `ended` is true from the moment on when nothing more is taken from it."""

    __slots__ = (
        "_closing",
        "_connects",
        "_deferred",
        "_doubts",
        "_hub",
        "_leaving",
        "_parted",
        "_strays",
        "_timer",
        "_waiting",
        "connection",
        "ended",
        "length",
    )

    def __init__(self, connection: Connection, hub: Hub) -> None:
        super().__init__()
        self.connection = connection
        self.ended = False
        self._hub = hub
        self._connects = TokenBucket(hub.settings.connects, hub.now())
        self._doubts: dict[str, asyncio.TimerHandle] | None = None  # whether the answer to a CONNECT was taken
        self._leaving: set[str] | None = None  # namespaces that are left before their CONNECT is answered
        self._deferred: deque[Message] | None = None
        self._closing: str | None = None
        self._strays: TokenBucket | None = None  # acknowledgements that nobody waits for
        self.length = 0  # of the message at hand
        self._parted: dict[str, float] | None = None  # namespaces that were left, and when
        self._waiting: asyncio.TimerHandle | None = None  # for attachments
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            hub.settings.connect_timeout, self._unconnected
        )

    def received(self, message: Message) -> None:
        """One message of the client's."""
        if self._deferred is not None:
            self._deferred.append(message)
        elif not self.ended:
            self._take(message)

    def closed(self, reason: str) -> None:
        """The connection is no more; what came before its end is handled first."""
        if self._deferred is not None:
            self._closing = reason
        else:
            self._end(reason)

    def hold(self) -> None:
        """A coroutine has been scheduled: what follows is taken after its first step."""
        if self._deferred is None:
            self._deferred = deque()
            asyncio.get_running_loop().call_soon(self._release)

    def enter(self, namespace: str, occupant: Socket) -> None:
        super().enter(namespace, occupant)
        occupant.answered_at = self._hub.now()
        self._settled()
        self.connection.entered()

    def leave(self, namespace: str) -> None:
        super().leave(namespace)
        self._stay(namespace)
        self._no_doubt(namespace)

    def is_leaving(self, namespace: str) -> bool:
        """The client has left before its CONNECT was answered: it is to get no answer."""
        return self._leaving is not None and namespace in self._leaving

    def part(self, namespace: str) -> None:
        """Either side has ended it; what the client had sent before it knew may still come."""
        self.leave(namespace)
        parted = self._parted = {} if self._parted is None else self._parted
        parted[namespace] = self._hub.now()

    def _release(self) -> None:
        waiting, self._deferred = self._deferred or deque(), None
        while waiting and not self.ended:
            self._take(waiting.popleft())
            if self._deferred is not None:
                # Another coroutine was scheduled; nothing can have come in between.
                self._deferred = waiting
                return
        if self._closing is not None:
            self._end(self._closing)

    def _take(self, message: Message) -> None:
        settings = self._hub.settings
        self.length = len(message)
        try:
            packet = self.receive(message, settings.max_attachments, settings.max_attached)
        except Malformed as error:
            self._malformed(error)
            return
        if packet is None:
            self._await_attachments()
            return
        if self._waiting is not None:
            self._forget_attachments()
        self._handle(packet)

    def _malformed(self, error: Malformed) -> None:
        if isinstance(error, NotConnected) and self._has_just_left(error.namespace):
            count(self._hub.stats.invalid, "namespace-left")
            self._forget_attachments()
        elif isinstance(error, ConnectedTwice):
            self._repeated(error.packet)
        elif error.reason == TOO_LARGE:
            count(self._hub.stats.invalid, error.reason)
            self._end_with("too-large")
        else:
            self._break(error.reason)

    def _has_just_left(self, namespace: str) -> bool:
        left_at = (self._parted or {}).get(namespace)
        return left_at is not None and self._hub.now() - left_at < self._hub.settings.parting

    def _await_attachments(self) -> None:
        if self._waiting is None:
            patience = self._hub.settings.attachments_timeout
            self._waiting = asyncio.get_running_loop().call_later(patience, self._break, "attachments-late")

    def _handle(self, packet: Packet) -> None:
        kind = packet.kind
        if kind is Kind.CONNECT:
            if self._may_connect():
                self._connect(packet)
            return
        if self._doubts:
            self._no_doubt(packet.namespace)
        socket = self.namespaces[packet.namespace]
        if socket is None:
            # Nothing but a DISCONNECT comes through here; what is at work on the answer will find it.
            self._leaving = {packet.namespace, *(self._leaving or ())}
        elif kind is Kind.EVENT:
            socket.namespace.dispatch(socket, packet)
        elif kind is Kind.DISCONNECT:
            socket.namespace.part(socket, "client-disconnect", may_return=False)
        elif not socket.acknowledged(packet.id or 0, packet.data):
            self._stray()

    def _stray(self) -> None:
        """An acknowledgement that is late, or for a question asked over an earlier connection: nobody waits for it."""
        count(self._hub.stats.invalid, "ack-unexpected")
        now = self._hub.now()
        if self._strays is None:
            self._strays = TokenBucket(self._hub.settings.acks, now)
        if not self._strays.allow(now, 1 + self.length // 1024):
            count(self._hub.stats.rate_limited, "acks")
            self._end_with("flood")

    def _connect(self, packet: Packet) -> None:
        namespace = self._hub.namespaces.get(packet.namespace)
        if namespace is not None:
            namespace.admit(self, packet.data)
            return
        self.leave(packet.namespace)
        count(self._hub.stats.invalid, "namespace-unknown")
        self.connection.send(Outgoing((refused(packet.namespace, "Invalid namespace"),)))

    def _may_connect(self) -> bool:
        allowed = self._connects.allow(self._hub.now())
        if not allowed:
            # Each costs an application's welcome and a record of the journal, or an answer.
            count(self._hub.stats.rate_limited, "connects")
            self._end_with("flood")
        return allowed

    def _repeated(self, packet: Packet) -> None:
        """A CONNECT for where the client is, or is about to be. The usual library leaves without a word while it has
        no answer, so who connects, leaves and connects again in one go asks twice, and one answer is for both.
        """
        name, settings = packet.namespace, self._hub.settings
        socket = self.namespaces[name]
        if socket is not None and self._hub.now() - socket.answered_at >= settings.connect_timeout:
            self._break("connected-twice")
            return
        count(self._hub.stats.invalid, "connect-repeated")
        if not self._may_connect():
            return
        if socket is None:
            self._stay(name)
            return
        # Did it ask before the answer came, or was it away then, and waits for another? Who has it will speak.
        self._no_doubt(name)
        doubts = self._doubts = {} if self._doubts is None else self._doubts
        doubts[name] = asyncio.get_running_loop().call_later(settings.crossing, self._again, socket, packet)

    def _again(self, socket: Socket, packet: Packet) -> None:
        """The client was away when its answer came: what it left it left, and it is let in anew."""
        session = socket.session
        if session is not None and (packet.data or {}).get("pid") == session.pid:
            socket.namespace.part(socket, "replaced", may_return=True)
        else:
            socket.namespace.part(socket, "client-disconnect", may_return=False)
        self.namespaces[packet.namespace] = None
        self._connect(packet)

    def _no_doubt(self, namespace: str) -> None:
        doubt = self._doubts.pop(namespace, None) if self._doubts else None
        if doubt is not None:
            doubt.cancel()

    def _stay(self, namespace: str) -> None:
        if self._leaving is not None:
            self._leaving.discard(namespace)

    def _break(self, reason: str) -> None:
        count(self._hub.stats.invalid, reason)
        self._end_with("parse-error")

    def _end_with(self, reason: str) -> None:
        self.ended = True
        self.connection.close(reason)

    def _unconnected(self) -> None:
        self._timer = None
        self._end_with("connect-timeout")

    def _settled(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget_attachments(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self, reason: str) -> None:
        # Who broke the protocol does not get its state back: the next packet would break it again.
        may_return = not self.ended
        self.ended = True
        self._settled()
        self._forget_attachments()
        for socket in list(self.namespaces.values()):
            if socket is not None:
                socket.namespace.part(socket, reason, may_return=may_return)
        self.namespaces.clear()
        self._hub.peers.discard(self)
