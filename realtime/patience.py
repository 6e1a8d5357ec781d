"""PURE How long messages wait for the application: each for its own time, whatever it leaves with.

The rule of this room: the messages of a batch share its fate only until their own patience is over. `now` is an
argument (seconds, monotonic).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

from realtime.deadlines import Deadlines

LEAST: Final = 0.1
"""What must be left of a message's patience, as a part of it, for asking once more to be worth it."""


class Taken(Protocol):
    """A message that was taken at `since`."""

    @property
    def since(self) -> float: ...


Message = TypeVar("Message", bound=Taken)


class Patience(Generic[Message]):
    """The batches under way, one of each conversation. Messages are in the order in which they were taken.

    After `seconds` a message is given up; with 0 seconds, after one attempt that may take as long as it takes.
    """

    __slots__ = ("_deadlines", "_over", "_under_way", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._under_way: dict[str, list[Message]] = {}
        self._over: dict[str, set[int]] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return self._deadlines.earliest

    def end(self, batch: Sequence[Message]) -> float:
        """When the last of them is given up, and with it the batch."""
        return batch[-1].since + self.seconds

    def begin(self, conversation: str, batch: Sequence[Message]) -> None:
        """A batch is under way."""
        if self.seconds and batch[0].since < batch[-1].since:  # those that end with it need not be watched
            self._under_way[conversation] = [message for message in batch if message.since < batch[-1].since]
            self._deadlines.set(conversation, batch[0].since + self.seconds)

    def due(self, now: float) -> Iterator[tuple[str, Message]]:
        """The messages under way whose patience is over, each once, with their conversations."""
        for conversation in self._deadlines.due(now):
            waiting = self._under_way[conversation]
            while waiting and waiting[0].since + self.seconds <= now:
                message = waiting.pop(0)
                self._over.setdefault(conversation, set()).add(id(message))
                yield conversation, message
            if waiting:
                self._deadlines.set(conversation, waiting[0].since + self.seconds)

    def finish(self, conversation: str) -> Iterable[int]:
        """The batch is settled: the `id()` of those of its messages that `due` has named before."""
        self._under_way.pop(conversation, None)
        self._deadlines.drop(conversation)
        return self._over.pop(conversation, ())

    def hopeless(self, batch: Sequence[Message], now: float, *, away: bool) -> int:
        """How many of a batch, the first, have waited too long to be asked for; `away`: the one before was given up."""
        if not self.seconds:
            return 0
        latest = now - self.seconds * (1.0 - LEAST if away else 1.0)
        return sum(message.since <= latest for message in batch)
