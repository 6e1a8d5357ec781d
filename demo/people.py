"""Who is asking, and who everybody is: sessions and profiles.

This is a demo: a login asks for no password, and a request without a session is believed about who it acts for, as
a trusted backend's would be. What a session does give is a limit: it acts for its own user only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from aiohttp import web

from demo import parameters
from demo.answers import is_unchanged, json_answer, not_modified, varied, weak_tag
from demo.database import DATABASE, Database
from demo.problems import Problem, bad_request, not_found

SESSION = "session"
# Only the API asks who somebody is: pages, assets and photos stay free of cookies.
SESSION_PATH = "/api"
PROFILES_AT_ONCE = 100
NEVER_STORED = {"Cache-Control": "private, no-store"}
PUBLIC = ("id", "username", "full_name", "place", "bio", "joined_at")


def session_user(request: web.Request) -> str | None:
    """The user whose session this is, or None; says nothing about whether that user exists."""
    value = request.cookies.get(SESSION, "")
    return value if parameters.USER_ID.fullmatch(value) else None


def acting_user(request: web.Request, claimed: str | None) -> str:
    """The user this request acts for; a session cannot act for another user."""
    user = session_user(request)
    if user is None and claimed is None:
        raise Problem(401, 'Log in first: POST /api/auth/login with {"user": "u7"}.')
    if user is not None and claimed is not None and user != claimed:
        raise Problem(403, f"This session belongs to {user} and cannot act for {claimed}.")
    return claimed or user or ""


def existing_user(database: Database, user: str) -> sqlite3.Row:
    """The row of a user that a request named; a 400 when there is none."""
    row = database.one("SELECT * FROM users WHERE id = ?", (user,))
    if row is None:
        raise bad_request(f"There is no user {user}.")
    return row


def profile(row: sqlite3.Row) -> dict[str, object]:
    """A user as other users see them."""
    return {key: row[key] for key in PUBLIC} | {"avatar_url": avatar_url(row["id"])}


def avatar_url(user: str) -> str:
    return f"/avatars/{user}.png"


def sender(row: sqlite3.Row, user: str) -> dict[str, str]:
    """The few facts about a user that come with everything they wrote."""
    return {"id": user, "username": row["username"], "full_name": row["full_name"], "avatar_url": avatar_url(user)}


async def show_session(request: web.Request) -> web.Response:
    user = session_user(request)
    sql = "SELECT * FROM users WHERE id = ?"
    row = request.app[DATABASE].one(sql, (user,)) if user is not None else None
    # Always asked anew, but not no-store: a cache that keeps one copy for each session may fall back on it.
    return json_answer(
        request, {"user": None if row is None else profile(row)}, {"Cache-Control": "private, max-age=0"}
    )


async def log_in(request: web.Request) -> web.Response:
    document = await parameters.json_object(request)
    user = parameters.parse_user_id(document.get("user"), "user")
    row = existing_user(request.app[DATABASE], user)
    response = json_answer(request, {"user": profile(row)}, NEVER_STORED)
    response.set_cookie(SESSION, user, path=SESSION_PATH, httponly=True, samesite="Lax", max_age=7 * 86400)
    return response


async def log_out(request: web.Request) -> web.Response:
    response = json_answer(request, {"user": None}, NEVER_STORED)
    response.del_cookie(SESSION, path=SESSION_PATH, httponly=True, samesite="Lax")
    return response


async def list_profiles(request: web.Request) -> web.Response:
    """Many profiles for one SQL query: `?ids=u1,u2`; all of them without `ids`."""
    value = parameters.single(request, "ids")
    ids = None if value is None else _parse_ids(value)
    rows = _profiles(request.app[DATABASE], ids)
    found = {row["id"] for row in rows}
    document = {"profiles": [profile(row) for row in rows], "missing": [i for i in ids or () if i not in found]}
    return json_answer(request, document, {"Cache-Control": "public, max-age=300", "Surrogate-Key": "profiles"})


async def show_profile(request: web.Request) -> web.Response:
    user = request.match_info["id"]
    sql = """SELECT *, (SELECT COUNT(*) FROM reports WHERE author_id = users.id) AS reports,
              (SELECT COUNT(*) FROM comments WHERE author_id = users.id) AS comments FROM users WHERE id = ?"""
    row = request.app[DATABASE].one(sql, (user,))
    if row is None:
        raise not_found(f"profile {user[:20]!r}")
    document = profile(row) | {"reports": row["reports"], "comments": row["comments"]}
    # The profile itself is its own version: cheaper than a second query to find out.
    tag = weak_tag("profile", user, str(row["reports"]), str(row["comments"]))
    headers = varied({"Cache-Control": "public, max-age=300", "ETag": tag, "Surrogate-Key": f"profiles profile-{user}"})
    return not_modified(headers) if is_unchanged(request, tag) else json_answer(request, document, headers)


def _parse_ids(value: str) -> list[str]:
    ids = list(dict.fromkeys(value.split(",")))
    if len(ids) > PROFILES_AT_ONCE:
        raise bad_request(f"ids names {len(ids)} users; ask for at most {PROFILES_AT_ONCE} at once.")
    return [parameters.parse_user_id(i, "each of ids") for i in ids]


def _profiles(database: Database, ids: Sequence[str] | None) -> list[sqlite3.Row]:
    if ids is None:
        return database.all("SELECT * FROM users ORDER BY rowid LIMIT ?", (PROFILES_AT_ONCE,))
    return database.all(
        "SELECT * FROM users WHERE id IN (SELECT value FROM json_each(?)) ORDER BY rowid", (json.dumps(ids),)
    )
