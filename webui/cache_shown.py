"""What the cache pages show, and what an operator can do there.

Moments are seconds since the epoch, spans seconds, sizes bytes. URLs and fields are masked already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from webui.query import CacheQuery, target_start


@dataclass(frozen=True, slots=True)
class CacheRow:
    """One stored response. `fresh_for` is negative once it is stale; `age` is the time since it was stored here.

    `never_fresh`: it may never be used without asking the origin; kept for validation, and for when the origin fails.
    `own`: only one user may see it. `codings` are those it is stored in besides.
    """

    id: str
    url: str
    route: str
    status: int
    content_type: str
    size: int
    age: float
    fresh_for: float
    never_fresh: bool
    tiers: tuple[str, ...]
    hits: int
    tags: tuple[str, ...] = ()
    variants: int = 1
    own: bool = False
    codings: tuple[str, ...] = ()

    @property
    def authority(self) -> str:
        """The URL up to its path."""
        return self.url[: target_start(self.url)]

    @property
    def target(self) -> str:
        """The URL's path and query."""
        return self.url[target_start(self.url) :]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The whole that a page shows a part of: how much is stored, of which routes and types, how often to look again.

    `every` is in seconds: a look at a large store costs something, and the loop serves traffic besides.
    """

    stored: int
    size: int
    public_url: str
    routes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    copies: int = 0
    copies_size: int = 0
    every: int = 2


@dataclass(frozen=True, slots=True)
class CacheList:
    """One page of the stored responses: `total` match the query, their bodies are `size` bytes."""

    query: CacheQuery
    shelf: Shelf
    rows: tuple[CacheRow, ...]
    total: int
    size: int

    MOST_SHOWN = 10_000
    """How far a list goes: nobody turns 200 pages, and ordering all would cost what nobody reads."""

    @property
    def pages(self) -> int:
        return max(1, -(-min(self.total, self.MOST_SHOWN) // self.query.limit))

    @property
    def beyond(self) -> int:
        """How many match that no page shows."""
        return max(self.total - self.MOST_SHOWN, 0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Stored responses counted together. `hits` are answers given from them."""

    count: int = 0
    size: int = 0
    fresh: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree, `depth` levels down. `prefix` is the beginning that the URLs below share.

    A `response` is one URL: `first` is the id of the response stored for it, `row` that response if it is the only one.
    `more` stands for the `hidden` children of a place that are not listed. `only`: it has no siblings, and so is open.
    """

    kind: Literal["host", "folder", "queries", "response", "more"]
    label: str
    prefix: str
    depth: int
    tally: Tally
    open: bool = False
    only: bool = False
    row: CacheRow | None = None
    first: str = ""
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class CacheTree:
    """The stored responses that match, by host and path, opened along one way. `at` is where it ends."""

    query: CacheQuery
    shelf: Shelf
    branches: tuple[Branch, ...]
    whole: Tally
    at: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One stored response for a URL, or (with `coding`) a copy of one; `selected` says in words for whom it is."""

    id: str
    selected: tuple[str, ...]
    status: int
    size: int
    age: float
    fresh_for: float
    never_fresh: bool
    hits: int
    tiers: tuple[str, ...]
    own: bool
    coding: str = ""
    here: bool = False


@dataclass(frozen=True, slots=True)
class CacheDetail:
    """Everything there is to know about one stored response, save its body.

    `lifetime` says in words how long it is fresh and who said so, `use` what becomes of the next request.
    `fields` is None when the head could not be read. `explain` is empty where the URL holds what must not be shown.
    """

    row: CacheRow
    now: float
    stored_at: float
    last_used: float
    reason: str
    lifetime: str
    use: str
    validators: tuple[str, ...]
    selected: tuple[str, ...]
    fields: tuple[tuple[str, str], ...] | None
    variants: tuple[Variant, ...]
    explain: str = ""
    notes: tuple[str, ...] = field(default=())


class CacheSource(Protocol):
    """Where the pages look. Each look takes its time in small steps, so that traffic is not held up."""

    async def listed(self, query: CacheQuery) -> CacheList:
        """The page of stored responses that `query` asks for; a page beyond the last one becomes the last one."""
        ...

    async def tree(self, query: CacheQuery) -> CacheTree:
        """The tree of what `query` accepts, open at `query.at`."""
        ...

    async def detail(self, entry_id: str) -> CacheDetail | None:
        """One stored response; None when it is not there (any more)."""
        ...


class CacheActions(Protocol):
    """What an operator can do with stored responses; `by` says who it is. `soft`: mark stale, remove nothing."""

    async def purge_entry(self, entry_id: str, *, by: str, soft: bool = False) -> int:
        """Purge the stored response with this id; how many were purged (0: it was gone already)."""
        ...

    async def purge(self, query: CacheQuery, *, by: str, soft: bool = False) -> int:
        """Purge every stored response on the list of `query`, whatever its page; how many were purged."""
        ...
