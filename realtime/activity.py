"""How lively conversations are: what left in each, and when. PURE.

The rule of this room: `note` runs once per batch and only adds; `now` is an argument (seconds, monotonic). Nothing
grows without bound: of too many conversations those longest silent are forgotten.
"""

from __future__ import annotations

from operator import itemgetter

MINUTE = 60.0
MOST = 10_000
"""Conversations that are remembered."""


class Activity:
    """One conversation: `messages` in `batches` since it was first heard of, the last at `last`; `failed` besides."""

    __slots__ = ("_before", "_minute", "_now", "batches", "failed", "last", "messages")

    def __init__(self, now: float) -> None:
        self.batches = 0
        self.messages = 0
        self.failed = 0
        self.last = now
        self._minute = int(now // MINUTE)
        self._now = 0
        self._before = 0

    def note(self, messages: int, now: float) -> None:
        """A batch of so many messages has left."""
        self.batches += 1
        self.messages += messages
        self.last = now
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._before = self._now if minute == self._minute + 1 else 0
            self._now, self._minute = 0, minute
        self._now += messages

    def rate(self, now: float) -> float:
        """Messages per second over about the last minute: what the minute before had is taken as evenly spread."""
        minute, into = divmod(now, MINUTE)
        passed = int(minute) - self._minute
        this, before = (self._now, self._before) if passed == 0 else (0, self._now if passed == 1 else 0)
        return (this + before * (1 - into / MINUTE)) / MINUTE

    @property
    def fill(self) -> float:
        """Messages in a batch, on average."""
        return self.messages / self.batches if self.batches else 0.0


class Activities:
    """The activity of each conversation, at most `most` of them."""

    __slots__ = ("_by_conversation", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_conversation: dict[str, Activity] = {}

    def __len__(self) -> int:
        return len(self._by_conversation)

    def note(self, conversation: str, messages: int, now: float) -> None:
        """A batch of this conversation has left."""
        self._of(conversation, now).note(messages, now)

    def fail(self, conversation: str, now: float) -> None:
        """A message of this conversation has failed."""
        self._of(conversation, now).failed += 1

    def find(self, conversation: str) -> Activity | None:
        return self._by_conversation.get(conversation)

    def _of(self, conversation: str, now: float) -> Activity:
        activity = self._by_conversation.get(conversation)
        if activity is None:
            if len(self._by_conversation) >= self._most:
                self._forget()
            activity = self._by_conversation[conversation] = Activity(now)
        return activity

    def _forget(self) -> None:
        """Keep the livelier half, so that this is seldom done."""
        by_last = sorted(((each.last, name) for name, each in self._by_conversation.items()), key=itemgetter(0))
        for _, name in by_last[: len(by_last) - self._most // 2]:
            del self._by_conversation[name]
