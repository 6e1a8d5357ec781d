"""All tiers as one Store: the index decides what is stored, memory and disk hold the bytes.

Small bodies live in memory and on disk, bodies over `memory_object` on disk alone. Whatever needs no disk is
done without a thread and without a task, and in one step of the loop, so that nobody sees it half done. Where
a step does wait for the disk, the index is asked again afterwards: the entry may have been purged meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from proxy.errors import StorageError
from proxy.policy.codings import coding_of
from proxy.policy.messages import StoredResponse
from proxy.storage.base import Body, Entry, Spool
from proxy.storage.bodies import FileBody, MemoryBody
from proxy.storage.database import Edit, disk_weight
from proxy.storage.disk import DiskTier
from proxy.storage.files import SharedFile
from proxy.storage.index import Index, RouteLimits
from proxy.storage.memory import MemoryTier, Resident
from proxy.storage.purges import PurgeLog
from proxy.storage.record import DamagedRecord, encode_head, entry_of
from proxy.storage.spool import BodySpool
from proxy.storage.stats import StoreStats

_KEYS_PER_STEP = 200


_log = logging.getLogger("cachewire.storage")


class Tiers:
    """The Store. `memory=0` or `disk=0` switches that tier off; `limits` tells a route's bounds by its name."""

    def __init__(
        self,
        *,
        memory: int,
        disk: int,
        directory: Path,
        memory_object: int,
        max_object: int,
        max_entries: int,
        max_variants: int,
        max_index: int,
        write_behind: int,
        limits: Callable[[str], RouteLimits],
        now: Callable[[], float],
    ) -> None:
        self._now = now
        self._memory_object = memory_object
        self._max_object = max_object
        self._disk_capacity = disk
        self._memory = MemoryTier(memory, memory_object)
        self._index = Index(
            max_entries=max_entries, max_variants=max_variants, max_bytes=max_index, disk=disk, limits=limits
        )
        self._disk = (
            DiskTier(directory, write_behind=write_behind, now=now, on_loss=self._lost_on_disk) if disk else None
        )
        self._purges = PurgeLog()
        self._unverified: set[int] = set()
        self._records = 0
        self._evictions = {"memory": 0, "disk": 0}
        self._expired = 0
        self._purged = self._marked_stale = 0
        self._damaged = 0

    async def open(self) -> None:
        """Read the index from disk. Raises DirectoryInUse when another process has the directory."""
        if self._disk is None:
            return
        recovered = await self._disk.open()
        self._damaged += recovered.damaged
        self._unverified = {entry.record for entry, _ in recovered.entries}
        for entry, size in recovered.entries:
            self._evict(self._index.insert(entry, size))

    async def close(self) -> None:
        if self._disk is not None:
            await self._disk.close()

    def mark(self) -> int:
        return self._purges.sequence

    def admits(self, stored: StoredResponse, mark: int) -> bool:
        return self._purges.applied_to(stored, mark) is not None

    def variants(self, key: str) -> Sequence[Entry]:
        return self._index.variants(key)

    def entries(self) -> Iterator[Entry]:
        return iter(list(self._index.entries()))

    @property
    def changes(self) -> int:
        """How many entries came or went since the start."""
        return self._index.changes

    def with_url(self, url: str) -> list[Entry]:
        """Every entry of one URL, coded copies included."""
        return self._index.with_url(url)

    async def head(self, entry: Entry) -> StoredResponse | None:
        """The head of an entry, for eyes: it counts as no use. None when it vanished or cannot be read now."""
        resident = self._memory.peek(entry.record)
        if resident is not None or self._disk is None or not entry.on_disk:
            return None if resident is None else resident.stored
        try:
            found = await self._disk.read(entry.record)
        except DamagedRecord:
            return None  # whoever wants to use it next finds out and drops it
        if found is not None and isinstance(found[1], SharedFile):
            found[1].release()
        return None if found is None else found[0]

    def resident(self, entry: Entry) -> Resident | None:
        """The response of an entry if memory holds it, without waiting; counts as a use of the entry."""
        if self._index.current(entry.record) is not entry:
            return None
        resident = self._memory.find(entry.record)
        if resident is not None:
            self._index.touch(entry, self._now())
        return resident

    async def load(self, entry: Entry) -> tuple[StoredResponse, Body] | None:
        resident = self.resident(entry)
        if resident is not None:
            return resident.stored, MemoryBody(resident.body)
        return await self._load_from_disk(entry.record)

    def spool(self, expected: int | None) -> Spool | None:
        limit = self._object_limit()
        if limit <= 0 or (expected is not None and expected > limit):
            return None
        return BodySpool(
            expected=expected,
            memory_limit=self._memory_object,
            object_limit=limit,
            incoming=self._disk.incoming if self._disk is not None else None,
            on_refusal=self._disk.refused if self._disk is not None else lambda _: None,
        )

    async def put(self, stored: StoredResponse, spool: Spool, mark: int) -> Entry | None:
        assert isinstance(spool, BodySpool), "a store takes its own spools only"
        if not spool.finished or not spool.storable:
            return None
        stored = replace(stored, length=spool.written, checksum=spool.checksum)
        current = self._purges.applied_to(stored, mark)
        if current is None:
            return None
        try:
            body = spool.take()
        except StorageError:
            return None
        if isinstance(body, bytes):
            return self._keep(current, body)
        return await self._place(current, body, mark)

    async def freshen(self, entry: Entry, stored: StoredResponse) -> Entry | None:
        if self._index.current(entry.record) is not entry:
            return None
        stored = replace(stored, key=entry.key, length=entry.length, checksum=entry.checksum)
        return self._edit(entry, Edit(head=stored))

    async def remove(
        self,
        covers: Callable[[Entry], bool],
        *,
        url: str | None = None,
        tag: str | None = None,
        note: Callable[[Entry], None] | None = None,
    ) -> int:
        covers = _narrowed(covers, url, tag)
        self._purges.add(covers)
        records, responses = [], 0
        async for entry in self._covered(covers, url, tag):
            records.append(entry.record)
            responses += not coding_of(entry.key)
            self._drop(entry)
            if note is not None:
                note(entry)
        self._purged += responses
        await self._settle(records)
        return responses

    async def expire(
        self,
        covers: Callable[[Entry], bool],
        since: float,
        *,
        url: str | None = None,
        tag: str | None = None,
        note: Callable[[Entry], None] | None = None,
    ) -> int:
        covers = _narrowed(covers, url, tag)
        self._purges.add(covers, since)
        records, responses = [], 0
        async for entry in self._covered(covers, url, tag):
            records.append(entry.record)
            responses += not coding_of(entry.key)
            self._edit(entry, Edit(stale_since=since))
            if note is not None:
                note(entry)
        self._marked_stale += responses
        await self._settle(records)
        return responses

    async def sweep(self) -> None:
        for entry in self._index.expired(self._now()):
            self._drop(entry)
            self._expired += 1
        if self._disk is not None:
            self._disk.retry()

    @property
    def memory_limit(self) -> int:
        """The most bytes that the memory tier holds now; 0 while it is off."""
        return self._memory.capacity

    def resize_memory(self, capacity: int) -> None:
        """Let memory hold so many bytes from now on; what is too much leaves it at once."""
        self._left_memory(self._memory.resize(capacity))

    def stats(self) -> StoreStats:
        """The figures of this moment."""
        disk = self._disk
        return StoreStats(
            entries=len(self._index),
            memory_entries=len(self._memory),
            memory_bytes=self._memory.bytes_held,
            disk_entries=self._index.disk_entries,
            disk_bytes=self._index.disk_bytes,
            evictions=MappingProxyType(dict(self._evictions)),
            expired=self._expired,
            purged=self._purged,
            marked_stale=self._marked_stale,
            damaged=self._damaged,
            write_behind_bytes=disk.queued_bytes if disk else 0,
            dropped_writes=disk.dropped_writes if disk else 0,
            storage_errors=disk.errors if disk else 0,
            disk_available=not disk.off if disk else None,
        )

    # Putting

    def _object_limit(self) -> int:
        in_memory = min(self._memory_object, self._memory.capacity)
        on_disk = self._disk_capacity if self._disk is not None and self._disk.available else 0
        return min(self._max_object, max(in_memory, on_disk))

    def _keep(self, stored: StoredResponse, body: bytes) -> Entry | None:
        """Store a small body: in memory now, on disk soon."""
        entry = entry_of(stored, self._number(), self._now())
        self._supersede(entry)
        size = self._enqueue(entry, stored, body)
        kept, evicted = self._memory.admit(entry.record, stored, body)
        entry.in_memory, entry.on_disk = kept, size > 0
        if kept or size:
            self._evict(self._index.insert(entry, size))
        self._left_memory(evicted)
        return entry if self._index.current(entry.record) is entry else None

    async def _place(self, stored: StoredResponse, path: Path, mark: int) -> Entry | None:
        """Store a body that is in a file: the file moves to its place, nothing is copied."""
        assert self._disk is not None, "only the disk tier spools to files"
        entry = entry_of(stored, self._number(), self._now())
        head = encode_head(stored)
        if not await self._disk.place(entry.record, head, path):
            return None
        current = self._purges.applied_to(stored, mark)
        if current is None:
            self._disk.discard([entry.record])
            return None
        if current.stale_since != stored.stale_since:
            self._disk.edit(entry.record, Edit(head=current))
            entry = entry_of(current, entry.record, entry.last_used)
        self._supersede(entry)
        entry.on_disk = True
        self._evict(self._index.insert(entry, disk_weight(len(head), entry.length)))
        return entry if self._index.current(entry.record) is entry else None

    def _supersede(self, entry: Entry) -> None:
        replaced = self._index.variant(entry.key, entry.vary)
        if replaced is not None:
            self._memory.discard(replaced.record, superseded=True)
            self._drop(replaced)

    def _enqueue(self, entry: Entry, stored: StoredResponse, body: bytes) -> int:
        """The bytes its disk copy will occupy; 0 when there will be none."""
        if self._disk is None or not self._disk.available:
            return 0
        head = encode_head(stored)
        size = disk_weight(len(head), len(body))
        fits = size <= self._disk_capacity
        return size if fits and self._disk.enqueue(entry.record, stored, head, body) else 0

    def _number(self) -> int:
        if self._disk is not None:
            return self._disk.number()
        self._records += 1
        return self._records

    # Loading

    async def _load_from_disk(self, record: int) -> tuple[StoredResponse, Body] | None:
        while (entry := self._index.current(record)) is not None and entry.on_disk and self._disk is not None:
            try:
                found = await self._read(entry)
            except DamagedRecord:
                if self._index.current(record) is entry:
                    self._damage(record)
                    return None
                continue
            if found is None:
                return None
            stored, content = found
            if self._index.current(record) is entry:
                self._index.touch(entry, self._now())
                return stored, self._body(entry, stored, content)
            # Purged, replaced or edited while the disk was read: what was read may be out of date.
            if isinstance(content, SharedFile):
                content.release()
        return None

    async def _read(self, entry: Entry) -> tuple[StoredResponse, bytes | SharedFile] | None:
        """The head and body of an entry, small bodies whole and verified. Raises DamagedRecord."""
        assert self._disk is not None
        found = await self._disk.read(entry.record)
        if found is None:
            return None
        stored, content = found
        if isinstance(content, SharedFile) and stored.length <= self._memory_object:
            content = await self._disk.read_whole(content, stored.length)
        if isinstance(content, SharedFile) and entry.record in self._unverified:
            # Whatever happened to the file while no process of ours watched: better read it once than serve it.
            if not await content.holds(stored.length, stored.checksum):
                content.release()
                raise DamagedRecord("the body fails its length or checksum")
            self._unverified.discard(entry.record)
        if isinstance(content, bytes) and (len(content), zlib.crc32(content)) != (stored.length, stored.checksum):
            raise DamagedRecord("the body fails its length or checksum")
        return stored, content

    def _body(self, entry: Entry, stored: StoredResponse, content: bytes | SharedFile) -> Body:
        if isinstance(content, SharedFile):
            return FileBody(content, stored.length, stored.checksum, lambda: self._damage(entry.record))
        if entry.record not in self._memory:
            entry.in_memory, evicted = self._memory.admit(entry.record, stored, content)
            self._left_memory(evicted)
        return MemoryBody(content)

    # Leaving

    def _drop(self, entry: Entry) -> None:
        self._index.discard(entry)
        self._release(entry)

    def _release(self, entry: Entry) -> None:
        """Let the tiers forget what the index has forgotten."""
        self._unverified.discard(entry.record)
        self._memory.discard(entry.record)
        if entry.on_disk and self._disk is not None:
            self._disk.discard([entry.record])
        entry.in_memory = entry.on_disk = False

    def _evict(self, displaced: Iterable[Entry]) -> None:
        for entry in displaced:
            self._evictions["memory"] += entry.in_memory
            self._evictions["disk"] += entry.on_disk
            self._release(entry)

    def _left_memory(self, records: Iterable[int]) -> None:
        for record in records:
            self._evictions["memory"] += 1
            entry = self._index.current(record)
            if entry is not None:
                entry.in_memory = False
                if not entry.on_disk:
                    self._index.discard(entry)

    def _lost_on_disk(self, records: Iterable[int] | None) -> None:
        for record in [entry.record for entry in self._index.entries()] if records is None else records:
            entry = self._index.current(record)
            if entry is not None and entry.on_disk:
                entry.on_disk = False
                self._index.left_disk(entry)
                if not entry.in_memory:
                    self._index.discard(entry)

    def _damage(self, record: int) -> None:
        entry = self._index.current(record)
        if entry is not None:
            self._damaged += 1
            where = entry.url.partition("?")[0]
            _log.warning("what was stored for %s is damaged on disk; it is dropped, and will be fetched again", where)
            self._drop(entry)

    # Changing heads

    def _edit(self, entry: Entry, edit: Edit) -> Entry | None:
        """Another head for an entry: another entry takes its place, so that nobody trusts the old head."""
        resident = self._memory.peek(entry.record)
        stored = edit.applied_to(resident.stored) if resident is not None else edit.head
        if stored is not None:
            changed = entry_of(stored, entry.record, entry.last_used)
            changed.hits = entry.hits
        else:
            since = entry.fresh_until if edit.stale_since is None else edit.stale_since
            changed = replace(entry, fresh_until=min(entry.fresh_until, since))
        changed.in_memory, changed.on_disk = entry.in_memory, entry.on_disk
        evicted = self._memory.replace_head(entry.record, stored) if stored is not None else []
        if entry.on_disk and self._disk is not None:
            self._disk.edit(entry.record, edit)
        self._evict(self._index.replace(entry, changed))
        self._left_memory(evicted)
        entry.in_memory = entry.on_disk = False
        return changed if self._index.current(changed.record) is changed else None

    async def _settle(self, records: list[int]) -> None:
        """Return from a purge only when a restart could not undo it any more."""
        if self._disk is not None:
            self._disk.void()
            await self._disk.settle(records)

    async def _covered(self, covers: Callable[[Entry], bool], url: str | None, tag: str | None) -> AsyncIterator[Entry]:
        """The entries that a purge covers. A search of everything gives way to others now and then; it goes by
        key, because an entry may be replaced by a freshened one meanwhile."""
        if url is not None or tag is not None:
            for entry in self._index.with_url(url) if url is not None else self._index.tagged(tag or ""):
                if covers(entry):
                    yield entry
            return
        for count, key in enumerate(self._index.keys(), start=1):
            for entry in self._index.variants(key):
                if covers(entry):
                    yield entry
            if count % _KEYS_PER_STEP == 0:
                await asyncio.sleep(0)


def _narrowed(covers: Callable[[Entry], bool], url: str | None, tag: str | None) -> Callable[[Entry], bool]:
    return lambda entry: (url is None or entry.url == url) and (tag is None or tag in entry.tags) and covers(entry)
