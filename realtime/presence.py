"""Who is in which conversation: sessions counted into users that come online and go offline.

The rule of this room: a change is told once, and only when the last session leaves or the first one comes. No clock
and no loop: `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from realtime.deadlines import Deadlines


class PresenceChange(NamedTuple):
    """To be told to the members of `conversation`."""

    conversation: str
    user: str
    online: bool


class Presence:
    """Users of conversations, each there as long as one of its sessions is.

    A session that is lost leaves its users online for `grace` seconds, so that a reconnect is not told to anybody;
    0 tells at once. One that leaves by itself has no grace. Joining twice counts once.
    """

    __slots__ = ("_absent", "_by_session", "_sessions", "grace")

    def __init__(self, grace: float = 0.0) -> None:
        self.grace = grace
        self._sessions: dict[str, dict[str, int]] = {}
        self._by_session: dict[str, set[tuple[str, str]]] = {}
        self._absent: Deadlines[tuple[str, str]] = Deadlines()

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return self._absent.earliest

    def joined(self, conversation: str, user: str, session: str) -> PresenceChange | None:
        """This user is in the conversation with this session."""
        place = (conversation, user)
        places = self._by_session.setdefault(session, set())
        if place in places:
            return None
        places.add(place)
        users = self._sessions.setdefault(conversation, {})
        first = user not in users
        users[user] = users.get(user, 0) + 1
        self._absent.drop(place)
        return PresenceChange(conversation, user, online=True) if first else None

    def left(self, conversation: str, user: str, session: str) -> PresenceChange | None:
        """This user has left the conversation with this session, knowingly."""
        places = self._by_session.get(session, set())
        if (conversation, user) not in places:
            return None
        places.remove((conversation, user))
        if not places:
            del self._by_session[session]
        return self._offline(conversation, user) if self._without_one(conversation, user) else None

    def lost(self, session: str, now: float) -> list[PresenceChange]:
        """The session has ended, and perhaps comes back. What is told at once: nothing, if there is a grace."""
        alone = [place for place in sorted(self._by_session.pop(session, ())) if self._without_one(*place)]
        if self.grace <= 0:
            return [self._offline(*place) for place in alone]
        for place in alone:
            self._absent.set(place, now + self.grace)
        return []

    def due(self, now: float) -> list[PresenceChange]:
        """Those whose grace has ended."""
        return [self._offline(*place) for place in self._absent.due(now)]

    def online(self, conversation: str) -> list[str]:
        """The users of a conversation, in the order in which they came."""
        return list(self._sessions.get(conversation, ()))

    def is_online(self, conversation: str, user: str) -> bool:
        return user in self._sessions.get(conversation, ())

    def conversations(self) -> Iterator[tuple[str, int]]:
        """Every conversation that has users, and how many."""
        return ((conversation, len(users)) for conversation, users in self._sessions.items())

    def __len__(self) -> int:
        """How many conversations have users."""
        return len(self._sessions)

    def _without_one(self, conversation: str, user: str) -> bool:
        """Count one session of the user less; whether none is left."""
        users = self._sessions[conversation]
        users[user] -= 1
        return not users[user]

    def _offline(self, conversation: str, user: str) -> PresenceChange:
        self._absent.drop((conversation, user))
        users = self._sessions[conversation]
        del users[user]
        if not users:
            del self._sessions[conversation]
        return PresenceChange(conversation, user, online=False)
