"""How late the event loop is: whatever holds it up holds up every exchange and every message.

Once a second a timer is set for exactly then; by how much it comes later is the lag.
"""

from __future__ import annotations

import asyncio

from proxy.operations.histogram import Histogram

EVERY = 1.0
"""Seconds between two beats."""


class Pulse:
    """Beats from `start` to `stop`. Seconds; `lag` is of the last beat, `largest` of all, `lags` counts them."""

    def __init__(self) -> None:
        self.lag = 0.0
        self.lags = Histogram()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def largest(self) -> float:
        return self.lags.largest

    def start(self) -> None:
        self._set(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._timer is not None
        self.lag = max(0.0, loop.time() - self._timer.when())
        self.lags.observe(self.lag)
        self._set(loop)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(loop.time() + EVERY, self._beat, loop)
