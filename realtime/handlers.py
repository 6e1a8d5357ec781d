"""What an application does when an event comes: its functions, called with as many arguments as they take.

A client decides how many arguments an event has, so a wrong number may never be an error: what is missing is None,
what is too much is left out.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from realtime import socketio
from realtime.frames import Outgoing
from realtime.later import Later

if TYPE_CHECKING:
    from realtime.hub import Hub
    from realtime.socket import Socket
    from realtime.socketio import Packet

Function = TypeVar("Function", bound=Callable[..., Any])


class Handler:
    """A function and the number of arguments it takes after the socket: at least `least`, at most `most`."""

    __slots__ = ("_call", "_least", "_most")

    def __init__(self, call: Callable[..., Any]) -> None:
        """Raises ValueError when `call` cannot be called with a socket and a client's arguments."""
        parameters = list(inspect.signature(call).parameters.values())
        positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
        endless = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
        if not positional and not endless:
            raise ValueError(f"{call!r} takes no socket")
        if any(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is p.empty for p in parameters):
            raise ValueError(f"{call!r} needs an argument by name, which no client can give")
        self._call = call
        self._least = sum(parameter.default is parameter.empty for parameter in positional) - 1
        self._most = None if endless else len(positional) - 1

    def __call__(self, socket: Any, arguments: Sequence[Any]) -> Any:
        """What the function returns, which may be an awaitable; its exceptions pass through."""
        missing = self._least - len(arguments)
        if missing > 0:
            return self._call(socket, *arguments, *(None,) * missing)
        return self._call(socket, *arguments[: self._most])


class Handlers:
    """The handlers of a namespace, and how they are called."""

    def __init__(self, name: str, hub: Hub) -> None:
        self.name = name
        self._hub = hub
        self._handlers: dict[str, Handler] = {}
        self._fallback: Handler | None = None
        self._returning: Handler | None = None

    def on(self, event: str) -> Callable[[Function], Function]:
        """Decorate the handler of `event`, a plain or a coroutine function. Raises ValueError for a second one.

        It is called with the socket and the arguments that came, those missing as None. What it returns is the
        acknowledgement, if the client wants one: None is no argument, a tuple its items, anything else one argument;
        of an awaitable or a `Later`, what it results in.
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

    def returning(self, function: Function) -> Function:
        """Decorate what is called before a client recovers, with an `Absent` and the CONNECT payload (or None).

        What it takes from the client then, the client does not get of what it missed. Until an awaitable that it
        returns is done the client is away, and misses what is sent.
        """
        self._returning = Handler(function)
        return function

    def welcome(self, socket: Socket, auth: dict[str, Any] | None) -> Any:
        """What the connect handler returns, maybe an awaitable; what it raises passes through."""
        handler = self._handlers.get("connect")
        return None if handler is None else handler(socket, (auth,))

    def farewell(self, socket: Socket, reason: str) -> None:
        """Tell the application that a client has ended."""
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
        if isinstance(result, Later):
            if packet.id is None:
                result.dismiss()
            else:
                result.then(partial(self._acknowledge, socket, packet.id, event))
        elif isinstance(result, asyncio.Future):
            result.add_done_callback(lambda done: self._settled(socket, packet.id, event, done))
        elif inspect.isawaitable(result):
            self._hub.spawn(self._await(socket, packet.id, event, result))
            if socket.peer is not None:
                socket.peer.hold()
        else:
            self._finish(socket, packet.id, event, result)

    def handled(self, socket: Socket) -> None:
        """A handler may have changed the application's data of this client."""

    async def _await(self, socket: Socket, number: int | None, event: str, result: Awaitable[Any]) -> None:
        try:
            value = await result
        except Exception as error:
            self._hub.failed(event, error)
        else:
            self._finish(socket, number, event, value)

    def _settled(self, socket: Socket, number: int | None, event: str, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, Exception):
            self._hub.failed(event, error)
        else:
            self._finish(socket, number, event, done.result())

    def _finish(self, socket: Socket, number: int | None, event: str, value: Any) -> None:
        """A handler is done: acknowledge the event, and note what it may have changed."""
        if number is not None:
            self._acknowledge(socket, number, event, value)
        if socket.peer is not None and socket.has_had_data:
            self.handled(socket)

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


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
