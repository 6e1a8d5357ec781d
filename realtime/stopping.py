"""Waits that end early, all at once, when there is no time left.

The rule of this room: whoever is stopped learns it as an exception of its own and finishes its work; it is not
cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(Exception):
    """What was waited for will not be waited for any longer."""


class Stop:
    """Until `now` is called it does nothing; from then on no wait inside `watching` goes on, or begins."""

    __slots__ = ("_over", "_waiting")

    def __init__(self) -> None:
        self._over = False
        self._waiting: set[asyncio.Task[Any]] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, the current task may be stopped while it waits. Raises Stopped then, and at once if it is over."""
        if self._over:
            raise Stopped
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._over or task.uncancel() > 0:
                raise
            raise Stopped from None
        finally:
            self._waiting.discard(task)

    def now(self) -> None:
        """End all waits."""
        if not self._over:
            self._over = True
            for task in self._waiting:
                task.cancel()
