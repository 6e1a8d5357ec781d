"""What the storage tests store: heads, stores and the bodies' bytes."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from proxy.policy.messages import Fields, StoredResponse, Vary
from proxy.storage.base import Body, Entry
from proxy.storage.index import RouteLimits
from proxy.storage.record import entry_of
from proxy.storage.tiers import Tiers

KIB = 2**10
MIB = 2**20


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def head(
    key: str = "http://shop/a",
    *,
    vary: Vary = (),
    route: str = "default",
    tags: tuple[str, ...] = (),
    at: float = 1_000_000.0,
    length: int = 0,
) -> StoredResponse:
    return StoredResponse(
        key=key,
        vary=vary,
        method="GET",
        url=key,
        status=200,
        reason="OK",
        fields=Fields(
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("ETag", '"v1"'),
                ("Cache-Control", "max-age=60"),
                ("Date", "Sun, 22 Nov 2026 10:00:00 GMT"),
                ("Server", "caf\xe9"),
            ]
        ),
        request_time=at,
        response_time=at,
        length=length,
        checksum=0,
        route=route,
        tags=tags,
        fresh_until=at + 60,
    )


def entry(record: int, key: str = "http://shop/a", *, last_used: float = 1_000_000.0, **parts: object) -> Entry:
    return entry_of(head(key, **parts), record, last_used)  # type: ignore[arg-type]


def tiers(
    directory: Path,
    *,
    memory: int = 4 * MIB,
    disk: int = 64 * MIB,
    memory_object: int = 128 * KIB,
    max_object: int = 16 * MIB,
    max_entries: int = 1000,
    max_variants: int = 4,
    max_index: int = 64 * MIB,
    write_behind: int = 8 * MIB,
    limits: Callable[[str], RouteLimits] = lambda _: RouteLimits(),
    now: Callable[[], float] | None = None,
) -> Tiers:
    return Tiers(
        memory=memory,
        disk=disk,
        directory=directory,
        memory_object=memory_object,
        max_object=max_object,
        max_entries=max_entries,
        max_variants=max_variants,
        max_index=max_index,
        write_behind=write_behind,
        limits=limits,
        now=now or Clock(),
    )


async def store(
    into: Tiers, stored: StoredResponse, content: bytes, *, mark: int | None = None, piece: int = 64 * KIB
) -> Entry | None:
    """Put a response the way the edge does: a spool, written in pieces, finished, put and closed."""
    begun = into.mark() if mark is None else mark
    spool = into.spool(len(content))
    assert spool is not None
    for start in range(0, len(content), piece):
        await spool.write(content[start : start + piece])
    await spool.finish()
    stored_entry = await into.put(stored, spool, begun)
    await spool.close()
    return stored_entry


async def content_of(body: Body, start: int = 0, stop: int | None = None) -> bytes:
    """All bytes of a body, which is closed afterwards."""
    try:
        return b"".join([chunk async for chunk in body.chunks(start, stop)])
    finally:
        await body.close()


async def loaded(store: Tiers, key: str = "http://shop/a") -> bytes | None:
    """The body that a hit on `key` would get; None for a miss."""
    for variant in store.variants(key):
        found = await store.load(variant)
        return None if found is None else await content_of(found[1])
    return None


async def flushed(store: Tiers) -> None:
    """Wait until the write-behind has written everything."""
    async with asyncio.timeout(20):
        while store.stats().write_behind_bytes:
            await asyncio.sleep(0.002)


def everything(_: Entry) -> bool:
    return True


def value_files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.val"))


def change(directory: Path, statement: str, *values: object) -> None:
    """Change the database behind the tier's back."""
    with closing(sqlite3.connect(directory / "cache" / "cache" / "cache.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


@contextmanager
def full_disk(size: int = 4096) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: a full disk, as far as SQLite and we can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def of_path(path: str) -> str:
    return f"http://shop/{path}"
