"""A write that is repeated with its Idempotency-Key happens once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from demo.answers import json_answer
from demo.database import DATABASE, Database
from demo.problems import Problem, bad_request

KEY = re.compile(r'"?[\x21\x23-\x7e]{1,200}"?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write answers."""

    status: int
    document: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)


def write_once(request: web.Request, body: bytes, write: Callable[[Database], Written]) -> web.Response:
    """Run `write` in one transaction; a repetition gets the first one's answer and writes nothing.

    `body` is what the client sent: the same key with another body is a client's mistake (422). Synchronous on
    purpose: between looking the key up and keeping it, no other request runs.
    """
    database = request.app[DATABASE]
    key = _key(request)
    fingerprint = hashlib.sha256(b"\0".join((request.method.encode(), request.path.encode(), body))).hexdigest()
    if key is not None and (before := _recall(database, key, fingerprint)) is not None:
        headers = {**before.headers, "Idempotency-Replayed": "true"}
        return json_answer(request, before.document, headers, status=before.status)
    with database.transaction():
        written = write(database)
        if key is not None:
            _remember(database, key, fingerprint, written)
    return json_answer(request, written.document, written.headers, status=written.status)


def _key(request: web.Request) -> str | None:
    value = request.headers.get("Idempotency-Key")
    if value is None:
        return None
    if not KEY.fullmatch(value):
        raise bad_request("Idempotency-Key must be 1 to 200 visible ASCII characters, such as a UUID.")
    return value.strip('"')


def _recall(database: Database, key: str, fingerprint: str) -> Written | None:
    row = database.one("SELECT fingerprint, status, headers, answer FROM idempotency WHERE key = ?", (key,))
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise Problem(422, "This Idempotency-Key was used for a different request; take a new one.")
    return Written(row["status"], json.loads(row["answer"]), json.loads(row["headers"]))


def _remember(database: Database, key: str, fingerprint: str, written: Written) -> None:
    database.write(
        "INSERT INTO idempotency (key, fingerprint, status, headers, answer) VALUES (?, ?, ?, ?, ?)",
        (key, fingerprint, written.status, json.dumps(dict(written.headers)), json.dumps(dict(written.document))),
    )
