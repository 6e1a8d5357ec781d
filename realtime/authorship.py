"""PURE Who sent which message where, of those delivered not long ago: what deleting one must know.

The rule of this room: a busy conversation does not make the others forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

MOST_OF_A_CONVERSATION: Final = 500
"""Messages of one conversation that are known: the latest."""
MOST: Final = 100_000
"""Messages that are known in all; beyond them the conversation that has been quiet for longest is forgotten."""

_MANY = ""  # no conversation has this name


class Known(NamedTuple):
    """A message that was delivered: its sender, and its id as it was delivered."""

    sender: str
    id: Any


class Authorship:
    """The messages by conversation and by their ids as text."""

    def __init__(self, *, each: int = MOST_OF_A_CONVERSATION, most: int = MOST) -> None:
        self._each = each
        self._most = most
        self._count = 0
        self._messages: OrderedDict[str, dict[str, Known]] = OrderedDict()  # the quietest first
        self._places: dict[str, str] = {}

    def __len__(self) -> int:
        return self._count

    def note(self, conversation: str, sender: str, id_: Any) -> None:
        """A message was delivered."""
        name = str(id_)
        messages = self._messages.setdefault(conversation, {})
        self._messages.move_to_end(conversation)
        if messages.pop(name, None) is None:
            self._count += 1
        messages[name] = Known(sender, id_)
        if self._places.setdefault(name, conversation) != conversation:
            self._places[name] = _MANY  # an application that numbers them in each conversation
        if len(messages) > self._each:
            self._forget(conversation, next(iter(messages)))
        while self._count > self._most:
            quietest, messages = next(iter(self._messages.items()))
            for old in list(messages):
                self._forget(quietest, old)
            del self._messages[quietest]

    def find(self, conversation: str, message: str) -> Known | None:
        """What is known of a message of this conversation."""
        return self._messages.get(conversation, {}).get(message)

    def elsewhere(self, conversation: str, message: str) -> bool:
        """Whether the message is known to belong to another conversation, and to that one alone."""
        return self._places.get(message, _MANY) not in (_MANY, conversation)

    def _forget(self, conversation: str, name: str) -> None:
        del self._messages[conversation][name]
        self._count -= 1
        if self._places.get(name) in (conversation, _MANY):
            del self._places[name]
