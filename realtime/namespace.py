"""A namespace: an application's handlers, the clients that are in it, and the rooms they are in.

A broadcast is encoded once; every member's connection gets the same object. With recovery on, what a client may miss
carries its offset as one more argument and is kept (see recovery.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from realtime import socketio
from realtime.addresses import place_of
from realtime.frames import Outgoing
from realtime.handlers import Handlers
from realtime.room import Room
from realtime.socket import Absent, Sink, Socket, Waiting
from realtime.socketio import Message

if TYPE_CHECKING:
    from realtime.hub import Hub
    from realtime.peer import Peer
    from realtime.recovery import Recovery
    from realtime.remembered import Session

Function = TypeVar("Function", bound=Callable[..., Any])

_NOBODY: Mapping[Socket, Sink] = MappingProxyType({})


class Refused(Exception):
    """Raised by a connect handler: the client gets CONNECT_ERROR with this message and data."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Namespace(Handlers):
    """`sockets` are all its clients by id, also those whose connect handler is still at work."""

    def __init__(self, name: str, hub: Hub) -> None:
        super().__init__(name, hub)
        self._sockets: dict[str, Socket] = {}
        self._everyone = Room(hub.stats)
        self._rooms: dict[str, Room] = {}
        self._recovery = hub.recovery(name)
        self.sockets: Mapping[str, Socket] = MappingProxyType(self._sockets)

    def emit(
        self,
        rooms: str | Iterable[str] | None,
        event: str,
        *args: Any,
        skip: str | Collection[str] = (),
        volatile: bool = False,
        conflate: str | None = None,
    ) -> int:
        """Send an event to everyone in `rooms` (None: in the namespace) once, except the ids in `skip`.

        Returns to how many it was given. A client's own id is a room too. Raises ValueError and TypeError as JSON does.
        """
        prepared = self.prepare(rooms, event, *args, skip=skip, volatile=volatile, conflate=conflate)
        return 0 if prepared is None else prepared.send()

    def prepare(
        self,
        rooms: str | Iterable[str] | None,
        event: str,
        *args: Any,
        skip: str | Collection[str] = (),
        volatile: bool = False,
        conflate: str | None = None,
    ) -> Prepared | None:
        """The first half of `emit`: the event, encoded and kept, to be sent before anything else is said here.

        None where nobody is to get it. Raises as `emit` does.
        """
        names = None if rooms is None else (rooms,) if isinstance(rooms, str) else tuple(dict.fromkeys(rooms))
        skip = (skip,) if isinstance(skip, str) else skip
        room = self._everyone if names is None else self._rooms.get(names[0]) if len(names) == 1 else None
        sinks = room.sinks if room is not None else self._sinks(names or ())
        if not sinks and (volatile or self._recovery is None or not self._recovery.wanted(names)):
            return None
        return Prepared(room, sinks, skip, self._outgoing(names, event, args, skip, volatile, conflate))

    def reaches(self, room: str) -> bool:
        """Whether anybody, here or away, would get what is sent to `room` now."""
        return room in self._rooms or (self._recovery is not None and self._recovery.wanted((room,)))

    def members(self, room: str) -> Collection[Socket]:
        """Those who are in `room` now."""
        return (_NOBODY if (found := self._rooms.get(room)) is None else found.sinks).keys()

    def absent(self, room: str) -> list[Absent]:
        """Those who were in `room` and may return."""
        return [] if self._recovery is None else [Absent(self, session) for session in self._recovery.away_in(room)]

    def restored(self, seconds: float) -> list[Absent]:
        """Right after a start: those who were here when the process before ended, or in the last `seconds` of it."""
        return [] if self._recovery is None else [Absent(self, it) for it in self._recovery.lost_last(seconds)]

    # For sockets and peers

    def is_away(self, session: Session) -> bool:
        return self._recovery is not None and self._recovery.is_away(session)

    def emit_to(self, socket: Socket, event: str, args: tuple[Any, ...], volatile: bool, conflate: str | None) -> None:
        if socket.peer is not None:
            socket.sink.send(self._outgoing((socket.id,), event, args, (), volatile, conflate))

    def question(self, event: str, args: tuple[Any, ...]) -> tuple[int, tuple[Message, ...]]:
        """The number and the messages of an event that wants an answer."""
        _speakable(event)
        number = self._hub.next_question()
        return number, socketio.event(self.name, [event, *args], number)

    def join(self, socket: Socket, room: str) -> None:
        if self._recovery is not None and socket.session is not None:
            self._recovery.join(socket.session, room)
            self._hub.note_within()
        else:
            socket._rooms[room] = 0
        self._enter(room, socket)

    def leave(self, socket: Socket, room: str, before: float | None = None) -> None:
        self._unlist(socket, room)
        if self._recovery is not None and socket.session is not None:
            self._recovery.leave(socket.session, room, before)
            self._hub.note_soon()
        else:
            del socket._rooms[room]

    def admit(self, peer: Peer, auth: dict[str, Any] | None) -> None:
        """Answer a CONNECT: ask the application, then let the client in or not."""
        pid = auth.get("pid") if auth else None
        session = self._recovery.find(pid, self._hub.now()) if self._recovery is not None and pid is not None else None
        if session is None or self._returning is None:
            self._let_in(peer, auth)
            return
        self._displace(session.id)
        try:
            decision = self._returning(Absent(self, session, peer.connection), (auth,))
        except Exception as error:
            self._cannot_return(session, error)
            decision = None
        if inspect.isawaitable(decision):
            self._hub.spawn(self._let_in_after(decision, session, peer, auth))
            peer.hold()
        else:
            self._let_in(peer, auth)

    def _let_in(self, peer: Peer, auth: dict[str, Any] | None) -> None:
        socket, auth = self._enlist(peer, auth)
        try:
            result = self.welcome(socket, auth)
        except Exception as error:
            self._refuse(socket, error)
            return
        if inspect.isawaitable(result):
            self._hub.spawn(self._decide(socket, result))
            peer.hold()
        else:
            self.accept(socket)

    def accept(self, socket: Socket) -> None:
        """The application lets the client in: it gets its answer, and then whatever waits for it."""
        waiting, peer = socket.sink, socket.peer
        if not isinstance(waiting, Waiting):
            return  # its connect handler has thrown it out before it ended
        if peer is None or peer.ended:
            socket.sink = socket.connection
            self._forget(socket, may_return=True)
            self.farewell(socket, "connection-lost")
            return
        if peer.is_leaving(self.name):
            socket.sink = socket.connection
            self.part(socket, "client-disconnect", may_return=False)
            return
        peer.enter(self.name, socket)
        connection = peer.connection
        payload = {"sid": socket.id} if socket.session is None else {"sid": socket.id, "pid": socket.session.pid}
        connection.send(Outgoing((socketio.connected(self.name, payload),)))
        socket.sink = connection
        self._everyone.put(socket, connection)
        for room in socket.rooms:
            self._rooms[room].put(socket, connection)
        for outgoing in waiting.queue:
            connection.send(outgoing)
        if socket.data:
            self.handled(socket)
        self._hub.note_within()
        self._hub.note_newcomers()

    def part(self, socket: Socket, reason: str, *, may_return: bool) -> None:
        """A client has ended, or is ended: out of all rooms, and the application told."""
        peer = socket.peer
        if peer is None:
            return
        peer.part(self.name)
        self._forget(socket, may_return=may_return)
        self.farewell(socket, reason)

    def touch(self, socket: Socket) -> None:
        """The data of this client has changed outside of its handlers: keep it for its return."""
        if self._recovery is not None and socket.session is not None:
            self._recovery.touch(socket.session)
            self._hub.note_soon()

    def commit(self, socket: Socket) -> None:
        if self._recovery is not None and socket.session is not None and socket.session.recorded:
            self._recovery.touch(socket.session)
            self._hub.note_now()

    def handled(self, socket: Socket) -> None:
        if self._recovery is not None and socket.session is not None:
            self._recovery.touch(socket.session)
            self._hub.note_within()

    def note(self) -> None:
        """Bring the records of changed clients up to date, for a restart."""
        recovery = self._recovery
        for session in list(recovery.changed.values()) if recovery is not None else ():
            self._note(session, self._sockets.get(session.id))

    # Details

    def _enlist(self, peer: Peer, auth: dict[str, Any] | None) -> tuple[Socket, dict[str, Any] | None]:
        """A socket for a CONNECT, in its rooms if it recovers, and the payload without what only libraries tell."""
        if self._recovery is None:
            socket = Socket(self._hub.new_id(), self, peer, None)
        else:
            pid = auth.get("pid") if auth else None
            found = None if pid is None else self._returned(peer, pid, (auth or {}).get("offset"))
            socket = found or self._arriving(peer)
            if pid is not None:
                auth = {key: value for key, value in (auth or {}).items() if key not in ("pid", "offset")} or None
        self._sockets[socket.id] = socket
        self._everyone.put(socket, socket.sink)
        return socket, auth

    def _arriving(self, peer: Peer) -> Socket:
        assert self._recovery is not None
        session = self._recovery.begin(self._hub.new_id(), self._hub.new_id())
        return Socket(session.id, self, peer, session)

    async def _let_in_after(
        self, decision: Awaitable[Any], session: Session, peer: Peer, auth: dict[str, Any] | None
    ) -> None:
        try:
            await decision
        except Exception as error:
            self._cannot_return(session, error)
        if not peer.ended:
            self._let_in(peer, auth)

    def _cannot_return(self, session: Session, error: Exception) -> None:
        """What it may have is not known: it begins anew."""
        self._hub.failed("return", error)
        if self.is_away(session):
            assert self._recovery is not None
            self._recovery.end(session)

    def _returned(self, peer: Peer, pid: object, offset: object) -> Socket | None:
        """The socket of a client that was here, what it missed waiting for it: all this in one step, so that
        whatever is sent from now on comes after. None: it is not known (any more).
        """
        assert self._recovery is not None
        session = self._recovery.find(pid, self._hub.now())
        if session is not None:
            self._displace(session.id)
        away_since = None if session is None else session.gone_at
        missed = None if session is None else self._recovery.resume(session, offset)
        if session is None or missed is None:
            self._hub.stats.recovery_failed += 1
            return None
        self._hub.stats.recovered += 1
        socket = Socket(session.id, self, peer, session)
        socket.restore(session.data)
        socket.away_since = away_since
        for room in session.rooms:
            self._enter(room, socket)
        for kept in missed:
            socket.sink.send(kept.outgoing)
        return socket

    def _displace(self, id: str) -> None:  # noqa: A002 - the protocol's word
        """A client is back before its former connection was found dead."""
        former = self._sockets.get(id)
        if former is None or former.peer is None:
            return
        former.peer.connection.close("replaced")
        if isinstance(former.sink, Waiting):
            self._forget(former, may_return=True)  # the end of its connect handler says goodbye
        else:
            self.part(former, "replaced", may_return=True)

    def _outgoing(
        self,
        rooms: tuple[str, ...] | None,
        event: str,
        args: tuple[Any, ...],
        skip: Collection[str],
        volatile: bool,
        conflate: str | None,
    ) -> Outgoing:
        """The event, encoded, and kept for those who may miss it."""
        _speakable(event)
        recovery = self._recovery
        data: list[Any] = [event, *args]
        if recovery is not None and not volatile:
            data.append(recovery.next_offset())
        elif recovery is not None and isinstance(data[-1], str):
            # The client takes any last argument that is text for an offset: let it be one.
            data.append(recovery.offset())
        messages = socketio.event(self.name, data)
        outgoing = Outgoing(messages, conflate=conflate, volatile=volatile)
        if recovery is not None and not volatile:
            recovery.keep(rooms, messages, outgoing, self._hub.now(), tuple(skip))
        return outgoing

    def _note(self, session: Session, socket: Socket | None) -> None:
        assert self._recovery is not None
        try:
            self._recovery.settle(session, None if socket is None else socket.data_as_json())
        except (TypeError, ValueError) as error:
            self._hub.failed("data", error)
            self._recovery.end(session)

    def _sinks(self, rooms: tuple[str, ...]) -> Mapping[Socket, Sink]:
        together: dict[Socket, Sink] = {}
        for room in rooms:
            found = self._rooms.get(room)
            together.update(self._own(room) if found is None else found.sinks)
        return together

    def _own(self, room: str) -> Mapping[Socket, Sink]:
        """Everybody is alone in a room of the name of their id, without it being kept anywhere."""
        socket = self._sockets.get(room)
        return _NOBODY if socket is None else {socket: socket.sink}

    async def _decide(self, socket: Socket, result: Awaitable[Any]) -> None:
        try:
            await result
        except Exception as error:
            self._refuse(socket, error)
        else:
            self.accept(socket)

    def _refuse(self, socket: Socket, error: Exception) -> None:
        answer = self._refusal(error)
        peer = socket.peer
        self._forget(socket, may_return=False)
        if peer is not None and not peer.ended:
            if not peer.is_leaving(self.name):
                peer.connection.send(Outgoing((answer,)))
            peer.leave(self.name)

    def _refusal(self, error: Exception) -> str:
        if isinstance(error, Refused):
            try:
                return socketio.refused(self.name, error.message, error.data)
            except (TypeError, ValueError) as unspeakable:
                error = unspeakable
        self._hub.failed("connect", error)
        return socketio.refused(self.name, "Internal error")

    def _forget(self, socket: Socket, *, may_return: bool) -> None:
        if self._sockets.get(socket.id) is socket:
            del self._sockets[socket.id]
            if self._recovery is not None and socket.session is not None:
                self._lose(self._recovery, socket.session, socket, may_return)
        self._everyone.remove(socket)
        for room in socket.rooms:
            self._unlist(socket, room)
        socket.end()

    def _lose(self, recovery: Recovery, session: Session, socket: Socket, may_return: bool) -> None:
        if not may_return:
            recovery.end(session)
            return
        place = place_of(socket.handshake.peer)
        recovery.lose(session, self._hub.now(), place, has_data=socket.has_data)
        self._note(session, socket)

    def _unlist(self, socket: Socket, room: str) -> None:
        found = self._rooms.get(room)
        if found is not None:
            found.remove(socket)
            if not found.sinks:
                del self._rooms[room]

    def _enter(self, room: str, socket: Socket) -> None:
        found = self._rooms.get(room)
        if found is None:
            found = self._rooms[room] = Room(self._hub.stats)
        found.put(socket, socket.sink)


class Prepared:
    """An event on its way."""

    __slots__ = ("_outgoing", "_room", "_sinks", "_skip")

    def __init__(
        self, room: Room | None, sinks: Mapping[Socket, Sink], skip: Collection[str], outgoing: Outgoing
    ) -> None:
        self._room = room
        self._sinks = sinks
        self._skip = skip
        self._outgoing = outgoing

    def send(self) -> int:
        """Send it, once; to how many."""
        if self._room is not None and not self._skip:
            return self._room.send(self._outgoing)
        # A copy, because a connection may end while it is written to and then leaves the room.
        sends = [sink.send for socket, sink in self._sinks.items() if socket.id not in self._skip]
        for send in sends:
            send(self._outgoing)
        return len(sends)


def _speakable(event: str) -> None:
    if event in socketio.RESERVED:
        raise ValueError(f"{event!r} is a word of the protocol's and cannot be sent")
