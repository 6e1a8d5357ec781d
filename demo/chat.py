"""Conversations and their messages, read by polling and written in batches."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from demo import parameters
from demo.answers import fingerprint, is_unchanged, json_answer, not_modified, varied, weak_tag
from demo.database import DATABASE, Database
from demo.idempotency import Written, write_once
from demo.people import acting_user, sender, session_user
from demo.problems import Problem, bad_request, not_found
from demo.seed import timestamp

MESSAGE_TYPES = ("text", "image", "location")
MESSAGES_AT_ONCE = 200
LONGEST_MESSAGE = 4000


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that somebody wants to send. `client_id` is the sender's own name for it."""

    sender_id: str
    content: str
    message_type: str
    client_id: str | None


async def list_conversations(request: web.Request) -> web.Response:
    """The conversations a user takes part in, the liveliest first."""
    user = acting_user(request, parameters.user_id(request))
    database = request.app[DATABASE]
    conversations = _conversations(database, user)
    headers = _private(weak_tag("conversations", user, fingerprint(conversations)))
    if is_unchanged(request, headers["ETag"]):
        return not_modified(headers)
    return json_answer(request, {"user": user, "conversations": conversations}, headers)


async def list_messages(request: web.Request) -> web.Response:
    """A page of a conversation, oldest first; page 1 ends with the youngest message."""
    conversation = request.match_info["conversation"]
    page = parameters.count(request, "page", 1, most=100_000)
    per_page = parameters.count(request, "per_page", 30, most=100)
    database = request.app[DATABASE]
    state = _state(database, conversation, session_user(request))
    headers = _private(weak_tag("messages", conversation, database.version(state["revision"])))
    if is_unchanged(request, headers["ETag"]):
        return not_modified(headers)
    rows = database.all(
        "SELECT messages.*, username, full_name FROM messages JOIN users ON users.id = sender_id"
        " WHERE conversation_id = ? ORDER BY messages.id DESC LIMIT ? OFFSET ?",
        (conversation, per_page, (page - 1) * per_page),
    )
    document = {"conversation_id": conversation, "page": page, "per_page": per_page, "total": state["total"]}
    return json_answer(request, document | {"messages": [message(row) for row in reversed(rows)]}, headers)


async def send_batch(request: web.Request) -> web.Response:
    """Many messages of one conversation in one transaction: all of them, in this order, or none."""
    document = await parameters.json_object(request)
    conversation = parameters.text(document, "conversation_id", longest=40)
    drafts = parse_drafts(document.get("messages"))
    for draft in drafts:
        acting_user(request, draft.sender_id)

    def write(database: Database) -> Written:
        _check_senders(database, conversation, drafts)
        return Written(201, {"conversation_id": conversation, "messages": _insert(database, conversation, drafts)})

    return write_once(request, await request.read(), write)


def message(row: sqlite3.Row) -> dict[str, object]:
    """A message with its sender."""
    keys = ("id", "conversation_id", "sender_id", "content", "message_type", "client_id", "created_at")
    return {key: row[key] for key in keys} | {"sender": sender(row, row["sender_id"])}


def parse_drafts(value: object) -> list[Draft]:
    """The messages of a batch; a 400 names the first that is wrong."""
    if not isinstance(value, list) or not 1 <= len(value) <= MESSAGES_AT_ONCE:
        raise bad_request(f"messages must be a list of 1 to {MESSAGES_AT_ONCE} messages.")
    return [_draft(item, place) for place, item in enumerate(value)]


def _draft(item: object, place: int) -> Draft:
    if not isinstance(item, dict):
        raise bad_request(f"messages[{place}] must be an object with sender_id and content.")
    try:
        return _parse_draft(item)
    except Problem as problem:
        raise bad_request(f"messages[{place}]: {problem.detail}") from None


def _parse_draft(item: Mapping[str, Any]) -> Draft:
    kind = item.get("message_type", "text")
    if kind not in MESSAGE_TYPES:
        raise bad_request(f"message_type must be one of: {', '.join(MESSAGE_TYPES)}.")
    return Draft(
        parameters.parse_user_id(item.get("sender_id"), "sender_id"),
        parameters.text(item, "content", longest=LONGEST_MESSAGE),
        kind,
        None if item.get("client_id") is None else parameters.text(item, "client_id", longest=100),
    )


def _private(tag: str) -> dict[str, str]:
    return varied({"Cache-Control": "private, no-cache", "ETag": tag})


def _conversations(database: Database, user: str) -> list[dict[str, object]]:
    rows = database.all(
        "SELECT conversations.id, title, messages.content, messages.created_at, messages.sender_id"
        " FROM participants JOIN conversations ON conversations.id = participants.conversation_id"
        " LEFT JOIN messages ON messages.id ="
        "  (SELECT MAX(id) FROM messages AS m WHERE m.conversation_id = conversations.id)"
        " WHERE participants.user_id = ? ORDER BY messages.id DESC",
        (user,),
    )
    members = database.all(
        "SELECT others.conversation_id, users.id, username, full_name FROM participants AS own"
        " JOIN participants AS others ON others.conversation_id = own.conversation_id"
        " JOIN users ON users.id = others.user_id WHERE own.user_id = ? ORDER BY users.rowid",
        (user,),
    )
    return [_conversation(row, [m for m in members if m["conversation_id"] == row["id"]]) for row in rows]


def _conversation(row: sqlite3.Row, members: Sequence[sqlite3.Row]) -> dict[str, object]:
    last = {"content": row["content"], "created_at": row["created_at"], "sender_id": row["sender_id"]}
    return {
        "id": row["id"],
        "title": row["title"],
        "participants": [sender(member, member["id"]) for member in members],
        "last_message": last if row["content"] is not None else None,
    }


def _state(database: Database, conversation: str, reader: str | None) -> sqlite3.Row:
    """A conversation's revision and size; a 404 when there is none, a 403 when the session's user is not in it."""
    row = database.one(
        "SELECT revision, (SELECT COUNT(*) FROM messages WHERE conversation_id = conversations.id) AS total,"
        " EXISTS (SELECT 1 FROM participants WHERE conversation_id = conversations.id AND user_id = ?) AS member"
        " FROM conversations WHERE id = ?",
        (reader, conversation),
    )
    if row is None:
        raise not_found(f"conversation {conversation[:20]!r}")
    if reader is not None and not row["member"]:
        raise Problem(403, f"{reader} does not take part in conversation {conversation}.")
    return row


def _check_senders(database: Database, conversation: str, drafts: Sequence[Draft]) -> None:
    rows = database.all("SELECT user_id FROM participants WHERE conversation_id = ?", (conversation,))
    if not rows:
        raise not_found(f"conversation {conversation[:20]!r}")
    strangers = {draft.sender_id for draft in drafts} - {row["user_id"] for row in rows}
    if strangers:
        # Not 403: the edge, which sends for many at once, is welcome, and what is wrong is one of its messages.
        raise Problem(422, f"{min(strangers)} does not take part in conversation {conversation}.")


def _insert(database: Database, conversation: str, drafts: Sequence[Draft]) -> list[dict[str, object]]:
    now = timestamp(datetime.now(UTC))
    ids = [_kept(database, conversation, draft) or _keep(database, conversation, draft, now) for draft in drafts]
    database.write("UPDATE conversations SET revision = ? WHERE id = ?", (database.next_revision(), conversation))
    rows = database.all(
        "SELECT messages.*, username, full_name FROM messages JOIN users ON users.id = sender_id"
        " WHERE messages.id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    by_id = {row["id"]: message(row) for row in rows}
    return [by_id[id_] for id_ in ids]


def _keep(database: Database, conversation: str, draft: Draft, now: str) -> int | None:
    return database.write(
        "INSERT INTO messages (conversation_id, sender_id, content, message_type, client_id, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (conversation, draft.sender_id, draft.content, draft.message_type, draft.client_id, now),
    ).lastrowid


def _kept(database: Database, conversation: str, draft: Draft) -> int | None:
    """The id of this message if its sender has sent it before: whoever had no answer sends it again."""
    if draft.client_id is None:
        return None
    row = database.one(
        "SELECT id FROM messages WHERE client_id = ? AND sender_id = ? AND conversation_id = ?",
        (draft.client_id, draft.sender_id, conversation),
    )
    return None if row is None else row["id"]
