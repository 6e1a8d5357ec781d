"""The contract of a store. A store knows bytes, sizes and keys; what may be reused is policy's business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.policy.messages import StoredResponse, Vary


@dataclass(slots=True, eq=False)
class Entry:
    """One stored response in the index: enough to select, list, expire and purge without reading it.

    `stored_at` and `last_used` (seconds since the epoch) are kept apart, so that use never prolongs age; `date` is
    when the origin made it, by its own clock.
    `in_memory` and `on_disk` say which tiers hold it (the disk tier from the moment its write is queued).
    Identity is the object itself: a replaced, freshened or soft-purged response is another entry.
    `record` is the number under which the tiers know the bytes, `checksum` the body's CRC-32; both are the
    store's own affair.
    """

    key: str
    vary: Vary
    url: str
    route: str
    status: int
    content_type: str
    length: int
    stored_at: float
    last_used: float
    fresh_until: float
    tags: tuple[str, ...] = ()
    in_memory: bool = False
    on_disk: bool = False
    hits: int = 0
    record: int = 0
    checksum: int = 0
    date: float = 0.0


class Body(Protocol):
    """A body's bytes. `length` is None while it is not known yet. Close it when done, always."""

    @property
    def length(self) -> int | None: ...

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`.

        Raises BodyIncomplete when the source breaks off or a stored body fails its length or checksum.
        """
        ...

    async def close(self) -> None: ...


class Spool(Protocol):
    """A body on its way in: one writer, any number of readers who may start at any time.

    Small bodies stay in memory; a body over the store's threshold moves to a temporary file of the disk tier.
    """

    @property
    def written(self) -> int: ...

    @property
    def storable(self) -> bool:
        """Whether `Store.put` may still take it; once False, the spool only passes bytes on to its readers."""
        ...

    @property
    def joinable(self) -> bool:
        """Whether a reader opened now would still get the first byte."""
        ...

    @property
    def abandoned(self) -> bool:
        """It cannot be stored and nobody reads: the next `write` raises StorageError, so stop fetching."""
        ...

    async def write(self, chunk: bytes) -> None: ...

    async def finish(self) -> None:
        """No more bytes: readers end after the last one."""
        ...

    async def abort(self, error: Exception) -> None:
        """Readers raise `error` after the bytes they can still get; nothing can be stored any more."""
        ...

    def open(self) -> Body:
        """A reader of its own pace. Its `length` is None until the spool is finished."""
        ...

    @property
    def readers(self) -> int:
        """How many bodies are open."""
        ...

    async def close(self) -> None:
        """Drop the bytes once the last reader has closed (a no-op after `Store.put` took them)."""
        ...


class Store(Protocol):
    """Stored responses of all tiers as one. Failures of a tier cost hits, never raise (except from `open`)."""

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Flush the write-behind, then release everything."""
        ...

    def mark(self) -> int:
        """A point in the order of purges, taken before a fetch begins and given back to `put`."""
        ...

    def admits(self, stored: StoredResponse, mark: int) -> bool:
        """Whether no purge since `mark` keeps this response out."""
        ...

    def variants(self, key: str) -> Sequence[Entry]:
        """The entries under a primary key, newest first. Never blocks."""
        ...

    async def load(self, entry: Entry) -> tuple[StoredResponse, Body] | None:
        """The stored response of an entry, or None when it vanished or is damaged (then it is dropped)."""
        ...

    def spool(self, expected: int | None) -> Spool | None:
        """A place for a body of `expected` bytes (None: not announced); None when it would be too large."""
        ...

    async def put(self, stored: StoredResponse, spool: Spool, mark: int) -> Entry | None:
        """Store a finished spool under `stored.key` and `stored.vary`, replacing what is there.

        `stored.length` and `stored.checksum` are filled in by the store. None when it was not stored:
        a purge after `mark` covers it, or no tier takes it.
        """
        ...

    async def freshen(self, entry: Entry, stored: StoredResponse) -> Entry | None:
        """Replace the head of an entry and keep its body (RFC 9111 section 4.3.4)."""
        ...

    async def remove(
        self,
        covers: Callable[[Entry], bool],
        *,
        url: str | None = None,
        tag: str | None = None,
        note: Callable[[Entry], None] | None = None,
    ) -> int:
        """Remove every entry that `covers` accepts, and refuse later puts begun before now that it accepts.

        `url` or `tag` narrows both to entries that have it, and makes the search as short as their number. `note` is
        called with each entry that goes. Returns how many responses that were; their coded copies go with them and are
        not counted.
        """
        ...

    async def expire(
        self,
        covers: Callable[[Entry], bool],
        since: float,
        *,
        url: str | None = None,
        tag: str | None = None,
        note: Callable[[Entry], None] | None = None,
    ) -> int:
        """Soft purge: mark every entry that `covers` accepts stale since `since`; narrowed and noted as in `remove`."""
        ...

    async def sweep(self) -> None:
        """Drop what outlived its route's `max_age` and retry what the disk refused; call it now and then."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Every entry, in no particular order."""
        ...
