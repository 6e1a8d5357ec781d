"""When a conversation's batch leaves.

The rule of this room: no message waits for its window longer than `delay`; beyond that it waits only for the batch
before it, because the order within one conversation is never changed. No clock and no loop: `now` is an argument
(seconds, monotonic), and whoever calls carries out what is returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Literal, TypeVar

from realtime.deadlines import Deadlines

Item = TypeVar("Item")

BUSY = 8
"""Messages that came together last, from which on a conversation is busy."""

UNHEARD = 0.05
"""Seconds that somebody is left unheard at most, about; words for a quiet conversation may be among what is said."""

_WORTH = 0.003
"""Seconds below which nobody is left unheard: it would cost more than it spares."""

Mode = Literal["adaptive", "fixed"]
"""`adaptive`: the first message of a quiet conversation leaves at once. `fixed`: every message waits for a window."""


class Window(Generic[Item]):
    """The batch of one conversation: quiet, open until `deadline`, or sending until `done`.

    A batch that is returned is under way until `done` is called, whether it went well or was given up; what comes
    meanwhile collects. A batch has at most `max_messages` items of `max_bytes` in all; an item that is larger by
    itself leaves alone. The settings may be assigned at any time: a window that is already open keeps its end, what
    leaves next obeys the new limits.
    """

    __slots__ = ("_bytes", "_collected", "_deadline", "_last", "_sending", "delay", "max_bytes", "max_messages", "mode")

    def __init__(
        self, mode: Mode = "adaptive", delay: float = 0.05, max_messages: int = 100, max_bytes: int = 256 * 1024
    ) -> None:
        self.mode: Mode = mode
        self.delay = delay
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self._collected: list[tuple[Item, int]] = []
        self._bytes = 0
        self._deadline: float | None = None
        self._sending = False
        self._last = 0  # how many left together

    def __len__(self) -> int:
        """How many items are collected; those under way do not count."""
        return len(self._collected)

    @property
    def collected(self) -> Iterator[Item]:
        """What waits for its window."""
        return (item for item, _ in self._collected)

    @property
    def size(self) -> int:
        """How many bytes are collected."""
        return self._bytes

    @property
    def sending(self) -> bool:
        """Whether a batch is under way."""
        return self._sending

    @property
    def quiet(self) -> bool:
        """Nothing is collected, nothing is under way and no window is open: the window may be forgotten."""
        return not self._collected and not self._sending and self._deadline is None

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called; None while quiet or sending (then `done` is what it waits for)."""
        return None if self._sending else self._deadline

    def add(self, item: Item, size: int, now: float) -> list[Item] | None:
        """Take an item of `size` bytes; the batch that leaves now, if one does."""
        return self.add_all(((item, size),), now)

    def add_all(self, items: Sequence[tuple[Item, int]], now: float) -> list[Item] | None:
        """Take what came in one go, with the bytes of each: as much of it as fits is in the same batch.

        In a busy conversation whose window has ended, `due` is what is waited for: others are heard together with
        these, and would miss the batch if it left with the first of them.
        """
        late = self._last >= BUSY and self._deadline is not None and now >= self._deadline
        if not late and not self._collected and (self._deadline is None or now >= self._deadline):
            alone = self.mode == "adaptive" and not self._sending
            self._deadline = now if alone else now + self.delay
        self._collected += items
        for _, size in items:
            self._bytes += size
        return None if late and not self._full else self._ready(now)

    def due(self, now: float) -> list[Item] | None:
        """The batch whose window has ended, if one has. A window that ends empty makes the conversation quiet."""
        if not self._collected and not self._sending and self._deadline is not None and now >= self._deadline:
            self._deadline = None
        return self._ready(now)

    def flush(self, now: float) -> list[Item] | None:
        """End the window of what is collected: a sender leaves. While sending, it leaves at `done`."""
        if self._collected:
            self._deadline = now
        return self._ready(now)

    def done(self, now: float, sharing: float = 0.0) -> list[Item] | None:
        """The batch under way has arrived or was given up; the next one, if its window has ended meanwhile.

        `sharing` are the seconds that it took to give the batch to everybody, `now` being the end of that: while
        nothing has come, the window begins anew after them, so that they are not taken from whatever else there is
        to do.
        Raises RuntimeError when none is under way: two batches of one conversation must never overlap.
        """
        if not self._sending:
            raise RuntimeError("done() without a batch under way")
        self._sending = False
        if self._deadline is not None and not self._collected:
            self._deadline += sharing
        return self.due(now)

    def unheard_until(self, now: float) -> float | None:
        """Until when those who speak here need not be listened to; None in a quiet conversation.

        In a busy one UNHEARD at most, or little more, and not beyond the window's end, when they are heard before the
        batch leaves: what is said meanwhile leaves with it, as if it had been heard at once. (Where a batch leaves
        before its window's end, full or flushed, it leaves with the next one.)
        """
        if self._last < BUSY or self._sending or self._deadline is None:
            return None
        left = self._deadline - now
        if left < _WORTH:
            return None
        # In equal steps back from the window's end, so that all who speak here are heard at the same moments.
        return self._deadline - (left - _WORTH) // UNHEARD * UNHEARD

    def _ready(self, now: float) -> list[Item] | None:
        if self._sending or not self._collected or self._deadline is None:
            return None
        return self._leave(now) if self._full or now >= self._deadline else None

    @property
    def _full(self) -> bool:
        return len(self._collected) >= self.max_messages or self._bytes >= self.max_bytes

    def _leave(self, now: float) -> list[Item]:
        count, size = self._fitting()
        batch = [item for item, _ in self._collected[:count]]
        del self._collected[:count]
        self._bytes -= size
        self._last = count
        self._sending = True
        # What did not fit keeps the end it was promised.
        if not self._collected:
            self._deadline = now + self.delay if self.mode == "adaptive" else None
        return batch

    def _fitting(self) -> tuple[int, int]:
        """How many of the collected items make one batch, and their bytes; always at least one."""
        count, total = 0, 0
        for _, size in self._collected:
            if count and (count >= self.max_messages or total + size > self.max_bytes):
                break
            count, total = count + 1, total + size
        return count, total


class Windows(Generic[Item]):
    """The windows of all conversations behind one deadline. A quiet conversation costs nothing.

    The methods are those of `Window`, with the conversation in front. Assign `delay` and the other settings through
    `change`, so that windows in use obey as well.
    """

    __slots__ = ("_deadlines", "_settings", "_windows")

    def __init__(
        self, mode: Mode = "adaptive", delay: float = 0.05, max_messages: int = 100, max_bytes: int = 256 * 1024
    ) -> None:
        self._settings = (mode, delay, max_messages, max_bytes)
        self._windows: dict[str, Window[Item]] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def __len__(self) -> int:
        """How many conversations are not quiet."""
        return len(self._windows)

    def __getitem__(self, conversation: str) -> Window[Item]:
        """The window of a conversation, to look at. Raises KeyError when it is quiet."""
        return self._windows[conversation]

    def __contains__(self, conversation: str) -> bool:
        return conversation in self._windows

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return self._deadlines.earliest

    def change(self, mode: Mode, delay: float, max_messages: int, max_bytes: int) -> None:
        """Let new settings apply to every conversation, from its next window on."""
        self._settings = (mode, delay, max_messages, max_bytes)
        for window in self._windows.values():
            window.mode, window.delay, window.max_messages, window.max_bytes = self._settings

    def add(self, conversation: str, item: Item, size: int, now: float) -> list[Item] | None:
        return self.add_all(conversation, ((item, size),), now)

    def add_all(self, conversation: str, items: Sequence[tuple[Item, int]], now: float) -> list[Item] | None:
        window = self._windows.get(conversation)
        if window is None:
            window = self._windows[conversation] = Window(*self._settings)
        empty = len(window) == 0
        batch = window.add_all(items, now)
        if batch is None and not empty:
            return None  # they wait with others: nothing that is known of the window has changed
        return self._settled(conversation, window, batch)

    def due(self, now: float) -> list[tuple[str, list[Item]]]:
        """Every conversation whose window has ended with something in it, and its batch."""
        leaving = []
        for conversation in self._deadlines.due(now):
            window = self._windows[conversation]
            batch = self._settled(conversation, window, window.due(now))
            if batch is not None:
                leaving.append((conversation, batch))
        return leaving

    def collected(self, conversation: str) -> Iterator[Item]:
        """As `Window.collected`."""
        window = self._windows.get(conversation)
        return iter(()) if window is None else window.collected

    def flush(self, conversation: str, now: float) -> list[Item] | None:
        window = self._windows.get(conversation)
        return None if window is None else self._settled(conversation, window, window.flush(now))

    def done(self, conversation: str, now: float, sharing: float = 0.0) -> list[Item] | None:
        """As `Window.done`. Raises RuntimeError when no batch of this conversation is under way."""
        window = self._windows.get(conversation)
        if window is None:
            raise RuntimeError("done() without a batch under way")
        return self._settled(conversation, window, window.done(now, sharing))

    def unheard_until(self, conversation: str, now: float) -> float | None:
        """As `Window.unheard_until`."""
        window = self._windows.get(conversation)
        return None if window is None else window.unheard_until(now)

    def _settled(self, conversation: str, window: Window[Item], batch: list[Item] | None) -> list[Item] | None:
        deadline = window.deadline
        if deadline is None:
            self._deadlines.drop(conversation)
        else:
            self._deadlines.set(conversation, deadline)
        if window.quiet:
            del self._windows[conversation]
        return batch
