"""The disk tier's database: diskcache, held to bytes. Everything here blocks and runs in the tier's threads.

A record has two rows, written in one transaction: `h` + number is its head, `b` + number its body, inline up
to 64 KiB and in a file of its own beyond that. Freshening rewrites the head's row alone. diskcache counts,
removes files after a transaction and reopens after a crash; which records stay is decided by our index, so
its own eviction is off and nothing is written on read.
"""

from __future__ import annotations

import os
import re
import sqlite3
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW, UNKNOWN

from proxy.errors import StorageError
from proxy.policy.messages import StoredResponse
from proxy.storage.base import Entry
from proxy.storage.record import DamagedRecord, decode_entry, decode_head, encode_head

INLINE = 64 * 2**10
"""Values from this many bytes on get a file of their own; heads this large are not stored."""

_NUMBER = struct.Struct(">cQ")
_FILENAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_BUSY_TIMEOUT = 2.0
_ROWS_PER_STATEMENT = 400
_SETTINGS = {
    "eviction_policy": "none",
    "cull_limit": 0,
    "statistics": 0,
    "tag_index": 0,
    "disk_min_file_size": INLINE,
    "sqlite_cache_size": 2**10,  # pages of 4 KiB per connection
    "sqlite_mmap_size": 0,  # a file that shrinks under a mapping kills the process
}


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of a head: another head, or the same one marked stale, or both in this order."""

    head: StoredResponse | None = None
    stale_since: float | None = None

    def applied_to(self, stored: StoredResponse) -> StoredResponse:
        edited = stored if self.head is None else self.head
        return edited if self.stale_since is None else marked_stale(edited, self.stale_since)

    def then(self, later: Edit) -> Edit:
        """One edit that does what both do in turn."""
        if later.head is not None:
            return later
        moments = [moment for moment in (self.stale_since, later.stale_since) if moment is not None]
        return Edit(self.head, min(moments, default=None))


@dataclass(slots=True)
class Batch:
    """Changes for one transaction, done in this order: deletes, puts, edits of heads."""

    deletes: Collection[int] = ()
    puts: Mapping[int, tuple[bytes, bytes | Path]] = field(default_factory=dict)
    edits: Mapping[int, Edit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a database held when it was opened: entries with the bytes they occupy, oldest first."""

    entries: list[tuple[Entry, int]]
    next_record: int
    damaged: int


class ByteDisk(diskcache.Disk):  # type: ignore[misc]  # the library ships no types
    """diskcache's value files for bytes alone: a pickle is neither written nor ever loaded (CVE-2025-69872)."""

    def __init__(self, directory: str, **settings: Any) -> None:
        super().__init__(directory, **settings)
        self.placed: list[str] = []

    def put(self, key: object) -> tuple[memoryview, bool]:
        if type(key) is not bytes:
            raise _refused(f"a key of type {type(key).__name__}")
        return memoryview(key), True

    def get(self, key: object, raw: object) -> bytes:
        if not raw or type(key) is not bytes:
            raise _refused("a key that is not plain bytes")
        return key

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> tuple[int, int, str | None, memoryview | None]:
        """As in diskcache; a Path is moved to its place, which costs no copy."""
        if type(value) is bytes and len(value) < self.min_file_size:
            return 0, MODE_RAW, None, memoryview(value)
        filename, full_path = self.filename(key, value)
        self.placed.append(full_path)
        os.makedirs(os.path.dirname(full_path), 0o700, exist_ok=True)
        if isinstance(value, Path):
            size = value.stat().st_size
            value.rename(full_path)
        elif type(value) is bytes:
            size = len(value)
            with FileIO(full_path, "x", opener=_private) as file:
                rest = memoryview(value)
                while rest:
                    rest = rest[file.write(rest) :]
        else:
            raise _refused(f"a value of type {type(value).__name__}")
        return size, MODE_BINARY, filename, None

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> bytes | FileIO:
        if mode == MODE_RAW and type(value) is bytes:
            return value
        if mode == MODE_BINARY and isinstance(filename, str) and _FILENAME.fullmatch(filename):
            file = self._open(filename)
            if read:
                return file
            with file:
                return file.readall()
        raise _refused(f"a value of mode {mode!r} in file {filename!r}")

    def _open(self, filename: str) -> FileIO:
        try:
            return FileIO(os.path.join(self._directory, filename), "r", opener=_no_link)
        except FileNotFoundError:
            raise
        except OSError as error:
            # diskcache takes any OSError for a missing value; being out of descriptors is not that.
            raise StorageError(f"a stored body cannot be opened: {error.strerror}") from error


class RecordCache(diskcache.Cache):  # type: ignore[misc]  # the library ships no types
    """diskcache's Cache with the two questions it has no method for."""

    def erase(self, keys: list[bytes]) -> list[str]:
        """Delete many keys in a few statements, and name their files, which the caller removes after the commit."""
        filenames: list[str] = []
        with self._transact() as (sql, _):
            for start in range(0, len(keys), _ROWS_PER_STATEMENT):
                part = keys[start : start + _ROWS_PER_STATEMENT]
                where = f"WHERE raw = 1 AND key IN ({','.join('?' * len(part))})"
                filenames += [name for (name,) in sql(f"SELECT filename FROM Cache {where}", part) if name]  # noqa: S608
                sql(f"DELETE FROM Cache {where}", part)  # noqa: S608
        return filenames

    def sizes(self) -> Iterator[tuple[bytes, str | None, int]]:
        """Key, file name and size of every body."""
        yield from self._sql(
            "SELECT key, filename, CASE WHEN filename IS NULL THEN length(value) ELSE size END"
            " FROM Cache WHERE raw = 1 AND key >= x'62' AND key < x'63'"
        )

    def heads(self) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of every head, in the order of their numbers."""
        yield from self._sql("SELECT key, value FROM Cache WHERE raw = 1 AND key >= x'68' AND key < x'69' ORDER BY key")


class Database:
    """Records in a directory. `write` belongs to one thread, `read` to another; each closes its connection."""

    def __init__(self, directory: Path) -> None:
        """Open or create. Raises OSError or sqlite3.Error."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._directory = directory
        self._cache = RecordCache(str(directory), timeout=_BUSY_TIMEOUT, disk=ByteDisk, **_SETTINGS)

    def recover(self) -> Recovered:
        """Every whole record; halves, damaged heads and files without a record are removed.

        Raises OSError or sqlite3.Error.
        """
        entries: list[tuple[Entry, int]] = []
        bodies = {key: (filename, size) for key, filename, size in self._cache.sizes()}
        self._remove_orphans({filename for filename, _ in bodies.values() if filename is not None})
        damaged: list[bytes] = []
        next_record = 1
        for key, value in self._cache.heads():
            body = bodies.pop(b"b" + key[1:], None)
            try:
                record = _number(key)
                next_record = max(next_record, record + 1)
                if type(value) is not bytes:
                    raise DamagedRecord("the head is not bytes")
                entry = decode_entry(value, record)
                if body is None or body[1] != entry.length:
                    raise DamagedRecord("the body is absent or has another length than the head says")
            except DamagedRecord:
                damaged += (key, b"b" + key[1:])
            else:
                entries.append((entry, disk_weight(len(value), entry.length)))
        for key in bodies:  # bodies without a head
            damaged += (key,)
        self._remove(self._cache.erase(damaged))
        return Recovered(entries, next_record, len(damaged))

    def write(self, batch: Batch) -> None:
        """Do all of it or nothing. Raises OSError, sqlite3.Error or diskcache.Timeout."""
        disk: ByteDisk = self._cache.disk
        disk.placed.clear()
        try:
            with self._cache.transact():
                keys = [key for record in batch.deletes for key in (_head(record), _body(record))]
                # A file must outlive a transaction that fails, or its record would be half a one.
                emptied = self._cache.erase(keys)
                for record, (head, body) in batch.puts.items():
                    self._cache.set(_body(record), body)
                    self._cache.set(_head(record), head)
                for record, edit in batch.edits.items():
                    self._edit(record, edit)
        except BaseException:
            for path in disk.placed:
                Path(path).unlink(missing_ok=True)
            raise
        self._remove(emptied)

    def read(self, record: int) -> tuple[StoredResponse, bytes | FileIO] | None:
        """A record's head and its body, as an open file when that is not inline; None when it is not there.

        Raises DamagedRecord, another StorageError, OSError, sqlite3.Error or diskcache.Timeout.
        """
        head = self._cache.get(_head(record))
        if head is None:
            return None
        stored = decode_head(head)
        body = self._cache.get(_body(record), read=True)
        if body is None:
            return None
        size = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
        if size != stored.length:
            if isinstance(body, FileIO):
                body.close()
            raise DamagedRecord(f"the body has {size} bytes, its head says {stored.length}")
        return stored, body

    def close(self) -> None:
        """Close the connection of the calling thread."""
        self._cache.close()

    def _edit(self, record: int, edit: Edit) -> None:
        head = self._cache.get(_head(record))
        if head is None:
            return
        try:
            stored = decode_head(head)
        except DamagedRecord:
            return  # the next read finds out and drops it; the rest of the batch must not suffer
        self._cache.set(_head(record), encode_head(edit.applied_to(stored)))

    def _remove(self, filenames: list[str]) -> None:
        for filename in filenames:
            if _FILENAME.fullmatch(filename):  # else the database was tampered with, and the file is not ours
                self._cache.disk.remove(filename)

    def _remove_orphans(self, known: set[str]) -> None:
        for folder, _, names in os.walk(self._directory):
            for name in names:
                path = Path(folder, name)
                if path.suffix == ".val" and str(path.relative_to(self._directory)) not in known:
                    path.unlink(missing_ok=True)


def marked_stale(stored: StoredResponse, since: float) -> StoredResponse:
    """The head after a soft purge; of two purges the earlier counts."""
    return replace(stored, stale_since=since if stored.stale_since is None else min(since, stored.stale_since))


def disk_weight(head: int, body: int) -> int:
    """The bytes a record occupies on disk, its share of pages and indexes included; an estimate (a test compares)."""
    if body >= INLINE:
        return head + 768 + -(-body // 4096) * 4096
    return head + 768 + body + (1024 if body >= 4096 else 0)  # the last of its overflow pages is part empty


def is_corrupt(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is bad, as opposed to a full, locked or unreachable disk."""
    if isinstance(error, DamagedRecord | TypeError | ValueError | NotADirectoryError | FileExistsError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    bad = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in bad


def _head(record: int) -> bytes:
    return _NUMBER.pack(b"h", record)


def _body(record: int) -> bytes:
    return _NUMBER.pack(b"b", record)


def _number(key: bytes) -> int:
    if len(key) != _NUMBER.size:
        raise DamagedRecord("the key has another length than ours")
    number: int = _NUMBER.unpack(key)[1]
    return number


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)


def _no_link(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW)


def _refused(what: str) -> DamagedRecord:
    return DamagedRecord(f"the disk tier keeps bytes under byte keys only, not {what}")
