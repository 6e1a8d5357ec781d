"""A client of the chat: who it is, what it may do, and the turns of its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from realtime.authentication import public_user
from realtime.later import Later
from realtime.payloads import Refusal
from realtime.proofs import How, ProofLost, Proofs
from realtime.quality import ClientReport
from realtime.settings import Deliver
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


SHAPES: tuple[Deliver, ...] = ("batch", "single", "both")

CONVERSATION_ROOMS = (conversation_rooms(None), *map(conversation_rooms, SHAPES))
"""All that the rooms of conversations begin with: those of whoever chose no shape, then by shape."""


class Member:
    """One socket in the chat. Users and the delivery shape are in the socket's data, so they survive a recovery; their
    tokens (`proofs`) are not, as that is written down. `proved` says by which of them each user is known, `until` when
    a user's token expires (seconds since 1970), where it does.

    `users` are those authenticated on it, by id, as others may know them; the last is who acts where an event names
    nobody. `outside` are those of them who have no part in a conversation that the socket has joined. `room` is what
    the rooms of its conversations begin with.
    """

    __slots__ = (
        "_busy", "_queue", "_tasks", "failed", "gone", "messages", "outside", "proofs", "proved", "report",
        "reported_at", "reports", "room", "socket", "until", "users",
    )  # fmt: skip

    def __init__(self, socket: Socket, proofs: Proofs, tasks: Tasks) -> None:
        self.socket = socket
        self.proofs = proofs
        self.proved: dict[str, How] = socket.data.get("proved", {})
        self.until: dict[str, float] = socket.data.get("until", {})
        self.gone = False
        self.report: ClientReport | None = None
        self.users = {name: public_user(user) for name, user in socket.data.get("users", {}).items()}
        self.outside: dict[str, list[str]] = socket.data.get("outside", {})
        self.room = conversation_rooms(socket.data.get("deliver"))
        self._tasks = tasks
        self._busy = False
        self._queue: deque[tuple[Handle, Any, asyncio.Future[Any]]] | None = None
        self.messages = 0  # that it has sent
        self.failed = 0  # of these, as far as it was told
        self.reports = 0
        self.reported_at = 0.0

    def admit(self, user: dict[str, Any], how: How | None, token: str | None, until: float | None) -> None:
        """Let this user, known by this token, act on the socket, as the last one."""
        name = user["id"]
        self.drop(name)
        self.users = self.socket.data["users"] = {**self.users, name: user}
        if how is not None:
            self.socket.data["proved"] = self.proved
            self.proved[name] = how
        if how == "own" and token is not None:
            self.proofs.own[name] = token
        if until is not None:
            self.socket.data["until"] = self.until
            self.until[name] = until

    def drop(self, name: str) -> None:
        """Let this user act on the socket no more."""
        self.proved.pop(name, None)
        self.until.pop(name, None)
        self.proofs.own.pop(name, None)
        self.proofs.settle(name)
        if name in self.users:
            self.users = self.socket.data["users"] = {id_: user for id_, user in self.users.items() if id_ != name}

    def token_of(self, user: str) -> str | None:
        """The token by which a user is known; None: by the handshake's cookies. Raises ProofLost."""
        return self.proofs.of(user, self.proved.get(user))

    def is_known_by(self, user: str, token: str | None) -> bool:
        """Whether this user is known by this token; None: by the handshake's cookies."""
        try:
            return user in self.users and self.token_of(user) == token
        except ProofLost:
            return False

    def bring(self, user: str | None, token: str) -> bool:
        """Keep a token that could not be asked about, for `user` (None: whoever is here); False when it is nobody's
        here, or what somebody is known by already.
        """
        users = {name for name in self.users if user in (None, name)}
        if not users or any(self.is_known_by(name, token) for name in users):
            return False
        self.proofs.bring(token, users)
        return True

    def prove(self, user: str, token: str) -> None:
        """This user is known by this token of its own from now on."""
        self.socket.data["proved"] = self.proved
        self.proved[user] = "own"
        self.proofs.own[user] = token
        self.proofs.settle(user)
        self.socket.touch()

    def proof_for(self, user: str | None, token: str | None) -> tuple[str | None, How | None]:
        """What proves who somebody is that claims to be `user` and shows `token`; where it is nobody in particular, the
        one who authenticated last. What is not shown again is what was shown before.
        """
        name = next(reversed(self.users), None) if user is None else user
        known = None if name is None else self.proofs.own.get(name)
        if (token or known) is not None:
            return token or known, "own"
        greeting = self.proofs.greeting
        return greeting, None if greeting is None else "greeting"

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
