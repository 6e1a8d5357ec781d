"""What clients say, parsed: ids, claims, messages. PURE.

The rule of this room: whatever comes, either a value that the rest of the house can rely on, or a `Refusal` with a
reason for the figures and a sentence for the client. Nothing is echoed at length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from realtime.settings import LimitSettings

OURS = frozenset({"id", "sender", "conversation_id", "created_at"})
"""Members of a message that only the application and the core may set."""

_KNOWN = frozenset({"conversation_id", "sender_id", "content", "message_type", "client_id"})
_MOST_MEMBERS = 32
_AROUND = 150  # bytes, about, of a message beside its content

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Refusal(Exception):
    """An event that is not carried out. `reason` is one of a fixed set; `details` go to the client beside it."""

    def __init__(self, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details

    def told(self) -> dict[str, Any]:
        """As the client is told."""
        return {"message": str(self), "reason": self.reason, **self.details}


class Draft:
    """A message that somebody wants to send, as it will be delivered; `size` is about what it takes in bytes.

    `client_id` is the sender's own name for it.
    """

    __slots__ = ("_encoded", "client_id", "conversation", "message", "sender", "size")

    def __init__(self, conversation: str, message: dict[str, Any], size: int, encoded: bytes | None = None) -> None:
        self.conversation = conversation
        self.sender: str = message["sender_id"]
        self.client_id: str | None = message.get("client_id")
        self.message = message
        self.size = size
        self._encoded = encoded

    @property
    def encoded(self) -> bytes:
        """As the application is to keep it: JSON."""
        if self._encoded is None:
            self._encoded = _encode(self.message).encode()
        return self._encoded


def parse_id(value: object, what: str, limits: LimitSettings) -> str:
    """An id as text; whole numbers are ids as well. Raises Refusal."""
    # Lone surrogates cannot be sent to anybody, and control characters are nobody's id: neither is printable.
    if isinstance(value, str) and 0 < len(value) <= limits.id_length and value.isprintable():
        if value[0] == "." and not value.strip("."):
            raise Refusal("invalid", f"{what} must be more than dots.")  # in a path it would name another place
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if not isinstance(value, str) or not value:
        raise Refusal("invalid", f"{what} must be a text or a whole number.")
    if len(value) > limits.id_length:
        raise Refusal("invalid", f"{what} must have at most {limits.id_length} characters.")
    raise Refusal("invalid", f"{what} has characters that no id has.")


def parse_claim(payload: object, limits: LimitSettings) -> tuple[str | None, str | None]:
    """The user id and the token of an authenticate event: a bare id, {"token"}, {"userId"}, or both. Raises Refusal."""
    if payload is None:
        return None, None
    if not isinstance(payload, dict):
        return parse_id(payload, "userId", limits), None
    token = payload.get("token")
    if token is not None and not (isinstance(token, str) and 0 < len(token) <= 8192):
        raise Refusal("invalid", "token must be a text of at most 8192 characters.")
    user = payload.get("userId", payload.get("user_id"))
    return None if user is None else parse_id(user, "userId", limits), token


def parse_message(payload: object, limits: LimitSettings, conversation: str | None = None) -> Draft:
    """One message; inside a batch `conversation` is the batch's. Raises Refusal."""
    if not isinstance(payload, dict):
        raise Refusal("invalid", "A message must be an object with conversation_id, sender_id and content.")
    where = None
    try:
        where = parse_id(payload.get("conversation_id", conversation), "conversation_id", limits)
        return _draft(payload, where, conversation, limits)
    except Refusal as refusal:
        if where is not None:
            refusal.details.setdefault("conversation_id", where)
        if (client_id := _recognisable(payload.get("client_id"), limits)) is not None:
            refusal.details.setdefault("client_id", client_id)
        raise


def parse_batch(payload: object, limits: LimitSettings) -> list[Draft]:
    """The messages of a send_message_batch, all of one conversation. Raises Refusal."""
    if not isinstance(payload, dict) or not isinstance(payload.get("messages"), list):
        raise Refusal("invalid", "A batch must be an object with conversation_id and a list of messages.")
    conversation = parse_id(payload.get("conversation_id"), "conversation_id", limits)
    messages = payload["messages"]
    if not 1 <= len(messages) <= limits.messages_at_once:
        most = limits.messages_at_once
        raise Refusal("invalid", f"A batch has 1 to {most} messages.", conversation_id=conversation)
    drafts = []
    for index, message in enumerate(messages):
        try:
            drafts.append(parse_message(message, limits, conversation))
        except Refusal as refusal:
            refusal.details.setdefault("conversation_id", conversation)
            refusal.details["index"] = index
            raise
    return drafts


def named(draft: Draft, index: int | None) -> dict[str, Any]:
    """By which members of a refusal its sender finds a message: `index` in its batch, if it is of one, and its name."""
    members = {"index": index, "client_id": draft.client_id}
    return {name: value for name, value in members.items() if value is not None}


def parse_place(payload: object, limits: LimitSettings) -> tuple[str, str | None]:
    """A conversation, as a bare id or {"conversation_id"}, and the user, if one is named. Raises Refusal."""
    if not isinstance(payload, dict):
        return parse_id(payload, "conversation_id", limits), None
    conversation = payload.get("conversation_id", payload.get("conversationId"))
    user = payload.get("user_id", payload.get("userId"))
    return parse_id(conversation, "conversation_id", limits), None if user is None else parse_id(user, "userId", limits)


def parse_deletion(payload: object, limits: LimitSettings) -> tuple[str, str, str | int]:
    """The conversation and the message of a delete_message; the message's id also as it came. Raises Refusal."""
    if not isinstance(payload, dict):
        raise Refusal("invalid", "delete_message needs an object with conversation_id and message_id.")
    conversation = parse_id(payload.get("conversation_id"), "conversation_id", limits)
    named = payload.get("message_id")
    message = parse_id(named, "message_id", limits)
    return conversation, message, named if isinstance(named, int) else message


def _recognisable(client_id: object, limits: LimitSettings) -> str | None:
    """A sender's own name for a message that is refused, perhaps for this name, as far as it is one."""
    if isinstance(client_id, str):
        return client_id[: limits.id_length]
    is_id = isinstance(client_id, int) and not isinstance(client_id, bool) and abs(client_id) < 2**63
    return str(client_id) if is_id else None


def _draft(payload: Mapping[str, Any], where: str, batch: str | None, limits: LimitSettings) -> Draft:
    if batch is not None and where != batch:
        raise Refusal("invalid", "All messages of a batch belong to its conversation.")
    sender = parse_id(payload.get("sender_id"), "sender_id", limits)
    content, size = _content(payload.get("content"), limits)
    is_plain = payload.keys() <= _KNOWN
    kind = parse_id(payload.get("message_type", "text"), "message_type", limits)
    if not content and is_plain and kind == "text":
        raise Refusal("invalid", "content must not be empty in a text with nothing beside it.")
    message: dict[str, Any] = {"sender_id": sender, "content": content}
    message["message_type"] = kind
    if payload.get("client_id") is not None:
        message["client_id"] = parse_id(payload["client_id"], "client_id", limits)
    if is_plain:
        return Draft(where, message, size + _AROUND)
    return _with_more(payload, where, message, limits)


def _with_more(payload: Mapping[str, Any], where: str, message: dict[str, Any], limits: LimitSettings) -> Draft:
    """A message with members of the application's own, of which nothing is known but that they are JSON."""
    if len(payload) > _MOST_MEMBERS:
        raise Refusal("invalid", f"A message has at most {_MOST_MEMBERS} members.")
    message |= {name: value for name, value in payload.items() if name not in OURS and name not in message}
    try:
        encoded = _encode(message).encode()
    except (TypeError, ValueError, RecursionError):
        raise Refusal("invalid", "A message must be plain JSON, without attachments.") from None
    if len(encoded) > 6 * limits.content_length + 4096:
        raise Refusal("too-large", "The message is too large.")
    return Draft(where, message, len(encoded), encoded)


def _content(value: object, limits: LimitSettings) -> tuple[str, int]:
    """The content and its size in bytes."""
    if not isinstance(value, str):
        raise Refusal("invalid", "content must be a text.")
    if len(value) > limits.content_length:
        raise Refusal("too-large", f"content must have at most {limits.content_length} characters.")
    if value.isascii():
        return value, len(value)
    try:
        return value, len(value.encode())
    except UnicodeEncodeError:
        raise Refusal("invalid", "content has characters that no text has.") from None
