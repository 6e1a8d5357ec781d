"""What the outbox page shows, and what an operator can do there. What a write contains is never shown.

Spans are seconds, sizes bytes. URLs are masked already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from urllib.parse import urlencode

from webui.parameters import whole

State = Literal["queued", "dead", "done"]
STATES: tuple[State, ...] = ("queued", "dead", "done")

FEW = 10
"""Writes of each state where all three are shown."""

PAGE_SIZE = 50
MAX_PAGE = 100_000


@dataclass(frozen=True, slots=True)
class OutboxQuery:
    """Which writes: all three states, or a page of one."""

    show: State | None = None
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> OutboxQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        text = parameters.get("show", "")
        show = next((state for state in STATES if state == text), None)
        if text and show is None:
            raise ValueError(f"show must be one of {', '.join(STATES)}, or be left out")
        page = whole(parameters, "page", 1, 1, MAX_PAGE, digits=6)
        return cls(show, page if show else 1)

    @property
    def path(self) -> str:
        """The page's own address."""
        found = {"show": self.show or "", "page": str(self.page) if self.page > 1 else ""}
        text = urlencode({name: value for name, value in found.items() if value})
        return f"/outbox?{text}" if text else "/outbox"

    @property
    def limit(self) -> int:
        return PAGE_SIZE if self.show else FEW

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit

    def turned(self, page: int) -> OutboxQuery:
        """The same writes, another page."""
        return replace(self, page=page)

    def wants(self, state: State) -> bool:
        return self.show in (None, state)


@dataclass(frozen=True, slots=True)
class WriteRow:
    """One write. `age` is since it was accepted, `settled` since it was delivered or given up.

    `place` counts from 1 among those of its state. `why` says in words what went wrong last; `answer` is the
    beginning of what the origin said to it.
    """

    id: str
    place: int
    method: str
    url: str
    route: str
    content_type: str
    size: int
    credentials: bool
    age: float
    attempts: int
    next_in: float | None = None
    expires_in: float | None = None
    settled: float | None = None
    status: int | None = None
    why: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class OutboxShown:
    """The outbox as of now. `enabled`: a route queues, or writes are left from when one did.

    `backing_off`: the queue waits for the origin. `oldest` is the age of the first in the queue.
    """

    query: OutboxQuery
    enabled: bool
    origin: Literal["up", "down", "unknown"]
    origin_url: str = ""
    origin_since: float | None = None
    counts: Mapping[State, int] | None = None
    oldest: float | None = None
    backing_off: bool = False
    queued: tuple[WriteRow, ...] = ()
    dead: tuple[WriteRow, ...] = ()
    done: tuple[WriteRow, ...] = ()

    def count(self, state: State) -> int:
        return (self.counts or {}).get(state, 0)

    def pages(self, state: State) -> int:
        return max(1, -(-self.count(state) // PAGE_SIZE))


class OutboxSource(Protocol):
    """Where the page looks."""

    async def shown(self, query: OutboxQuery) -> OutboxShown:
        """What `query` asks for; a page beyond the last one becomes the last one."""
        ...

    async def one(self, id_: str) -> WriteRow | None:
        """One write, to be asked about; None when it is not known (any more)."""
        ...


class OutboxActions(Protocol):
    """What an operator can do with writes; `by` says who it is."""

    async def retry(self, id_: str, *, by: str) -> bool:
        """Try the queue now, a dead letter behind it; False when there is no such write."""
        ...

    async def discard(self, id_: str, *, by: str) -> bool:
        """Forget a write: it is not sent any more; False when there is no such write."""
        ...

    async def retry_dead(self, *, by: str) -> int:
        """Queue all dead letters again; how many."""
        ...

    async def discard_dead(self, *, by: str) -> int:
        """Forget all dead letters; how many."""
        ...
