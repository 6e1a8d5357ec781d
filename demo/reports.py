"""Incident reports: the list, one report with everything around it, and the search."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from demo import parameters
from demo.answers import fingerprint, is_unchanged, json_answer, not_modified, varied, weak_tag
from demo.database import DATABASE, Database
from demo.people import acting_user, sender
from demo.problems import bad_request, not_found
from demo.vocabulary import CATEGORIES, STATUSES

REPORT_ID = re.compile(r"r[1-9][0-9]{0,8}", re.ASCII)
DAY = 86400
SEARCH_RESULTS = 20

CARD = ("id", "category", "title", "text", "place", "status", "created_at")
FILTER = """
FROM reports WHERE (:category IS NULL OR category = :category) AND (:status IS NULL OR status = :status)
  AND (:user IS NULL OR author_id = :user)
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which reports a list request asks for."""

    category: str | None
    status: str | None
    user: str | None
    page: int
    per_page: int

    @classmethod
    def of(cls, request: web.Request) -> Listing:
        return cls(
            parameters.choice(request, "category", CATEGORIES),
            parameters.choice(request, "status", STATUSES),
            parameters.user_id(request),
            parameters.count(request, "page", 1, most=100_000),
            parameters.count(request, "per_page", 12, most=100),
        )


async def list_reports(request: web.Request) -> web.Response:
    """A page of reports, youngest first: the same for everyone."""
    listing = Listing.of(request)
    database = request.app[DATABASE]
    headers = public(weak_tag("reports", _version_of_all(database)), seconds=5, group="reports")
    if is_unchanged(request, headers["ETag"]):
        return not_modified(headers)
    return json_answer(request, _page(database, listing), headers)


async def show_report(request: web.Request) -> web.Response:
    report = request.match_info["id"]
    database = request.app[DATABASE]
    headers = public(version(database, report), seconds=30, group=f"report-{report}")
    if is_unchanged(request, headers["ETag"]):
        return not_modified(headers)
    return json_answer(request, details(database, report), headers)


async def search(request: web.Request) -> web.Response:
    """Reports whose title, text or place contains `q`; the answer says nothing about caching."""
    words = parameters.single(request, "q") or ""
    if not 2 <= len(words.strip()) <= 100:
        raise bad_request("q must have 2 to 100 characters, as in /api/search?q=pothole.")
    found = request.app[DATABASE].all(
        "SELECT * FROM reports WHERE title LIKE :q ESCAPE '\\' OR text LIKE :q ESCAPE '\\' OR place LIKE :q ESCAPE '\\'"
        " ORDER BY number DESC LIMIT :most",
        {"q": "%" + re.sub(r"([%_\\])", r"\\\1", words.strip()) + "%", "most": SEARCH_RESULTS},
    )
    return json_answer(request, {"query": words.strip(), "reports": _cards(request.app[DATABASE], found)})


async def list_likes(request: web.Request) -> web.Response:
    """Which reports a user likes: nobody else's business."""
    user = acting_user(request, parameters.user_id(request))
    database = request.app[DATABASE]
    rows = database.all("SELECT report_id FROM likes WHERE user_id = ? ORDER BY report_id", (user,))
    liked = [row["report_id"] for row in rows]
    tag = weak_tag("likes", user, fingerprint(liked))
    headers = varied({"Cache-Control": "private, max-age=0", "ETag": tag})
    if is_unchanged(request, tag):
        return not_modified(headers)
    return json_answer(request, {"user": user, "report_ids": liked}, headers)


def public(tag: str, *, seconds: int, group: str) -> dict[str, str]:
    """The fields of an answer that is the same for everyone: fresh for a moment, useful for a day when we fail."""
    return varied(
        {
            "Cache-Control": f"public, max-age={seconds}, stale-if-error={DAY}",
            "ETag": tag,
            "Cache-Groups": f'"{group}"',  # RFC 9875: what a write invalidates together
        }
    )


def version(database: Database, report: str) -> str:
    """The entity tag of a report, for one cheap query; a 404 when there is no such report."""
    row = database.one("SELECT revision FROM reports WHERE id = ?", (report,)) if REPORT_ID.fullmatch(report) else None
    if row is None:
        raise not_found(f"report {report[:20]!r}")
    return weak_tag("report", report, database.version(row["revision"]))


def details(database: Database, report: str) -> dict[str, object]:
    """A report that exists, with its photos, comments and the users who like it."""
    row = database.one("SELECT * FROM reports WHERE id = ?", (report,))
    assert row is not None, "the caller has asked for its version"
    comments = database.all(
        "SELECT comments.*, username, full_name FROM comments JOIN users ON users.id = author_id"
        " WHERE report_id = ? ORDER BY comments.id",
        (report,),
    )
    liked = database.all("SELECT user_id FROM likes WHERE report_id = ? ORDER BY user_id", (report,))
    return _cards(database, [row])[0] | {
        "comments": [comment(row) for row in comments],
        "liked_by": [row["user_id"] for row in liked],
    }


def comment(row: sqlite3.Row) -> dict[str, object]:
    """A comment with its author."""
    return {key: row[key] for key in ("id", "text", "created_at")} | {"author": sender(row, row["author_id"])}


def photo_url(row: sqlite3.Row) -> str:
    return f"/uploads/{row['report_id']}-{row['number']}.jpg"


def _version_of_all(database: Database) -> str:
    row = database.one("SELECT MAX(revision) AS revision FROM reports")
    return database.version(row["revision"] if row is not None else 0)


def _page(database: Database, listing: Listing) -> dict[str, object]:
    where = {"category": listing.category, "status": listing.status, "user": listing.user}
    counted = database.one("SELECT COUNT(*) AS total" + FILTER, where)
    total = counted["total"] if counted is not None else 0
    rows = database.all(
        "SELECT *" + FILTER + "ORDER BY number DESC LIMIT :limit OFFSET :offset",
        {**where, "limit": listing.per_page, "offset": (listing.page - 1) * listing.per_page},
    )
    return {
        "reports": _cards(database, rows),
        "page": listing.page,
        "per_page": listing.per_page,
        "pages": -(-total // listing.per_page),
        "total": total,
    }


def _cards(database: Database, reports: Sequence[sqlite3.Row]) -> list[dict[str, object]]:
    """Reports with everything a list shows of them: one query for each kind of thing, however many reports.

    This is what an object-relational mapper that prefetches does, so it costs what an ordinary application costs.
    """
    wanted = (json.dumps([report["id"] for report in reports]),)
    authors = database.all(
        "SELECT * FROM users WHERE id IN (SELECT author_id FROM reports WHERE id IN (SELECT value FROM json_each(?)))",
        wanted,
    )
    photos = database.all(
        "SELECT * FROM photos WHERE report_id IN (SELECT value FROM json_each(?)) ORDER BY report_id, number", wanted
    )
    likes = database.all(
        "SELECT report_id, COUNT(*) AS count FROM likes WHERE report_id IN (SELECT value FROM json_each(?))"
        " GROUP BY report_id",
        wanted,
    )
    comments = database.all(
        "SELECT report_id, COUNT(*) AS count FROM comments WHERE report_id IN (SELECT value FROM json_each(?))"
        " GROUP BY report_id",
        wanted,
    )
    by_id = {author["id"]: author for author in authors}
    liked, commented = ({row["report_id"]: row["count"] for row in rows} for rows in (likes, comments))
    return [
        {key: report[key] for key in CARD}
        | {
            "author": sender(by_id[report["author_id"]], report["author_id"]),
            "photos": [photo_url(row) for row in photos if row["report_id"] == report["id"]],
            "like_count": liked.get(report["id"], 0),
            "comment_count": commented.get(report["id"], 0),
        }
        for report in reports
    ]
