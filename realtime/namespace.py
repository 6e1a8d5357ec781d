"""A namespace: an application's handlers, the clients that are in it, and the rooms they are in.

A broadcast is encoded once; every member's connection gets the same object. With recovery on, what a client may miss
carries its offset as one more argument and is kept (see recovery.py).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from realtime import socketio
from realtime.frames import Outgoing
from realtime.handlers import Handler
from realtime.socket import Sink, Socket, Waiting
from realtime.socketio import Message, Packet

if TYPE_CHECKING:
    from realtime.hub import Hub
    from realtime.peer import Peer

Function = TypeVar("Function", bound=Callable[..., Any])

_NOBODY: dict[Socket, Sink] = {}


class Refused(Exception):
    """Raised by a connect handler: the client gets CONNECT_ERROR with this message and data."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Namespace:
    """`sockets` are all its clients by id, also those whose connect handler is still at work."""

    def __init__(self, name: str, hub: Hub) -> None:
        self.name = name
        self._hub = hub
        self._handlers: dict[str, Handler] = {}
        self._fallback: Handler | None = None
        self._sockets: dict[str, Socket] = {}
        self._everyone: dict[Socket, Sink] = {}
        self._rooms: dict[str, dict[Socket, Sink]] = {}
        self.sockets: Mapping[str, Socket] = MappingProxyType(self._sockets)

    def on(self, event: str) -> Callable[[Function], Function]:
        """Decorate the handler of `event`, a plain or a coroutine function. Raises ValueError for a second one.

        It is called with the socket and the arguments that came, those missing as None. What it returns is the
        acknowledgement, if the client wants one: None is no argument, a tuple its items, anything else one argument.
        "connect" gets the CONNECT payload (or None) and may raise Refused; "disconnect" gets the reason, exactly
        once for every client that was not refused.
        """

        def register(function: Function) -> Function:
            if event in self._handlers:
                raise ValueError(f"{event!r} has a handler already")
            self._handlers[event] = Handler(function)
            return function

        return register

    def fallback(self, function: Function) -> Function:
        """Decorate what is called for events without a handler: `function(socket, event, *args)`."""
        self._fallback = Handler(function)
        return function

    def emit(
        self,
        rooms: str | Iterable[str] | None,
        event: str,
        *args: Any,
        skip: Collection[str] = (),
        volatile: bool = False,
        conflate: str | None = None,
    ) -> int:
        """Send an event to everyone in `rooms` (None: in the namespace) once, except the ids in `skip`.

        Returns to how many it was given. A client's own id is a room too. Raises ValueError and TypeError as JSON does.
        """
        if rooms is not None and not isinstance(rooms, str):
            rooms = tuple(dict.fromkeys(rooms))
        sinks = self._sinks(rooms)
        if not sinks:
            return 0
        outgoing = Outgoing(self._messages(event, args), conflate=conflate, volatile=volatile)
        # A copy, because a connection may end while it is written to and then leaves the room.
        if not skip:
            for sink in tuple(sinks.values()):
                sink.send(outgoing)
            return len(sinks)
        chosen = [sink for socket, sink in sinks.items() if socket.id not in skip]
        for sink in chosen:
            sink.send(outgoing)
        return len(chosen)

    def members(self, room: str) -> Collection[Socket]:
        """Those who are in `room` now."""
        return self._rooms.get(room, _NOBODY).keys()

    # For sockets and peers

    def emit_to(self, socket: Socket, event: str, args: tuple[Any, ...], volatile: bool, conflate: str | None) -> None:
        if socket.peer is not None:
            socket.sink.send(Outgoing(self._messages(event, args), conflate=conflate, volatile=volatile))

    def question(self, event: str, args: tuple[Any, ...]) -> tuple[int, tuple[Message, ...]]:
        """The number and the messages of an event that wants an answer."""
        number = self._hub.next_question()
        return number, socketio.event(self.name, [_name(event), *args], number)

    def join(self, socket: Socket, room: str) -> None:
        self._rooms.setdefault(room, {})[socket] = socket.sink
        socket._rooms[room] = 0

    def leave(self, socket: Socket, room: str) -> None:
        self._unlist(socket, room)
        del socket._rooms[room]

    def admit(self, peer: Peer, auth: dict[str, Any] | None) -> None:
        """Answer a CONNECT: ask the application, then let the client in or not."""
        socket = Socket(self._hub.new_id(), self, peer, {})
        self._sockets[socket.id] = socket
        self._everyone[socket] = socket.sink
        handler = self._handlers.get("connect")
        if handler is None:
            self._accept(socket)
            return
        try:
            result = handler(socket, (auth,))
        except Exception as error:
            self._refuse(socket, error)
            return
        if inspect.isawaitable(result):
            peer.hold()
            self._hub.spawn(self._decide(socket, result))
        else:
            self._accept(socket)

    def dispatch(self, socket: Socket, packet: Packet) -> None:
        """Call the handler of an event and see to its acknowledgement."""
        event, *args = packet.data
        event = str(event)
        handler = self._handlers.get(event)
        if handler is None:
            if self._fallback is None:
                self._hub.stats.events_unknown += 1
                return
            handler, args = self._fallback, packet.data
        try:
            result = handler(socket, args)
        except Exception as error:
            self._hub.failed(event, error)
            return
        if isinstance(result, asyncio.Future):
            # Chat answers thousands of messages with futures; a task for each would cost more than the message.
            result.add_done_callback(lambda done: self._settled(socket, packet.id, event, done))
        elif inspect.isawaitable(result):
            assert socket.peer is not None or packet is not None
            if socket.peer is not None:
                socket.peer.hold()
            self._hub.spawn(self._await(socket, packet.id, event, result))
        elif packet.id is not None:
            self._acknowledge(socket, packet.id, event, result)

    def part(self, socket: Socket, reason: str, *, may_return: bool) -> None:
        """A client has ended, or is ended: out of all rooms, and the application told."""
        peer = socket.peer
        if peer is None:
            return
        peer.leave(self.name)
        self._forget(socket)
        self._farewell(socket, reason)

    # Details

    def _sinks(self, rooms: str | tuple[str, ...] | None) -> Mapping[Socket, Sink]:
        if rooms is None:
            return self._everyone
        if isinstance(rooms, str):
            return self._rooms.get(rooms) or self._own(rooms)
        together: dict[Socket, Sink] = {}
        for room in rooms:
            together.update(self._rooms.get(room) or self._own(room))
        return together

    def _own(self, room: str) -> Mapping[Socket, Sink]:
        """Everybody is alone in a room of the name of their id, without it being kept anywhere."""
        socket = self._sockets.get(room)
        return _NOBODY if socket is None else {socket: socket.sink}

    def _messages(self, event: str, args: tuple[Any, ...]) -> tuple[Message, ...]:
        return socketio.event(self.name, [_name(event), *args])

    async def _decide(self, socket: Socket, result: Awaitable[Any]) -> None:
        try:
            await result
        except Exception as error:
            self._refuse(socket, error)
        else:
            self._accept(socket)

    def _accept(self, socket: Socket) -> None:
        peer = socket.peer
        if peer is None or peer.ended:
            self._forget(socket)
            self._farewell(socket, "connection-lost")
            return
        peer.enter(self.name, socket)
        connection = peer.connection
        connection.send(Outgoing((socketio.connected(self.name, {"sid": socket.id}),)))
        waiting = socket.sink
        socket.sink = self._everyone[socket] = connection
        for room in socket.rooms:
            self._rooms[room][socket] = connection
        if isinstance(waiting, Waiting):
            for outgoing in waiting.queue:
                connection.send(outgoing)

    def _refuse(self, socket: Socket, error: Exception) -> None:
        if not isinstance(error, Refused):
            self._hub.failed("connect", error)
            error = Refused("Internal error")
        peer = socket.peer
        self._forget(socket)
        if peer is not None:
            peer.leave(self.name)
            peer.connection.send(Outgoing((socketio.refused(self.name, error.message, error.data),)))

    def _forget(self, socket: Socket) -> None:
        socket.end()
        self._sockets.pop(socket.id, None)
        self._everyone.pop(socket, None)
        for room in socket.rooms:
            self._unlist(socket, room)

    def _unlist(self, socket: Socket, room: str) -> None:
        members = self._rooms.get(room)
        if members is not None:
            members.pop(socket, None)
            if not members:
                del self._rooms[room]

    def _farewell(self, socket: Socket, reason: str) -> None:
        handler = self._handlers.get("disconnect")
        if handler is None:
            return
        try:
            result = handler(socket, (reason,))
        except Exception as error:
            self._hub.failed("disconnect", error)
        else:
            if inspect.isawaitable(result):
                self._hub.spawn(self._await(socket, None, "disconnect", result))

    async def _await(self, socket: Socket, number: int | None, event: str, result: Awaitable[Any]) -> None:
        try:
            value = await result
        except Exception as error:
            self._hub.failed(event, error)
        else:
            if number is not None:
                self._acknowledge(socket, number, event, value)

    def _settled(self, socket: Socket, number: int | None, event: str, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, Exception):
            self._hub.failed(event, error)
        elif number is not None:
            self._acknowledge(socket, number, event, done.result())

    def _acknowledge(self, socket: Socket, number: int, event: str, value: Any) -> None:
        if socket.peer is None:
            return
        arguments = [] if value is None else list(value) if isinstance(value, tuple) else [value]
        try:
            messages = socketio.ack(self.name, arguments, number)
        except (TypeError, ValueError) as error:
            self._hub.failed(event, error)
        else:
            socket.sink.send(Outgoing(messages))


def _name(event: str) -> str:
    if event in socketio.RESERVED:
        raise ValueError(f"{event!r} is a word of the protocol's and cannot be sent")
    return event
