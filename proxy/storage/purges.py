"""Purges in the order they happened, so that a response fetched before a purge cannot slip in after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from proxy.policy.messages import StoredResponse
from proxy.storage.base import Entry
from proxy.storage.database import marked_stale
from proxy.storage.record import entry_of


@dataclass(frozen=True, slots=True)
class _Purge:
    sequence: int
    covers: Callable[[Entry], bool]
    since: float | None


class PurgeLog:
    """The last `bound` purges. A mark older than those that were forgotten is not trusted any more."""

    def __init__(self, bound: int = 10_000) -> None:
        self._bound = bound
        self._purges: deque[_Purge] = deque()
        self._forgotten = 0
        self.sequence = 0

    def add(self, covers: Callable[[Entry], bool], since: float | None = None) -> None:
        """Note a purge; with `since` it is a soft one."""
        self.sequence += 1
        self._purges.append(_Purge(self.sequence, covers, since))
        if len(self._purges) > self._bound:
            self._forgotten = self._purges.popleft().sequence

    def applied_to(self, stored: StoredResponse, mark: int) -> StoredResponse | None:
        """What the purges since `mark` leave of a response: itself, itself marked stale, or nothing."""
        if mark < self._forgotten:
            return None
        if mark >= self.sequence:
            return stored
        entry = entry_of(stored, 0, stored.response_time)
        for purge in reversed(self._purges):
            if purge.sequence <= mark:
                break
            if purge.covers(entry):
                if purge.since is None:
                    return None
                stored = marked_stale(stored, purge.since)
        return stored
