"""A client of the chat: who it is, what it may do, and the turns of its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from realtime.later import Later
from realtime.payloads import Refusal
from realtime.quality import ClientReport
from realtime.tasks import Tasks

if TYPE_CHECKING:
    from realtime.socket import Socket

CONVERSATION = "conversation:"
CHANNEL = "channel:"
USER = "user:"

_MOST_WAITING = 256

Handle = Callable[["Member", Any], Any]


def conversation_rooms(shape: str | None) -> str:
    """What the rooms of conversations begin with, for clients that chose this delivery shape."""
    return CONVERSATION if shape is None else f"conversation+{shape}:"


class Member:
    """One socket in the chat. Users and the delivery shape are in the socket's data, so they survive a recovery.

    `users` are those authenticated on it, by id; the last is who acts where an event names nobody. `outside` are those
    of them who have no part in a conversation that the socket has joined. `room` is what the rooms of its
    conversations begin with.
    """

    __slots__ = (
        "_busy",
        "_queue",
        "_tasks",
        "gone",
        "messages",
        "outside",
        "report",
        "reported_at",
        "reports",
        "room",
        "socket",
        "token",
        "users",
    )

    def __init__(self, socket: Socket, token: str | None, tasks: Tasks) -> None:
        self.socket = socket
        self.token = token
        self.gone = False
        self.report: ClientReport | None = None
        self.users: dict[str, dict[str, Any]] = socket.data.get("users", {})
        self.outside: dict[str, list[str]] = socket.data.get("outside", {})
        self.room = conversation_rooms(socket.data.get("deliver"))
        self._tasks = tasks
        self._busy = False
        self._queue: deque[tuple[Handle, Any, asyncio.Future[Any]]] | None = None
        self.messages = 0  # that it has sent
        self.reports = 0
        self.reported_at = 0.0

    def admit(self, user: dict[str, Any]) -> None:
        """Let this user act on the socket, as the last one."""
        others = {id_: known for id_, known in self.users.items() if id_ != user["id"]}
        self.users = self.socket.data["users"] = {**others, user["id"]: user}

    def choose(self, shape: str) -> None:
        """Have messages delivered in this shape, instead of in everybody's."""
        self.socket.data["deliver"] = shape
        self.room = conversation_rooms(shape)

    @property
    def conversations(self) -> list[str]:
        prefix = self.room
        return [room.removeprefix(prefix) for room in self.socket.rooms if room.startswith(prefix)]

    @property
    def channels(self) -> list[str]:
        return [room.removeprefix(CHANNEL) for room in self.socket.rooms if room.startswith(CHANNEL)]

    def joined(self, conversation: str) -> bool:
        return self.room + conversation in self.socket.rooms

    def users_in(self, conversation: str) -> Collection[str]:
        """Those who have a part in it, if it is joined."""
        outside = self.outside.get(conversation)
        return self.users.keys() if outside is None else [user for user in self.users if user not in outside]

    def takes_part(self, conversation: str, user: str | None) -> bool:
        """Whether this user is authenticated and may act in the conversation, if it is joined."""
        return user in self.users and user not in self.outside.get(conversation, ())

    def keep_outside(self, conversation: str, users: Collection[str]) -> None:
        """From now on these users, and no others, have no part in the conversation."""
        if users:
            self.socket.data["outside"] = self.outside
            self.outside[conversation] = list(users)
        else:
            self.outside.pop(conversation, None)

    def take_turn(self, handle: Handle, payload: Any) -> Any:
        """Run `handle`, or line up behind an event of this client that is still being decided.

        A client sends authenticate, join and its first message in one go: the second may not overtake the first.
        A handler that is a coroutine function holds the others up until it ends; what one returns to be known later
        does not. Raises what the handler raises; Refusal when too many wait.
        """
        if not self._busy:
            return self._run(handle, payload)
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= _MOST_WAITING:
            raise Refusal("rate-limited", "Too many events are waiting.", retry_after=1)
        future = asyncio.get_running_loop().create_future()
        self._queue.append((handle, payload, future))
        return future

    def leave(self) -> None:
        """The socket has ended: what still waits for its turn is not carried out."""
        self.gone = True
        for _, _, future in self._queue or ():
            future.cancel()
        self._queue = None

    def _run(self, handle: Handle, payload: Any) -> Any:
        result = handle(self, payload)
        if not isinstance(result, CoroutineType):
            return result
        self._busy = True
        return self._tasks.spawn(self._hold(result), "decision")

    async def _hold(self, decision: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await decision
        finally:
            self._busy = False
            self._next()

    def _next(self) -> None:
        while self._queue and not self._busy:
            handle, payload, future = self._queue.popleft()
            try:
                result = self._run(handle, payload)
            except Exception as error:  # it belongs to whoever waits for the future
                future.set_exception(error)
            else:
                _hand_on(result, future)
        if not self._queue:
            self._queue = None


def _hand_on(result: Any, future: asyncio.Future[Any]) -> None:
    """Let `future` end as `result` does."""
    if isinstance(result, Later):
        result.then(lambda value: None if future.done() else future.set_result(value))
        return
    if not isinstance(result, asyncio.Future):
        future.set_result(result)
        return

    def ended(done: asyncio.Future[Any]) -> None:
        if future.done():
            return
        if done.cancelled():
            future.cancel()
        elif (error := done.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())

    result.add_done_callback(ended)
