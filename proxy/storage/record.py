"""The bytes of a stored response's head on disk: magic, length and CRC-32, then one JSON object.

A head that fails any of these is damaged, and a damaged head is a miss: it is never guessed at.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from typing import Any

from proxy.errors import StorageError
from proxy.policy.dates import moment_or
from proxy.policy.messages import Fields, StoredResponse
from proxy.storage.base import Entry

_PREFIX = struct.Struct(">4sII")
_MAGIC = b"CWR1"
"""Names the layout and its version: a later layout gets another magic, and old records become misses."""


class DamagedRecord(StorageError):
    """A record's bytes are not what was written."""

    reason = "damaged-record"


def encode_head(stored: StoredResponse) -> bytes:
    """The record of a head; `decode_head` gives an equal one back."""
    document = {
        "key": stored.key,
        "vary": stored.vary,
        "method": stored.method,
        "url": stored.url,
        "status": stored.status,
        "reason": stored.reason,
        "fields": list(stored.fields),
        "request_time": stored.request_time,
        "response_time": stored.response_time,
        "length": stored.length,
        "checksum": stored.checksum,
        "route": stored.route,
        "tags": stored.tags,
        "fresh_until": stored.fresh_until,
        "stale_since": stored.stale_since,
        "credentials": stored.credentials,
    }
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    return _PREFIX.pack(_MAGIC, len(text), zlib.crc32(text)) + text


def decode_head(data: bytes) -> StoredResponse:
    """The head in a record. Raises DamagedRecord."""
    document = _document(data)
    try:
        return StoredResponse(
            key=document["key"],
            vary=tuple((name, value) for name, value in document["vary"]),
            method=document["method"],
            url=document["url"],
            status=document["status"],
            reason=document["reason"],
            fields=Fields((name, value) for name, value in document["fields"]),
            request_time=document["request_time"],
            response_time=document["response_time"],
            length=document["length"],
            checksum=document["checksum"],
            route=document["route"],
            tags=tuple(document["tags"]),
            fresh_until=document["fresh_until"],
            stale_since=document["stale_since"],
            credentials=document.get("credentials", ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"the head lacks a part or has one of the wrong shape: {error!r}") from error


def decode_entry(data: bytes, record: int) -> Entry:
    """The index's view of a record on disk, without building its fields. Raises DamagedRecord."""
    document = _document(data)
    try:
        fields = {name.lower(): value for name, value in reversed(document["fields"])}
        return Entry(
            key=document["key"],
            vary=tuple((name, value) for name, value in document["vary"]),
            url=document["url"],
            # A few values that a hundred thousand entries share.
            route=sys.intern(document["route"]),
            status=document["status"],
            content_type=sys.intern(fields.get("content-type", "")),
            length=document["length"],
            stored_at=document["response_time"],
            last_used=document["response_time"],
            fresh_until=_fresh_until(document["fresh_until"], document["stale_since"]),
            tags=tuple(map(sys.intern, document["tags"])),
            on_disk=True,
            record=record,
            checksum=document["checksum"],
            date=moment_or(fields.get("date"), document["response_time"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"the head lacks a part or has one of the wrong shape: {error!r}") from error


def entry_of(stored: StoredResponse, record: int, last_used: float) -> Entry:
    """The index's view of a stored response that no tier holds yet."""
    return Entry(
        key=stored.key,
        vary=stored.vary,
        url=stored.url,
        route=stored.route,
        status=stored.status,
        content_type=stored.fields.first("content-type") or "",
        length=stored.length,
        stored_at=stored.response_time,
        last_used=last_used,
        fresh_until=_fresh_until(stored.fresh_until, stored.stale_since),
        tags=stored.tags,
        record=record,
        checksum=stored.checksum,
        date=moment_or(stored.fields.first("Date"), stored.response_time),
    )


def _fresh_until(fresh_until: float, stale_since: float | None) -> float:
    return fresh_until if stale_since is None else min(fresh_until, stale_since)


def _document(data: bytes) -> dict[str, Any]:
    if len(data) < _PREFIX.size:
        raise DamagedRecord("the head is shorter than its prefix")
    magic, length, checksum = _PREFIX.unpack_from(data)
    text = data[_PREFIX.size :]
    if magic != _MAGIC:
        raise DamagedRecord(f"the head begins with {magic!r}, not {_MAGIC!r}")
    if len(text) != length or zlib.crc32(text) != checksum:
        raise DamagedRecord("the head fails its length or checksum")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DamagedRecord(f"the head is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DamagedRecord("the head is not a JSON object")
    return document
