"""How a client's request becomes a WebSocket: what it must say, and what it is answered (RFC 6455 section 4)."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def is_websocket(request: web.BaseRequest) -> bool:
    """The client asks to leave HTTP for WebSocket (RFC 6455 section 4.1)."""
    tokens = request.headers.get("Connection", "").lower().split(",")
    return request.headers.get("Upgrade", "").lower() == "websocket" and "upgrade" in map(str.strip, tokens)


def acceptance(request: web.BaseRequest) -> bytes | None:
    """The key to answer with; None when the handshake is not one (RFC 6455 section 4.2.1)."""
    key = request.headers.get("Sec-WebSocket-Key", "").strip()
    if request.headers.get("Sec-WebSocket-Version", "").strip() != "13" or request.version < (1, 1):
        return None
    if request.can_read_body:
        return None  # whoever is in front of us may see its end elsewhere
    try:
        if len(b64decode(key, validate=True)) != 16:
            return None
    except (binascii.Error, ValueError):
        return None
    return b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())


def deflate_accepted(offers: str) -> bool:
    """The client offered compression in a form that needs no context and no small window (RFC 7692 section 7.1)."""
    for offer in offers.split(","):
        name, *parameters = (part.strip().lower() for part in offer.split(";"))
        if name == "permessage-deflate" and all(map(_is_acceptable, parameters)):
            return True
    return False


def _is_acceptable(parameter: str) -> bool:
    name, _, value = (part.strip().strip('"') for part in parameter.partition("="))
    if name == "server_max_window_bits":
        return value == "15"
    return name in ("server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits")


def answer_head(accept: bytes, fields: Mapping[str, str], *, deflate: bool) -> bytes:
    """The 101, up to its empty line; `fields` are those that all our answers have."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
        *(f"{name}: {value}".encode("latin-1") for name, value in fields.items()),
    ]
    if deflate:
        extension = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        lines.append(b"Sec-WebSocket-Extensions: " + extension)
    return b"\r\n".join([*lines, b"", b""])
