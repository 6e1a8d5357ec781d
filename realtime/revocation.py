"""What the application takes back by itself: a user's identity, or its part in one conversation, at once.

The rule of this room: nothing that was asked before a revocation lets anybody in after it, and those who are away lose
the same as those who are here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from realtime.payloads import Refusal, parse_id
from realtime.settings import LimitSettings

MOST: Final = 10_000
"""Revocations that are remembered for those who are just being let in."""


class BadRevocation(ValueError):
    """A revocation that says no sense; the message is for its author."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Of a user's identity, or of its part in a conversation."""

    user: str
    conversation: str | None = None


def parse_revocation(document: object, limits: LimitSettings) -> Revocation:
    """Raises BadRevocation."""
    if not isinstance(document, Mapping):
        raise BadRevocation("A revocation is an object: {user, conversation?}.")
    if unknown := set(document) - {"user", "conversation"}:
        raise BadRevocation(f"A revocation has no member {min(map(str, unknown))[:40]!r}.")
    try:
        user = parse_id(document.get("user"), "user", limits)
        if "conversation" not in document:
            return Revocation(user)
        return Revocation(user, parse_id(document["conversation"], "conversation", limits))
    except Refusal as refusal:
        raise BadRevocation(str(refusal)) from None


class Revocations:
    """The latest ones, numbered: `latest` is the number of the last."""

    __slots__ = ("_known", "_unknown", "latest")

    def __init__(self) -> None:
        self.latest = 0
        self._known: OrderedDict[Revocation, int] = OrderedDict()
        self._unknown = 0  # up to this number they are forgotten

    def note(self, revocation: Revocation) -> None:
        self.latest += 1
        self._known[revocation] = self.latest
        self._known.move_to_end(revocation)
        if len(self._known) > MOST:
            _, self._unknown = self._known.popitem(last=False)

    def since(self, number: int, user: str, conversation: str | None = None) -> bool:
        """Whether a user, or its part in a conversation, was or may have been revoked after this one."""
        if number < self._unknown:
            return True
        return any(self._known.get(Revocation(user, place), 0) > number for place in {None, conversation})
