"""What was done to this edge, by operators and by itself: the last events in memory, each also a line of the log.

The rule of this room: whoever changes something says so here, once, in words that need no other page. No secret, no
credential and no content of a user's ever stands here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from types import MappingProxyType
from typing import Literal

MOST = 1_000

Kind = Literal["purge", "config", "tuning", "alert", "outbox", "realtime", "access", "process"]

_log = logging.getLogger("cachewire.audit")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done. `at` is seconds since the epoch; `figures` are what it was like, by name."""

    number: int
    at: float
    kind: Kind
    by: str
    """Who: `operator`, a name of the access room's, or `automatic`."""
    text: str
    figures: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


class Timeline:
    """The last MOST events, newest first when asked. `now` is the wall clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._numbers = count(1)
        self._events: deque[Event] = deque(maxlen=MOST)

    def add(self, kind: Kind, by: str, text: str, **figures: object) -> Event:
        """Note what was done and write it to the log."""
        event = Event(next(self._numbers), self._now(), kind, by, text, MappingProxyType(figures))
        self._events.append(event)
        told = "".join(f" {name}={value}" for name, value in figures.items())
        _log.info("%s by %s: %s%s", kind, by, text, told)
        return event

    def events(self, most: int = MOST, kind: str = "") -> list[Event]:
        """The newest events, of one kind or of all."""
        chosen = (event for event in reversed(self._events) if not kind or event.kind == kind)
        return list(islice(chosen, most))
