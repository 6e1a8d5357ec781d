"""Totals as rates of the last minute: noted now and then, compared when somebody asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

WINDOW = 60.0


class Flow:
    """`read` gives totals that only grow, by name; `now` is monotonic, in seconds. `note` at regular intervals."""

    def __init__(self, read: Callable[[], Mapping[str, float]], now: Callable[[], float]) -> None:
        self._read = read
        self._now = now
        self._noted: deque[tuple[float, Mapping[str, float]]] = deque([(now(), read())])

    def note(self) -> None:
        """Remember the totals of this moment, and forget those that no window reaches any more."""
        now = self._now()
        self._noted.append((now, self._read()))
        while len(self._noted) > 1 and self._noted[1][0] <= now - WINDOW:
            self._noted.popleft()

    def lately(self) -> dict[str, float]:
        """What came to each total, by name, over the last minute or as long as there is something to compare with."""
        before = self._noted[0][1]
        return {name: total - before.get(name, 0.0) for name, total in self._read().items()}

    def rates(self) -> dict[str, float]:
        """Per second, by name, over the last minute or as long as there is something to compare with."""
        elapsed = max(self._now() - self._noted[0][0], 1.0)
        return {name: grown / elapsed for name, grown in self.lately().items()}
