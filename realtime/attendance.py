"""Presence as it is told: the changes of a conversation gathered for a moment, so that a crowd arriving is one event.

The rule of this room: no clock and no loop; `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from realtime.deadlines import Deadlines, soonest
from realtime.presence import Presence, PresenceChange

GATHER = 0.1
"""Seconds for which changes are gathered."""

MOST_TOLD = 200
"""Updates of a conversation that are remembered for those who return."""

MOST_NAMED = 100
"""Users named in one update; `online` counts all of them."""


class PresenceUpdate(NamedTuple):
    """To be told to the members of `conversation`."""

    conversation: str
    payload: dict[str, Any]


class Told:
    """What was told of each conversation in the last `seconds`, the latest `MOST_TOLD` updates of it."""

    __slots__ = ("_seconds", "_updates")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._updates: OrderedDict[str, deque[tuple[float, Mapping[str, bool]]]] = OrderedDict()  # the latest last

    def __len__(self) -> int:
        return len(self._updates)

    def note(self, conversation: str, changes: Mapping[str, bool], now: float) -> None:
        self._updates.setdefault(conversation, deque(maxlen=MOST_TOLD)).append((now, changes))
        self._updates.move_to_end(conversation)
        while (oldest := next(iter(self._updates.items())))[1][-1][0] < now - self._seconds:
            del self._updates[oldest[0]]

    def count(self, conversation: str, since: float) -> int:
        """How many updates were told after that time."""
        return sum(told > since for told, _ in self._updates.get(conversation, ()))

    def latest(self, conversation: str, count: int) -> dict[str, bool]:
        """Who has come (True) and gone in so many updates, without those who are again what they were."""
        first: dict[str, bool] = {}
        last: dict[str, bool] = {}
        updates = self._updates.get(conversation, ())
        for _, changes in islice(updates, len(updates) - count, None):
            for user, here in changes.items():
                first.setdefault(user, here)
                last[user] = here
        return {user: here for user, here in last.items() if first[user] is here}


class Attendance:
    """Who is in which conversation, and what the members have not been told of it yet."""

    __slots__ = ("_changed", "_deadlines", "_presence", "_returned", "_told", "caught_up")

    def __init__(self, grace: float, window: float = 0.0) -> None:
        """A session that is lost leaves its users online for `grace` seconds: it mostly comes back, within `window`."""
        self._presence = Presence(grace)
        self._told = Told(window)
        self._returned: dict[str, dict[str, float]] = {}
        self.caught_up: list[tuple[PresenceUpdate, set[str]]] = []
        """After `due`: what returned sessions are told instead of what all are, and which sessions that is."""
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

    def returned(self, conversation: str, session: str, since: float, now: float) -> None:
        """A session that was told nothing `since` then is back: it is told by itself what has changed for it."""
        self._returned.setdefault(conversation, {})[session] = since
        self._gather(conversation, now)

    def restored(self, conversation: str, users: Iterable[str], session: str) -> None:
        """These users were there before a restart: to nobody that is news. `lost` says from when on they are not."""
        for user in users:
            self._presence.joined(conversation, user, session)

    def conversations(self) -> Iterable[tuple[str, int]]:
        return self._presence.conversations()

    def due(self, now: float) -> list[PresenceUpdate]:
        self._note(self._presence.due(now), now)
        self.caught_up = []
        updates = []
        for name in self._deadlines.due(now):
            if changes := self._changed.pop(name):
                self._told.note(name, changes, now)
                updates.append(PresenceUpdate(name, self.payload(name, changes)))
            # A crowd that was lost together returns together: what it is told is said, and encoded, once.
            together: dict[int, set[str]] = {}
            for session, since in self._returned.pop(name, {}).items():
                together.setdefault(self._told.count(name, since), set()).add(session)
            for count, sessions in together.items():
                update = PresenceUpdate(name, self.payload(name, self._told.latest(name, count)))
                self.caught_up.append((update, sessions))
        return updates

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
            gathered = self._gather(change.conversation, now)
            # Whoever came and went in the same moment was not there, as far as the others are concerned.
            if gathered.get(change.user, change.online) is not change.online:
                del gathered[change.user]
            else:
                gathered[change.user] = change.online

    def _gather(self, conversation: str, now: float) -> dict[str, bool]:
        """What has changed there; it is told in a moment."""
        if conversation not in self._changed:
            self._changed[conversation] = {}
            self._deadlines.set(conversation, now + GATHER)
        return self._changed[conversation]
