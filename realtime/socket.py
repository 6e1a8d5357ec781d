"""A client in a namespace, as an application sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Set
from typing import TYPE_CHECKING, Any, Protocol

from realtime import socketio
from realtime.frames import Outgoing
from realtime.multicast import Destination

if TYPE_CHECKING:
    from realtime.connection import Connection, Handshake
    from realtime.namespace import Namespace
    from realtime.peer import Peer
    from realtime.remembered import Session


class Disconnected(Exception):
    """The client is no longer there to answer."""


class Sink(Protocol):
    """Where packets for a client go: its connection, or a place to wait."""

    def send(self, outgoing: Outgoing) -> None: ...

    @property
    def destination(self) -> Destination | None:
        """As a Connection's."""


class Waiting:
    """Stands in for a connection until its CONNECT is answered: nothing may overtake that answer."""

    __slots__ = ("queue",)

    destination: Destination | None = None

    def __init__(self) -> None:
        self.queue: list[Outgoing] = []

    def send(self, outgoing: Outgoing) -> None:
        self.queue.append(outgoing)


class Socket:
    """One client in one namespace, from its CONNECT until either side ends it.

    `id` is public, and the same again after a recovery. `recovered` says that this client was here before, that its
    rooms and `data` are back and that what it missed is on its way.
    """

    __slots__ = (
        "_acks",
        "_connection",
        "_data",
        "_rooms",
        "answered_at",
        "away_since",
        "id",
        "namespace",
        "peer",
        "recovered",
        "session",
        "sink",
    )

    def __init__(self, id: str, namespace: Namespace, peer: Peer, session: Session | None) -> None:  # noqa: A002
        self.id = id
        self.namespace = namespace
        self.recovered = False
        self.away_since: float | None = None
        """When it was lost, if it has recovered."""
        self.peer: Peer | None = peer
        """None once this socket has ended."""
        self.answered_at = 0.0
        """When its CONNECT was answered with yes."""
        self.sink: Sink = Waiting()
        self._connection = peer.connection
        self.session = session
        """What it is for recovery; None where nobody recovers."""
        self._rooms: dict[str, int] = {} if session is None else session.rooms
        self._data: dict[str, Any] | None = None
        self._acks: dict[int, asyncio.Future[list[Any]]] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """The application's own, of what JSON can say; it survives a recovery."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._data = data
        self.touch()

    @property
    def rooms(self) -> Set[str]:
        """The rooms it is in; after the end those it was in."""
        return self._rooms.keys()

    @property
    def handshake(self) -> Handshake:
        """The request that began its connection; after a recovery that of the connection it came back over."""
        return self._connection.handshake

    @property
    def connection(self) -> Connection:
        return self._connection

    def emit(self, event: str, *args: Any, volatile: bool = False, conflate: str | None = None) -> None:
        """Send an event to this client; kept for its return unless `volatile`.

        Never waits. Raises ValueError and TypeError as JSON does. Of those that wait with the same `conflate` key
        only the latest is sent.
        """
        self.namespace.emit_to(self, event, args, volatile, conflate)

    async def call(self, event: str, *args: Any, timeout: float = 5.0) -> list[Any]:
        """Send an event and wait for the arguments of its acknowledgement. Not kept for a client's return.

        Raises TimeoutError after `timeout` seconds and Disconnected when the client has ended.
        """
        if self.peer is None:
            raise Disconnected(self.id)
        number, messages = self.namespace.question(event, args)
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        acks = self._acks = {} if self._acks is None else self._acks
        acks[number] = answer
        try:
            self.sink.send(Outgoing(messages))
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            acks.pop(number, None)

    def join(self, room: str) -> None:
        """Be one of those who get what is sent to `room`, from now on. Nothing happens after the end."""
        if self.peer is not None and room not in self._rooms:
            self.namespace.join(self, room)

    def leave(self, room: str, before: float | None = None) -> None:
        """Be it no longer; with `before`, what was sent since that time will not be made up for either."""
        if self.peer is not None and room in self._rooms:
            self.namespace.leave(self, room, before)

    def touch(self) -> None:
        """Its data has changed outside of its handlers: keep it for its return."""
        self.namespace.touch(self)

    def commit(self) -> None:
        """Keep what it has gained before it is told, or a crash has it return without that and it does not know."""
        self.namespace.commit(self)

    def disconnect(self, close: bool = False) -> None:
        """Throw the client out; with `close` out of all namespaces, and end its connection. It is not to return."""
        peer = self.peer
        if peer is None:
            return
        if isinstance(self.sink, Waiting):
            self.namespace.accept(self)  # one cannot be thrown out of where one has not been let in
        if self.peer is not None:
            self.sink.send(Outgoing((socketio.disconnected(self.namespace.name),)))
            self.namespace.part(self, "server-disconnect", may_return=False)
        if close:
            for other in [socket for socket in peer.namespaces.values() if socket is not None]:
                other.disconnect()  # who is not told so comes back to it
            peer.connection.close("server-disconnect")

    # For the namespace

    def acknowledged(self, number: int, arguments: list[Any]) -> bool:
        """An answer has come; whether somebody was waiting for it."""
        answer = self._acks.get(number) if self._acks else None
        if answer is None or answer.done():
            return False
        answer.set_result(arguments)
        return True

    def restore(self, data: str) -> None:
        """Begin with the `data_as_json` of a former socket of the same client."""
        self.recovered = True
        self._data = json.loads(data) or None

    @property
    def has_data(self) -> bool:
        return bool(self._data)

    @property
    def has_had_data(self) -> bool:
        """Whether there is anything in `data`, or may have been: a handler that empties it changes it as well."""
        return self._data is not None

    def data_as_json(self) -> str:
        """What is to be kept of `data`. Raises TypeError and ValueError when JSON has no word for it."""
        return json.dumps(self._data, separators=(",", ":")) if self._data else "{}"

    def end(self) -> None:
        """Nobody is there any more: those who wait for answers learn it."""
        self.peer = None
        acks, self._acks = self._acks, None
        for answer in (acks or {}).values():
            if not answer.done():
                answer.set_exception(Disconnected(self.id))


class Absent(Socket):
    """A client that is away and may return, as an application sees it: what it is told waits for it.

    With `connection` it is about to return over that one. Once it has returned, or may not any more, nothing happens.
    """

    __slots__ = ()

    def __init__(self, namespace: Namespace, session: Session, connection: Connection | None = None) -> None:
        self.id = session.id
        self.namespace = namespace
        self.peer = None
        self.sink = Waiting()
        self.session: Session = session
        self._rooms = session.rooms
        self._acks = None
        if connection is not None:
            self._connection = connection
        self.restore(session.data)

    @property
    def is_away(self) -> bool:
        return self.namespace.is_away(self.session)

    def emit(self, event: str, *args: Any, volatile: bool = False, conflate: str | None = None) -> None:
        if self.is_away and not volatile:
            self.namespace.emit(self.id, event, *args, conflate=conflate)

    def leave(self, room: str, before: float | None = None) -> None:
        if self.is_away and room in self._rooms:
            self.namespace.leave(self, room, before)

    def touch(self) -> None:
        if self.is_away:
            self.session.data = self.data_as_json()
            self.namespace.touch(self)
