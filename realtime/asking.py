"""PURE One question that is asked until it is answered: when again, and whether it may have been heard.

The rule of this room: only what is known not to have been heard was not. `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from typing import Final

LONGEST_BACKOFF: Final = 2.0
"""Seconds between two attempts, at most: an application that is back is not kept waiting for longer."""

LAST_ANSWER: Final = 1.0
"""Seconds that the last attempt leaves for its answer, where there are twice as many."""


class Asked:
    """How far the asking has come. `unconfirmed`: an attempt has left open what became of it, or may yet."""

    __slots__ = ("_before", "unconfirmed")

    def __init__(self) -> None:
        self.unconfirmed = self._before = False

    def begin(self) -> None:
        """An attempt begins. Unless whoever makes it says otherwise, it may have been heard from here on."""
        self._before = self.unconfirmed
        self.unconfirmed = True

    def sent(self) -> None:
        """Something of this attempt leaves."""
        self.unconfirmed = True

    def in_vain(self) -> None:
        """Nothing of this attempt has left yet, or the answer says that nothing was done: all is as before it."""
        self.unconfirmed = self._before

    def refused(self) -> None:
        """The answer is no: nothing was done, whatever there was before."""
        self.unconfirmed = False


class Attempts:
    """When to try again until `end`: after `backoff`, then ever more rarely, and a last time shortly before it.

    A `backoff` of None makes one attempt.
    """

    __slots__ = ("_backoff", "_end", "_longest", "_once", "_was_last")

    def __init__(self, backoff: float | None, end: float) -> None:
        self._once = backoff is None
        self._backoff = backoff or 0.0
        self._longest = max(LONGEST_BACKOFF, self._backoff)
        self._end = end
        self._was_last = False

    def pause(self, now: float, jitter: float, asked_for: float = 0.0) -> float | None:
        """Seconds until the next attempt, no fewer than `asked_for`; None when there is none before the end."""
        left = self._end - now
        if self._once or self._was_last or left <= 0.0 or asked_for >= left:
            return None
        pause = max(self._backoff * jitter, asked_for)
        self._backoff = min(self._backoff * 2, self._longest)
        if pause < left:
            return pause
        self._was_last = True
        return max(left - min(LAST_ANSWER, left / 2), asked_for)

    def rest(self, now: float) -> float:
        """Seconds until the end after the last attempt, which comes early so that an answer has time."""
        return max(self._end - now, 0.0) if self._was_last else 0.0
