"""Who is typing where, told no more often than is of use.

The rule of this room: whoever was told that somebody types is told that they stopped, once. No clock and no loop:
`now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from typing import NamedTuple

from realtime.deadlines import Deadlines


class TypingChange(NamedTuple):
    """To be told to the other members of `conversation`: `user_typing` or `user_stopped_typing`."""

    conversation: str
    user: str
    typing: bool


class _Indicator:
    """One user in one conversation. `told`: the others believe that the user types. `sessions`: where it does, each
    with the time when it has stopped there by itself."""

    __slots__ = ("quiet_until", "sessions", "told")

    def __init__(self) -> None:
        self.sessions: dict[str, float] = {}
        self.told = False
        self.quiet_until = float("-inf")

    @property
    def stops_at(self) -> float:
        return max(self.sessions.values())


class TypingIndicators:
    """Typing indicators of all conversations behind one deadline.

    A start is told at most once per `debounce` seconds and user and conversation. One that comes within it tells
    nothing if the others know already; after a stop it is told when the debounce ends, if the user types still.
    `stop_after` seconds after the last start the user has stopped. Both may be assigned at any time. A user types as
    long as it does in one of its sessions (windows, devices).
    """

    __slots__ = ("_by_user", "_deadlines", "_indicators", "debounce", "stop_after")

    def __init__(self, debounce: float = 0.3, stop_after: float = 3.0) -> None:
        self.debounce = debounce
        self.stop_after = stop_after
        self._indicators: dict[tuple[str, str], _Indicator] = {}
        self._by_user: dict[str, set[str]] = {}
        self._deadlines: Deadlines[tuple[str, str]] = Deadlines()

    def __len__(self) -> int:
        """How many indicators are remembered."""
        return len(self._indicators)

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return self._deadlines.earliest

    def start(self, conversation: str, user: str, now: float, session: str = "") -> TypingChange | None:
        """`typing_start` in one of the user's sessions; what is to be told now, if anything."""
        indicator = self._indicators.get((conversation, user))
        if indicator is None:
            indicator = self._indicators[conversation, user] = _Indicator()
            self._by_user.setdefault(user, set()).add(conversation)
        indicator.sessions[session] = now + self.stop_after
        change = None
        if now >= indicator.quiet_until:
            change = self._tell_start(conversation, user, indicator, now)
        self._wait(conversation, user, indicator)
        return change

    def stop(self, conversation: str, user: str, now: float, session: str = "") -> TypingChange | None:
        """`typing_stop`, or a message of the user, or that it has left, each in one of its sessions; what is to be told
        now, if anything: nothing while it types in another.
        """
        indicator = self._indicators.get((conversation, user))
        if indicator is None:
            return None
        indicator.sessions.pop(session, None)
        if any(stops_at > now for stops_at in indicator.sessions.values()):
            self._wait(conversation, user, indicator)
            return None
        return self._stop(conversation, user, indicator, now)

    def gone(self, user: str, now: float) -> list[TypingChange]:
        """The user has left every conversation: what is to be told in them."""
        changes = [
            self._stop(conversation, user, self._indicators[conversation, user], now)
            for conversation in sorted(self._by_user.get(user, ()))
        ]
        return [change for change in changes if change is not None]

    def due(self, now: float) -> list[TypingChange]:
        """What is to be told because time has passed."""
        changes = []
        for conversation, user in self._deadlines.due(now):
            indicator = self._indicators[conversation, user]
            if not indicator.sessions or now >= indicator.stops_at:
                change = self._stop(conversation, user, indicator, now)
            else:
                change = self._tell_start(conversation, user, indicator, now)
                self._wait(conversation, user, indicator)
            if change is not None:
                changes.append(change)
        return changes

    def typing(self, conversation: str, user: str) -> bool:
        """Whether the others have been told that the user types."""
        indicator = self._indicators.get((conversation, user))
        return indicator is not None and indicator.told

    def _stop(self, conversation: str, user: str, indicator: _Indicator, now: float) -> TypingChange | None:
        indicator.sessions.clear()
        change = self._tell_stop(conversation, user, indicator)
        if now >= indicator.quiet_until:
            self._forget(conversation, user)
        else:
            self._wait(conversation, user, indicator)
        return change

    def _tell_start(self, conversation: str, user: str, indicator: _Indicator, now: float) -> TypingChange:
        indicator.told = True
        indicator.quiet_until = now + self.debounce
        return TypingChange(conversation, user, typing=True)

    def _tell_stop(self, conversation: str, user: str, indicator: _Indicator) -> TypingChange | None:
        told, indicator.told = indicator.told, False
        return TypingChange(conversation, user, typing=False) if told else None

    def _wait(self, conversation: str, user: str, indicator: _Indicator) -> None:
        """Come back to stop it, or to tell the start that the debounce held back, or to forget it."""
        at = indicator.stops_at if indicator.told else indicator.quiet_until
        self._deadlines.set((conversation, user), min(at, indicator.stops_at) if indicator.sessions else at)

    def _forget(self, conversation: str, user: str) -> None:
        del self._indicators[conversation, user]
        self._deadlines.drop((conversation, user))
        conversations = self._by_user[user]
        conversations.discard(conversation)
        if not conversations:
            del self._by_user[user]
