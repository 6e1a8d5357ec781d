"""What people add: likes, comments and new reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import BodyPartReader, web

from demo import parameters
from demo.database import Database
from demo.idempotency import Written, write_once
from demo.people import acting_user, existing_user
from demo.pictures import PICTURES
from demo.problems import Problem, bad_request
from demo.reports import comment, details, version
from demo.seed import timestamp
from demo.vocabulary import CATEGORIES

LARGEST_PHOTO = 6 * 2**20
LARGEST_FIELD = 16 * 2**10


async def like(request: web.Request) -> web.Response:
    """Like a report; liking it twice changes nothing."""
    body, user = await _acting(request)
    return write_once(request, body, lambda database: _set_like(database, request.match_info["id"], user, liked=True))


async def unlike(request: web.Request) -> web.Response:
    """Take a like back; taking it back twice changes nothing."""
    body, user = await _acting(request)
    return write_once(request, body, lambda database: _set_like(database, request.match_info["id"], user, liked=False))


async def add_comment(request: web.Request) -> web.Response:
    document = await parameters.json_object(request)
    author = acting_user(request, _claimed(document, "author_id"))
    text = parameters.text(document, "text", longest=1000)
    report = request.match_info["id"]

    def write(database: Database) -> Written:
        version(database, report)
        existing_user(database, author)
        cursor = database.write(
            "INSERT INTO comments (report_id, author_id, text, created_at) VALUES (?, ?, ?, ?)",
            (report, author, text, _now()),
        )
        _touch(database, report)
        row = database.one(
            "SELECT comments.*, username, full_name FROM comments JOIN users ON users.id = author_id"
            " WHERE comments.id = ?",
            (cursor.lastrowid,),
        )
        assert row is not None, "it was inserted in this transaction"
        # Location is the report the comment is part of, so that a cache forgets its copy (RFC 9111 section 4.4).
        return Written(201, comment(row), {"Location": f"/api/reports/{report}", **_changes(report)})

    return write_once(request, await request.read(), write)


async def create_report(request: web.Request) -> web.Response:
    """A new report, as JSON or as a form with an optional photo."""
    document, photo = await _new_report(request)
    author = acting_user(request, _claimed(document, "author_id"))
    category = document.get("category")
    if category not in CATEGORIES:
        raise bad_request(f"category must be one of: {', '.join(CATEGORIES)}.")
    title = parameters.text(document, "title", longest=120)
    text = parameters.text(document, "text", longest=4000)
    place = parameters.text(document, "place", longest=120, default="Somewhere in town")
    picture = None if photo is None else await request.app[PICTURES].developed(photo)

    def write(database: Database) -> Written:
        existing_user(database, author)
        cursor = database.write(
            "INSERT INTO reports (id, author_id, category, title, text, place, status, created_at, revision)"
            " VALUES ('r' || (SELECT MAX(number) + 1 FROM reports), ?, ?, ?, ?, ?, 'open', ?, ?)",
            (author, str(category), title, text, place, _now(), database.next_revision()),
        )
        report = f"r{cursor.lastrowid}"
        if picture is not None:
            database.write("INSERT INTO photos (report_id, number) VALUES (?, 1)", (report,))
            request.app[PICTURES].keep(f"{report}-1.jpg", picture)
        headers = {"Location": f"/api/reports/{report}", "ETag": version(database, report), **_changes(report)}
        return Written(201, details(database, report), headers)

    fingerprint = json.dumps(document, sort_keys=True).encode() + (photo or b"")
    return write_once(request, fingerprint, write)


def _set_like(database: Database, report: str, user: str, *, liked: bool) -> Written:
    version(database, report)
    existing_user(database, user)
    cursor = database.write(
        "INSERT OR IGNORE INTO likes (report_id, user_id) VALUES (?, ?)"
        if liked
        else "DELETE FROM likes WHERE report_id = ? AND user_id = ?",
        (report, user),
    )
    if cursor.rowcount:
        _touch(database, report)
    # The answer is the report as it now is, and says so: a cache forgets its older copy (RFC 9111 section 4.4).
    headers = {"Content-Location": f"/api/reports/{report}", "ETag": version(database, report), **_changes(report)}
    return Written(200, details(database, report), headers)


def _touch(database: Database, report: str) -> None:
    database.write("UPDATE reports SET revision = ? WHERE id = ?", (database.next_revision(), report))


def _changes(report: str) -> dict[str, str]:
    """The groups of answers this write makes obsolete (RFC 9875)."""
    return {"Cache-Control": "no-store", "Cache-Group-Invalidation": f'"reports", "report-{report}"'}


async def _acting(request: web.Request) -> tuple[bytes, str]:
    body = await request.read()
    document = await parameters.json_object(request) if body else {}
    return body, acting_user(request, _claimed(document, "user"))


def _claimed(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return None if value is None else parameters.parse_user_id(value, name)


async def _new_report(request: web.Request) -> tuple[dict[str, Any], bytes | None]:
    if request.content_type != "multipart/form-data":
        return await parameters.json_object(request), None
    fields: dict[str, Any] = {}
    photo = None
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise bad_request("Each part of the form needs a name and plain content.")
            if part.name == "photo":
                photo = await _limited(part, LARGEST_PHOTO) or None
            elif len(fields) < 20:
                fields[part.name] = (await _limited(part, LARGEST_FIELD)).decode()
    except ValueError:
        raise bad_request("The form is not valid multipart/form-data in UTF-8.") from None
    return fields, photo


async def _limited(part: BodyPartReader, most: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk():
        content += chunk
        if len(content) > most:
            raise Problem(413, f"{part.name} is larger than {most} bytes.")
    return bytes(content)


def _now() -> str:
    return timestamp(datetime.now(UTC))
