"""What has to be looked at although nobody asks: trends, and totals that become rates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

EVERY = 10.0
"""Seconds between two rounds."""

_log = logging.getLogger("cachewire")


class Rounds:
    """Calls each of `looks` every EVERY seconds, from `start` to `stop`. They must return at once."""

    def __init__(self, *looks: Callable[[], object]) -> None:
        self._looks = looks
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._set(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def go(self) -> None:
        """One round, now."""
        for look in self._looks:
            try:
                look()
            except Exception:
                # The others go on, and so does this one the next time: figures are not worth an end.
                _log.exception("figures could not be read")

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        self.go()
        self._set(loop)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(EVERY, self._due, loop)
