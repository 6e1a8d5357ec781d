"""The outbox on disk: one SQLite database, one thread, every change durable before it is believed.

A write that was answered 202 is a promise: the commit is synchronous (WAL with synchronous=FULL) and comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from proxy.errors import StorageError
from proxy.policy.messages import Fields

log = logging.getLogger("cachewire.outbox")

State = Literal["queued", "done", "dead"]
T = TypeVar("T")

KEEP_DONE = 86400.0
KEEP_DEAD = 30 * 86400.0
MOST_DONE = 10_000
_VERSION = 1


class OutboxFull(StorageError):
    """As many writes are kept as may be."""

    reason = "outbox-full"


@dataclass(frozen=True, slots=True)
class Write:
    """A write that was accepted, without its content. Times are seconds since the epoch, `length` bytes of body.

    `response_status` and `answer` (at most 4 KiB) are the last answer of the origin to it, if there was one.
    """

    id: str
    state: State
    method: str
    target: str
    host: str
    scheme: str
    route: str
    idempotency_key: str
    length: int
    credentials: bool
    accepted_at: float
    retention: float
    next_attempt_at: float
    attempts: int = 0
    last_error: str = ""
    response_status: int | None = None
    answer: str = ""
    settled_at: float | None = None

    @property
    def expires_at(self) -> float:
        """When no further attempt is made."""
        return self.accepted_at + self.retention


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent for a write: the fields as the origin gets them, and the body (None: no content)."""

    fields: Fields
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A write as operators see it: `place` counts from 1 among those of its state; of its content the type alone."""

    write: Write
    place: int
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many writes are in which state; `oldest` is when the first of the queue was accepted."""

    queued: int = 0
    done: int = 0
    dead: int = 0
    oldest: float | None = None


class OutboxStore:
    """The database in `directory` (0700; files 0600). Raises StorageError from every method when the disk fails.

    At most `max_writes` writes and `max_bytes` of their bodies are kept, queued and dead ones together; dead
    letters give way to new writes, the oldest first.
    """

    def __init__(self, directory: Path, *, max_writes: int, max_bytes: int) -> None:
        self._directory = directory
        self._path = directory / "outbox.db"
        self._max_writes = max_writes
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._lock: int | None = None
        self._closed = False
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Take the directory and read the database; one that is corrupt is set aside and begun anew."""
        await self._do(self._open)

    async def close(self) -> None:
        """Release the directory."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def append(self, write: Write, content: Content, fingerprint: str | None) -> Write:
        """Keep a write behind all others, or return the queued one that it repeats. Raises OutboxFull."""
        return await self._do(lambda: self._append(write, content, fingerprint))

    async def head(self) -> Write | None:
        """The queued write that is to be sent next."""
        return await self._do(lambda: self._one("state = 'queued' ORDER BY position LIMIT 1"))

    async def find(self, id_: str) -> Write | None:
        return await self._do(lambda: self._one("id = ?", id_))

    async def content(self, id_: str) -> Content | None:
        """What to send; None once the write is done or gone."""
        return await self._do(lambda: self._content(id_))

    async def writes(self, limit: int) -> list[Write]:
        """Queued ones in their order, then dead ones, then done ones, the latest first."""
        return await self._do(lambda: self._listed(limit))

    async def page(self, state: State, limit: int, offset: int = 0) -> list[Kept]:
        """Some of the writes in one state: queued ones in their order, the others beginning with the latest."""
        return await self._do(lambda: self._page(state, limit, offset))

    async def counts(self) -> Counts:
        return await self._do(self._counts)

    async def postponed(self, id_: str, *, next_attempt_at: float, error: str, status: int | None) -> None:
        """Record a failed attempt that another one follows."""
        await self._execute(
            "UPDATE writes SET attempts = attempts + 1, next_attempt_at = ?, last_error = ?, response_status = ?"
            " WHERE id = ? AND state = 'queued'",
            (next_attempt_at, error, status, id_),
        )

    async def settled(self, id_: str, *, at: float, status: int, attempted: bool = True) -> None:
        """Record success. Head and body are forgotten: nobody needs them any more."""
        await self._execute(
            "UPDATE writes SET state = 'done', settled_at = ?, response_status = ?, attempts = attempts + ?,"
            " last_error = '', fields = NULL, body = NULL, fingerprint = NULL WHERE id = ?",
            (at, status, int(attempted), id_),
        )

    async def buried(
        self, id_: str, *, at: float, error: str, status: int | None, answer: str = "", attempted: bool = True
    ) -> None:
        """Record that the write failed for good; it is kept for an operator to look at, retry or delete."""
        await self._execute(
            "UPDATE writes SET state = 'dead', settled_at = ?, last_error = ?, response_status = ?, answer = ?,"
            " attempts = attempts + ?, fingerprint = NULL WHERE id = ?",
            (at, error, status, answer, int(attempted), id_),
        )

    async def revived(self, id_: str, now: float) -> bool:
        """Try a queued write now, or put a dead one behind the queue with its retention begun anew."""
        return await self._do(lambda: self._revive(id_, now))

    async def delete(self, id_: str) -> bool:
        """Forget a write; whether it was known."""
        return await self._execute("DELETE FROM writes WHERE id = ?", (id_,)) > 0

    async def revived_all(self, now: float) -> int:
        """Put all dead ones behind the queue, those that were accepted first before the others; how many."""
        return await self._do(lambda: self._revive_all(now))

    async def delete_dead(self) -> int:
        """Forget all dead ones; how many."""
        return await self._execute("DELETE FROM writes WHERE state = 'dead'", ())

    async def sweep(self, now: float) -> None:
        """Forget what was settled long ago."""
        await self._do(lambda: self._sweep(now))

    # In the thread

    async def _do(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StorageError("the outbox is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"the outbox in {self._directory} failed: {error}") from error

    async def _execute(self, statement: str, values: tuple[object, ...]) -> int:
        def run() -> int:
            with self._database as database:
                return database.execute(statement, values).rowcount

        return await self._do(run)

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError("the outbox is not open")
        return self._connection

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        self._take_lock()
        try:
            self._connection = self._connected()
        except sqlite3.Error as error:
            if not _is_corrupt(error):
                raise  # a full, locked or unreachable disk, which setting aside would not mend
            self._set_aside(error)
            self._connection = self._connected()

    def _take_lock(self) -> None:
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Two processes with one queue would send every write twice.
            raise StorageError(
                f"another process uses the outbox in {self._directory}; stop it, or set another outbox.dir"
            ) from None

    def _connected(self) -> sqlite3.Connection:
        # SQLite gives its journal the mode of the database, so the file must be ours alone from the beginning.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._path.chmod(0o600)
        connection = sqlite3.connect(self._path)
        try:
            # Authorization values are among what is deleted: no copy may stay in a free page.
            connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if verdict != "ok" or version not in (0, _VERSION):
                raise sqlite3.DatabaseError(verdict if verdict != "ok" else f"it has the unknown layout {version}")
            connection.executescript(_SCHEMA)
            connection.execute(f"SELECT {_COLUMNS}, fields, body, fingerprint FROM writes LIMIT 1")  # noqa: S608
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: Exception) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        aside = self._path.with_name(f"outbox.db.corrupt-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self._path}{suffix}", f"{aside}{suffix}")
        log.error("the outbox database is damaged (%s): set aside as %s, begun anew", error, aside)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _append(self, write: Write, content: Content, fingerprint: str | None) -> Write:
        with self._database as database:
            if fingerprint is not None and (same := self._one("state = 'queued' AND fingerprint = ?", fingerprint)):
                return same
            self._make_room(database, write.length)
            row = _row(write)
            row |= {"fields": json.dumps(list(content.fields)), "body": content.body, "fingerprint": fingerprint}
            names = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            database.execute(f"INSERT INTO writes ({names}) VALUES ({marks})", row)  # noqa: S608 (our own names)
        return write

    def _make_room(self, database: sqlite3.Connection, length: int) -> None:
        while True:
            count, held = database.execute(
                "SELECT count(*), coalesce(sum(length), 0) FROM writes WHERE state IN ('queued', 'dead')"
            ).fetchone()
            if count < self._max_writes and held + length <= self._max_bytes:
                return
            dead = "SELECT id FROM writes WHERE state = 'dead' ORDER BY settled_at LIMIT 1"
            if not database.execute(f"DELETE FROM writes WHERE id = ({dead})").rowcount:  # noqa: S608 (our own text)
                raise OutboxFull(f"the outbox holds {count} writes with {held} bytes, as many as it may")

    def _revive(self, id_: str, now: float) -> bool:
        with self._database as database:
            tried = database.execute(
                "UPDATE writes SET next_attempt_at = ? WHERE id = ? AND state = 'queued'", (now, id_)
            ).rowcount
            revived = database.execute(
                "UPDATE writes SET state = 'queued', next_attempt_at = :now, accepted_at = :now, attempts = 0,"
                " settled_at = NULL, answer = '', position = (SELECT max(position) + 1 FROM writes)"
                " WHERE id = :id AND state = 'dead'",
                {"now": now, "id": id_},
            ).rowcount
        return tried + revived > 0

    def _revive_all(self, now: float) -> int:
        with self._database as database:
            dead = database.execute("SELECT id FROM writes WHERE state = 'dead' ORDER BY position").fetchall()
            (last,) = database.execute("SELECT coalesce(max(position), 0) FROM writes").fetchone()
            database.executemany(
                "UPDATE writes SET state = 'queued', next_attempt_at = ?, accepted_at = ?, attempts = 0,"
                " settled_at = NULL, answer = '', position = ? WHERE id = ?",
                [(now, now, last + place, id_) for place, (id_,) in enumerate(dead, start=1)],
            )
        return len(dead)

    def _sweep(self, now: float) -> None:
        with self._database as database:
            database.execute("DELETE FROM writes WHERE state = 'done' AND settled_at < ?", (now - KEEP_DONE,))
            database.execute("DELETE FROM writes WHERE state = 'dead' AND settled_at < ?", (now - KEEP_DEAD,))
            database.execute(
                "DELETE FROM writes WHERE position IN (SELECT position FROM writes WHERE state = 'done'"
                " ORDER BY settled_at DESC LIMIT -1 OFFSET ?)",
                (MOST_DONE,),
            )
        # What was deleted must not linger in the journal either.
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _one(self, where: str, *values: object) -> Write | None:
        row = self._database.execute(f"SELECT {_COLUMNS} FROM writes WHERE {where}", values).fetchone()  # noqa: S608
        return None if row is None else _write(row)

    def _content(self, id_: str) -> Content | None:
        row = self._database.execute("SELECT fields, body FROM writes WHERE id = ?", (id_,)).fetchone()
        if row is None or row[0] is None:
            return None
        return Content(Fields((name, value) for name, value in json.loads(row[0])), row[1])

    def _listed(self, limit: int) -> list[Write]:
        order = "CASE state WHEN 'queued' THEN 0 WHEN 'dead' THEN 1 ELSE 2 END, coalesce(-settled_at, position)"
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM writes ORDER BY {order} LIMIT ?", (limit,))  # noqa: S608
        return [_write(row) for row in rows]

    def _page(self, state: State, limit: int, offset: int) -> list[Kept]:
        order = "position" if state == "queued" else "settled_at DESC, position DESC"
        rows = self._database.execute(
            f"SELECT fields, {_COLUMNS} FROM writes WHERE state = ? ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608
            (state, limit, offset),
        )
        return [
            Kept(_write(row[1:]), offset + place, _content_type(row[0]))
            for place, row in enumerate(rows.fetchall(), start=1)
        ]

    def _counts(self) -> Counts:
        rows = self._database.execute("SELECT state, count(*) FROM writes GROUP BY state")
        (oldest,) = self._database.execute("SELECT min(accepted_at) FROM writes WHERE state = 'queued'").fetchone()
        return Counts(**dict(rows.fetchall()), oldest=oldest)


_NAMES = tuple(Write.__dataclass_fields__)
_COLUMNS = ", ".join(_NAMES)
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS writes (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
  method TEXT NOT NULL, target TEXT NOT NULL, host TEXT NOT NULL, scheme TEXT NOT NULL, route TEXT NOT NULL,
  idempotency_key TEXT NOT NULL, length INTEGER NOT NULL, credentials INTEGER NOT NULL,
  accepted_at REAL NOT NULL, retention REAL NOT NULL, next_attempt_at REAL NOT NULL,
  attempts INTEGER NOT NULL, last_error TEXT NOT NULL, response_status INTEGER, answer TEXT NOT NULL,
  settled_at REAL, fields TEXT, body BLOB, fingerprint TEXT
);
CREATE INDEX IF NOT EXISTS by_state ON writes (state, position);
CREATE INDEX IF NOT EXISTS by_fingerprint ON writes (fingerprint) WHERE fingerprint IS NOT NULL;
PRAGMA user_version = {_VERSION};
COMMIT;
"""


def _is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file itself is bad; what is raised here without a code of SQLite's says so as well."""
    code = getattr(error, "sqlite_errorcode", None)
    bad = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)
    return code is None or code & 0xFF in bad


def _row(write: Write) -> dict[str, object]:
    return {name: getattr(write, name) for name in _NAMES}


def _write(row: tuple[object, ...]) -> Write:
    values = dict(zip(_NAMES, row, strict=True))
    return Write(**{**values, "credentials": bool(values["credentials"])})  # type: ignore[arg-type] # our own row


def _content_type(fields: str | None) -> str:
    """Of the fields of a write, which are forgotten when it is delivered."""
    found = [value for name, value in json.loads(fields or "[]") if name.lower() == "content-type"]
    return str(found[0]) if found else ""
