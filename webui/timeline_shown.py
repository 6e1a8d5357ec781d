"""What was done, as the timeline page lists it, and the list's question as it stands in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol
from urllib.parse import urlencode

KINDS = {
    "process": "process",
    "config": "configuration",
    "access": "access",
    "purge": "purges",
    "outbox": "outbox",
    "realtime": "realtime",
    "alert": "alerts",
    "tuning": "tuning",
}
"""What happened, and how its filter is called."""
ACTORS = {"people": "people and scripts", "automatic": "the edge itself"}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event. `at` is seconds since the epoch; `figures` are names and values as text."""

    number: int
    at: float
    kind: str
    by: str
    text: str
    figures: tuple[tuple[str, str], ...] = ()

    @property
    def automatic(self) -> bool:
        """The edge did it by itself."""
        return self.by == "automatic"


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """Which events: of one kind or all (""), by whom ("": anybody), and older than number `before` (0: the newest)."""

    PAGE_SIZE: ClassVar[int] = 100

    kind: str = ""
    by: str = ""
    before: int = 0

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> TimelineQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        kind, by, before = (parameters.get(name, "") for name in ("kind", "by", "before"))
        if kind and kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, or be left out")
        if by and by not in ACTORS:
            raise ValueError(f"by must be {' or '.join(ACTORS)}, or be left out")
        if before and not (before.isascii() and before.isdigit() and len(before) < 16):
            raise ValueError("before must be the number of an event, or be left out")
        return cls(kind, by, int(before or 0))

    @property
    def filtered(self) -> bool:
        """It leaves something out beside what is older or newer."""
        return bool(self.kind or self.by)

    @property
    def path(self) -> str:
        """The page's own address."""
        parameters = {"kind": self.kind, "by": self.by, "before": str(self.before or "")}
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"/timeline?{query}" if query else "/timeline"

    def of(self, kind: str) -> TimelineQuery:
        """The newest events of another kind."""
        return replace(self, kind=kind, before=0)

    def older_than(self, number: int) -> TimelineQuery:
        """The same list, further back; 0 is its beginning."""
        return replace(self, before=number)

    def accepts(self, kind: str, by: str) -> bool:
        """Whether an event is asked for, whatever its number."""
        if self.kind and kind != self.kind:
            return False
        return not self.by or (by == "automatic") == (self.by == "automatic")


@dataclass(frozen=True, slots=True)
class TimelineList:
    """A page of events, newest first. `counts` are those kept in memory, by kind; `most` is how many are."""

    events: tuple[Happening, ...]
    counts: Mapping[str, int]
    most: int
    more: bool
    now: float

    @property
    def kept(self) -> int:
        """How many events there are, of all kinds."""
        return sum(self.counts.values())


class TimelineSource(Protocol):
    """Where the events come from."""

    def happenings(self, query: TimelineQuery, most: int) -> TimelineList: ...
