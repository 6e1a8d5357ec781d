"""Channels: who subscribes, and which updates leave together.

The rule of this room: where every update is kept none waits. Where later ones take the place of earlier ones, they
leave when the channel has been calm for `debounce`, and in no case later than `LONGEST` debounces after the first that
waits, so that a busy channel is late but never silent. No clock and no loop: `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal, NamedTuple

from realtime.deadlines import Deadlines

Mode = Literal["append", "conflate"]
"""`append` keeps every update, and lets it leave at once. `conflate` keeps of those with the same key only the latest,
whatever their events are called."""

LONGEST = 3
"""How many debounces an update may wait: with 100 ms it is never told later than 300 ms after it was published."""


class Update(NamedTuple):
    """One event of a channel. `key` says what it is about; without one it is about itself alone."""

    event: str
    data: Any
    key: str | None = None


class Release(NamedTuple):
    """To be sent to the subscribers of `channel`, in this order."""

    channel: str
    updates: list[Update]


class _Pending:
    """The updates of one channel that wait, in the order of their data's age."""

    __slots__ = ("count", "latest_end", "updates")

    def __init__(self, latest_end: float) -> None:
        self.updates: dict[object, Update] = {}
        self.latest_end = latest_end
        self.count = 0


class Channels:
    """Subscriptions of sessions to channels, and the updates that wait, behind one deadline.

    `mode_of` tells the mode of a channel by name. `most` updates that wait end the debounce early. What is published
    leaves whether anybody subscribes now or not: a session that comes back may still have to hear of it.
    `debounce` may be assigned at any time.
    """

    __slots__ = ("_by_session", "_deadlines", "_mode_of", "_pending", "_subscribers", "conflated", "debounce", "most")

    def __init__(self, mode_of: Callable[[str], Mode], debounce: float = 0.1, most: int = 500) -> None:
        self.debounce = debounce
        self.most = most
        self.conflated = 0
        """How many updates were replaced by later ones before they left."""
        self._mode_of = mode_of
        self._subscribers: dict[str, set[str]] = {}
        self._by_session: dict[str, set[str]] = {}
        self._pending: dict[str, _Pending] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return self._deadlines.earliest

    def subscribe(self, channel: str, session: str) -> bool:
        """Whether this is the channel's first subscriber: from now on it is wanted from upstream."""
        subscribers = self._subscribers.setdefault(channel, set())
        subscribers.add(session)
        known = self._by_session.setdefault(session, set())
        first = len(subscribers) == 1 and channel not in known
        known.add(channel)
        return first

    def unsubscribe(self, channel: str, session: str) -> bool:
        """Whether this was the channel's last subscriber: it is not wanted any more."""
        channels = self._by_session.get(session, set())
        if channel not in channels:
            return False
        channels.remove(channel)
        if not channels:
            del self._by_session[session]
        return self._without(channel, session)

    def gone(self, session: str) -> list[str]:
        """The session has ended; the channels whose last subscriber it was."""
        return [name for name in sorted(self._by_session.pop(session, ())) if self._without(name, session)]

    def subscribers(self, channel: str) -> int:
        """How many sessions subscribe to a channel."""
        return len(self._subscribers.get(channel, ()))

    def subscriptions(self, session: str) -> Collection[str]:
        """The channels of a session."""
        return frozenset(self._by_session.get(session, ()))

    def channels(self) -> Iterator[tuple[str, int]]:
        """Every channel that has subscribers, and how many."""
        return ((channel, len(sessions)) for channel, sessions in self._subscribers.items())

    def publish(self, channel: str, update: Update, now: float) -> Release | None:
        """Take an update; everything that waits in its channel, if it leaves now."""
        conflates = self._mode_of(channel) == "conflate"
        pending = self._pending.get(channel)
        if pending is None and not conflates:
            return Release(channel, [update])
        if pending is None:
            pending = self._pending[channel] = _Pending(now + LONGEST * self.debounce)
        self._collect(pending, update, conflate=conflates)
        end = min(now + self.debounce, pending.latest_end)
        if not conflates or len(pending.updates) >= self.most or end <= now:
            return self._release(channel)
        self._deadlines.set(channel, end)
        return None

    def due(self, now: float) -> list[Release]:
        """What leaves because its channel is calm, or has waited long enough."""
        return [self._release(channel) for channel in self._deadlines.due(now)]

    def flush(self) -> list[Release]:
        """Everything that waits, in all channels: the core stops."""
        return [self._release(channel) for channel in list(self._pending)]

    def _collect(self, pending: _Pending, update: Update, *, conflate: bool) -> None:
        pending.count += 1
        key: object = pending.count
        if conflate and update.key is not None:
            key = update.key
            # The data is as new as the update that brought it, so it goes behind everything older.
            if pending.updates.pop(key, None) is not None:
                self.conflated += 1
        pending.updates[key] = update

    def _release(self, channel: str) -> Release:
        self._deadlines.drop(channel)
        return Release(channel, list(self._pending.pop(channel).updates.values()))

    def _without(self, channel: str, session: str) -> bool:
        subscribers = self._subscribers[channel]
        subscribers.remove(session)
        if subscribers:
            return False
        del self._subscribers[channel]
        return True
