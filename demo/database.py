"""The one way to SQLite, so that no statement goes uncounted."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from aiohttp import web

Parameter = str | int | float | None
Parameters = Sequence[Parameter] | Mapping[str, Parameter]

SCHEMA = """
CREATE TABLE users (
  id TEXT PRIMARY KEY, username TEXT NOT NULL, full_name TEXT NOT NULL, place TEXT NOT NULL, bio TEXT NOT NULL,
  joined_at TEXT NOT NULL);
CREATE TABLE reports (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, author_id TEXT NOT NULL REFERENCES users(id),
  category TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, place TEXT NOT NULL, status TEXT NOT NULL,
  created_at TEXT NOT NULL, revision INTEGER NOT NULL DEFAULT 0);
CREATE INDEX reports_by_revision ON reports(revision);
CREATE INDEX reports_by_author ON reports(author_id);
CREATE TABLE photos (
  report_id TEXT NOT NULL REFERENCES reports(id), number INTEGER NOT NULL,
  PRIMARY KEY (report_id, number)) WITHOUT ROWID;
CREATE TABLE likes (
  report_id TEXT NOT NULL REFERENCES reports(id), user_id TEXT NOT NULL REFERENCES users(id),
  PRIMARY KEY (report_id, user_id)) WITHOUT ROWID;
CREATE INDEX likes_by_user ON likes(user_id);
CREATE TABLE comments (
  id INTEGER PRIMARY KEY, report_id TEXT NOT NULL REFERENCES reports(id),
  author_id TEXT NOT NULL REFERENCES users(id), text TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE INDEX comments_by_report ON comments(report_id);
CREATE TABLE conversations (id TEXT PRIMARY KEY, title TEXT NOT NULL, revision INTEGER NOT NULL DEFAULT 0);
CREATE TABLE participants (
  conversation_id TEXT NOT NULL REFERENCES conversations(id), user_id TEXT NOT NULL REFERENCES users(id),
  PRIMARY KEY (conversation_id, user_id)) WITHOUT ROWID;
CREATE INDEX participants_by_user ON participants(user_id);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL REFERENCES conversations(id),
  sender_id TEXT NOT NULL REFERENCES users(id), content TEXT NOT NULL, message_type TEXT NOT NULL,
  client_id TEXT, created_at TEXT NOT NULL);
CREATE INDEX messages_by_conversation ON messages(conversation_id, id);
CREATE INDEX messages_by_client_id ON messages(client_id) WHERE client_id IS NOT NULL;
CREATE TABLE idempotency (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, headers TEXT NOT NULL,
  answer TEXT NOT NULL) WITHOUT ROWID;
"""


class Database:
    """A fresh in-memory database that counts the statements it runs.

    Every statement of an application counts once, also each row of a bulk insert; only the schema, BEGIN, COMMIT
    and ROLLBACK do not. Nothing outlives the process, so every start begins with the same data.
    """

    def __init__(self) -> None:
        self.statements = 0
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(SCHEMA)
        self._revisions = itertools.count(1)
        self._run = secrets.token_hex(4)

    def all(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Every row that `sql` selects."""
        self.statements += 1
        return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """The first row that `sql` selects, or None."""
        self.statements += 1
        row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def write(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Run one INSERT, UPDATE or DELETE; the cursor knows `rowcount` and `lastrowid`."""
        self.statements += 1
        return self._connection.execute(sql, parameters)

    def write_rows(self, sql: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Run one INSERT for each of `rows`."""
        self.statements += len(rows)
        self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written inside, or nothing of it. Does not nest."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def next_revision(self) -> int:
        """A revision higher than every one given out before; seeded rows have revision 0."""
        return next(self._revisions)

    def version(self, revision: int) -> str:
        """A name for the state at `revision` that no other run of this process gives to another state.

        The seeded state is the same in every run and so is its name. Later ones carry the run's own mark: a cache
        that outlives this process must not have its copy confirmed by the next one.
        """
        return "0" if revision == 0 else f"{revision}.{self._run}"

    def close(self) -> None:
        self._connection.close()


DATABASE = web.AppKey("database", Database)
