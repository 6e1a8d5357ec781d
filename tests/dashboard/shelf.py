"""A store as the cache pages see it: real index entries that a test makes as it likes, and a purge that removes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from proxy.policy.messages import StoredResponse
from proxy.storage.base import Entry
from webui import cache_shown

NOW = 1_800_000_000.0
SHELF = cache_shown.Shelf(stored=0, size=0, public_url="http://127.0.0.1:8080/")
T = TypeVar("T")


def stored(path: str, **changes: Any) -> Entry:
    """A stored response of `path`."""
    entry = Entry(
        key=f"GET {path}",
        vary=(),
        url=f"http://127.0.0.1:8080{path}",
        route="api",
        status=200,
        content_type="application/json",
        length=1000,
        stored_at=NOW - 60,
        last_used=NOW,
        fresh_until=NOW + 600,
        in_memory=True,
    )
    for name, value in changes.items():
        setattr(entry, name, value)
    return entry


def done(work: Generator[None, None, T]) -> T:
    """What work that is done in steps comes to."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


class Shelf:
    """Implements the part of the store that the cache pages and the purger ask for."""

    def __init__(self) -> None:
        self.shelved: list[Entry] = []
        self.heads: dict[str, StoredResponse] = {}
        self.changes = 0

    def add(self, entry: Entry, head: StoredResponse | None = None) -> None:
        self.changes += 1
        self.shelved.append(entry)
        if head is not None:
            self.heads[entry.key] = head

    def entries(self) -> Iterator[Entry]:
        return iter(list(self.shelved))

    def variants(self, key: str) -> Sequence[Entry]:
        return [entry for entry in self.shelved if entry.key == key]

    def with_url(self, url: str) -> list[Entry]:
        return [entry for entry in self.shelved if entry.url == url]

    async def head(self, entry: Entry) -> StoredResponse | None:
        return self.heads.get(entry.key)

    async def remove(
        self, covers: Callable[[Entry], bool], *, url: str | None = None, tag: str | None = None, note: object = None
    ) -> int:
        return self._replaced(covers, url, lambda _: None)

    async def expire(
        self,
        covers: Callable[[Entry], bool],
        since: float,
        *,
        url: str | None = None,
        tag: str | None = None,
        note: object = None,
    ) -> int:
        return self._replaced(covers, url, lambda entry: replace(entry, fresh_until=min(entry.fresh_until, since)))

    def _replaced(
        self, covers: Callable[[Entry], bool], url: str | None, becomes: Callable[[Entry], Entry | None]
    ) -> int:
        covered = [entry for entry in self.shelved if (url is None or entry.url == url) and covers(entry)]
        kept = [becomes(entry) if entry in covered else entry for entry in self.shelved]
        self.shelved = [entry for entry in kept if entry is not None]
        self.changes += 1
        return sum("\n" not in entry.key for entry in covered)
