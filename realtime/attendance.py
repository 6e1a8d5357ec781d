"""Presence as it is told: the changes of a conversation gathered for a moment, so that a crowd arriving is one event.

The rule of this room: no clock and no loop; `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from realtime.deadlines import Deadlines, soonest
from realtime.presence import Presence, PresenceChange

GATHER = 0.1
"""Seconds for which changes are gathered."""

MOST_NAMED = 100
"""Users named in one update; `online` counts all of them."""


class PresenceUpdate(NamedTuple):
    """To be told to the members of `conversation`."""

    conversation: str
    payload: dict[str, Any]


class Attendance:
    """Who is in which conversation, and what the members have not been told of it yet."""

    __slots__ = ("_changed", "_deadlines", "_presence")

    def __init__(self, grace: float) -> None:
        """A session that is lost leaves its users online for `grace` seconds: it mostly comes back."""
        self._presence = Presence(grace)
        self._changed: dict[str, dict[str, bool]] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return soonest(self._presence.deadline, self._deadlines.earliest)

    def joined(self, conversation: str, users: Iterable[str], session: str, now: float) -> None:
        for user in users:
            self._note([self._presence.joined(conversation, user, session)], now)

    def left(self, conversation: str, users: Iterable[str], session: str, now: float) -> None:
        for user in users:
            self._note([self._presence.left(conversation, user, session)], now)

    def lost(self, session: str, now: float) -> None:
        self._note(self._presence.lost(session, now), now)

    def conversations(self) -> Iterable[tuple[str, int]]:
        return self._presence.conversations()

    def due(self, now: float) -> list[PresenceUpdate]:
        self._note(self._presence.due(now), now)
        gathered = ((name, self._changed.pop(name)) for name in self._deadlines.due(now))
        return [PresenceUpdate(name, self.payload(name, changes)) for name, changes in gathered if changes]

    def payload(self, conversation: str, changes: dict[str, bool] | None = None) -> dict[str, Any]:
        """`presence_update`: how many are online, the first of them, and who came and went since the last one."""
        online, changes = self._presence.online(conversation), changes or {}
        return {
            "conversationId": conversation,
            "users": online[:MOST_NAMED],
            "online": len(online),
            "joined": [user for user, here in changes.items() if here][:MOST_NAMED],
            "left": [user for user, here in changes.items() if not here][:MOST_NAMED],
        }

    def _note(self, changes: Iterable[PresenceChange | None], now: float) -> None:
        for change in changes:
            if change is None:
                continue
            gathered = self._changed.get(change.conversation)
            if gathered is None:
                gathered = self._changed[change.conversation] = {}
                self._deadlines.set(change.conversation, now + GATHER)
            # Whoever came and went in the same moment was not there, as far as the others are concerned.
            if gathered.get(change.user, change.online) is not change.online:
                del gathered[change.user]
            else:
                gathered[change.user] = change.online
