"""To whom a conversation's events go: its rooms, one for each delivery shape that its members may have chosen.

The rule of this room: a client is in exactly one of them, so what is said in each in turn is heard once. Rooms that
nobody is in, or may come back to, cost nothing: nothing is encoded for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from realtime.member import CONVERSATION_ROOMS, SHAPES
from realtime.namespace import Namespace, Prepared
from realtime.settings import Deliver

if TYPE_CHECKING:
    from realtime.socket import Socket


class Audience:
    """The members of conversations. `default` is the shape of those who chose none."""

    def __init__(self, namespace: Namespace, default: Deliver) -> None:
        self.default: Deliver = default
        self._namespace = namespace

    def tell(
        self, conversation: str, event: str, data: Any, *, skip: Collection[str] = (), volatile: bool = False
    ) -> int:
        """Send an event to every member; to how many."""
        emit = self._namespace.emit
        return sum(
            emit(prefix + conversation, event, data, skip=skip, volatile=volatile) for prefix in CONVERSATION_ROOMS
        )

    def deliver(self, conversation: str, messages: list[dict[str, Any]], first: Callable[[], None]) -> int:
        """Send messages to every member in the shape it wants; to how many. `first` is done when all is encoded and
        kept, and nothing is sent yet.
        """
        prepared = [
            self._shaped(prefix + conversation, shape, messages)
            for prefix, shape in zip(CONVERSATION_ROOMS, (self.default, *SHAPES), strict=True)
            if self._namespace.reaches(prefix + conversation)
        ]
        first()
        count = 0
        for events in prepared:
            reached = 0
            for event in events:
                reached = 0 if event is None else event.send()
            count += reached
        return count

    def size(self, conversation: str) -> int:
        """How many sockets are in a conversation."""
        return sum(len(self._namespace.members(prefix + conversation)) for prefix in CONVERSATION_ROOMS)

    def sockets(self, conversation: str) -> Iterator[Socket]:
        """Those who are in a conversation."""
        return chain.from_iterable(self._namespace.members(prefix + conversation) for prefix in CONVERSATION_ROOMS)

    def _shaped(self, room: str, shape: Deliver, messages: list[dict[str, Any]]) -> list[Prepared | None]:
        prepare, events = self._namespace.prepare, []
        if shape != "batch":
            events += [prepare(room, "new_message", message) for message in messages]
        if shape != "single":
            events.append(prepare(room, "new_messages_batch", messages))
        return events
