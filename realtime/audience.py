"""To whom a conversation's events go: its rooms, one for each delivery shape that its members chose.

The rule of this room: a message is encoded once for each shape that somebody wants, and not at all for others.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from realtime.member import conversation_rooms
from realtime.namespace import Namespace
from realtime.settings import Deliver

SHAPES: tuple[Deliver, ...] = ("batch", "single", "both")


class Audience:
    """The members of conversations. `default` is the shape of those who chose none."""

    def __init__(self, namespace: Namespace, default: Deliver) -> None:
        self.default: Deliver = default
        self._namespace = namespace
        self._chosen: dict[Deliver, None] = {}

    def choose(self, shape: Deliver) -> None:
        """A client has chosen this shape: from now on there is a room for it in every conversation.

        Rooms are not given up again: a client that is away for a moment must find there what it missed.
        """
        self._chosen[shape] = None

    def tell(
        self, conversation: str, event: str, data: Any, *, skip: Collection[str] = (), volatile: bool = False
    ) -> int:
        """Send an event to every member; to how many."""
        return self._namespace.emit(self.rooms(conversation), event, data, skip=skip, volatile=volatile)

    def deliver(self, conversation: str, messages: list[dict[str, Any]]) -> int:
        """Send messages to every member in the shape it wants; to how many."""
        count = self._shaped(conversation_rooms(None) + conversation, self.default, messages)
        for shape in self._chosen:
            count += self._shaped(conversation_rooms(shape) + conversation, shape, messages)
        return count

    def size(self, conversation: str) -> int:
        """How many sockets are in a conversation."""
        rooms = self.rooms(conversation)
        return sum(len(self._namespace.members(room)) for room in ((rooms,) if isinstance(rooms, str) else rooms))

    def rooms(self, conversation: str) -> str | tuple[str, ...]:
        room = conversation_rooms(None) + conversation
        if not self._chosen:
            return room
        return (room, *(conversation_rooms(shape) + conversation for shape in self._chosen))

    def _shaped(self, room: str, shape: Deliver, messages: list[dict[str, Any]]) -> int:
        count = 0
        if shape != "batch":
            for message in messages:
                count = self._namespace.emit(room, "new_message", message)
        if shape != "single":
            count = self._namespace.emit(room, "new_messages_batch", messages)
        return count
