"""Long looks in small steps: the loop serves traffic, and nobody's answer waits for a page of the dashboard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

TURN = 0.003
"""Seconds of work after which others have their turn."""

SHARE = 0.02
"""Of one core, for one page that is looked at again and again."""

MOST_RARELY = 60
T = TypeVar("T")


@dataclass(slots=True)
class Cost(Generic[T]):
    """What work came to, and for how many seconds it held the loop altogether."""

    result: T
    seconds: float


async def in_turns(work: Generator[None, None, T], clock: Callable[[], float] = time.perf_counter) -> Cost[T]:
    """Carry out work that yields often, with pauses for others."""
    spent = 0.0
    while True:
        began = clock()
        try:
            next(work)
            while clock() - began < TURN:
                next(work)
        except StopIteration as end:
            return Cost(end.value, spent + clock() - began)
        spent += clock() - began
        await asyncio.sleep(0)


def every(cost: float, least: int = 2) -> int:
    """Seconds between two looks that cost `cost` seconds each."""
    return min(max(least, round(cost / SHARE)), MOST_RARELY)
