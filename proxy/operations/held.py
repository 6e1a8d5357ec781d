"""The realtime core's figures for those who look often."""

from __future__ import annotations

import time
from collections.abc import Callable

from proxy.operations.realtime import RealtimeFigures


class Held:
    """The realtime figures, taken at most every two seconds: with thousands of sessions a look is no small thing."""

    EVERY = 2.0

    def __init__(self, figures: Callable[[], RealtimeFigures | None]) -> None:
        self._figures = figures
        self._held: RealtimeFigures | None = None
        self._until = float("-inf")

    def __call__(self) -> RealtimeFigures | None:
        if time.monotonic() >= self._until:
            self._held, self._until = self._figures(), time.monotonic() + self.EVERY
        return self._held
