"""Every error of the edge, drawn as one tree; each knows the HTTP status it becomes.

CachewireError
├── ConfigurationError            exit status 2
├── RequestRefused                400 413 414 431 ...: the client's head or body breaks a rule
├── OriginError                   502
│   ├── OriginUnreachable         502  no connection, or it broke before a response head
│   ├── OriginTimeout             504  no response head in time
│   └── OriginProtocolError       502  what it sent is not HTTP, or breaks framing rules
├── BodyIncomplete                the origin broke off inside a body: never stored, client connection closed
├── NotStored                     504  cache-only (or only-if-cached) and nothing usable is stored
└── StorageError                  a tier failed: costs a hit, never an answer
"""

from __future__ import annotations


class CachewireError(Exception):
    """Anything this product raises on purpose. `status` is the HTTP status it becomes, `reason` a short slug."""

    status = 500
    reason = "internal"

    @property
    def public(self) -> str:
        """What a client may read: nothing about where the origin is or how it failed."""
        return str(self)


class ConfigurationError(CachewireError):
    """The configuration cannot be used; the text says where, what, and what would be right."""


class RequestRefused(CachewireError):
    """The request breaks a rule of HTTP or a limit; the connection is closed after the answer."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason


class OriginError(CachewireError):
    """The origin gave no usable response head; `connected` is False when no connection to it could be made."""

    status = 502
    reason = "origin-error"

    def __init__(self, text: str, *, connected: bool = True) -> None:
        super().__init__(text)
        self.connected = connected

    @property
    def public(self) -> str:
        return "The application behind this address cannot answer right now. Nothing stored can stand in for it."


class OriginUnreachable(OriginError):
    """No connection to the origin, or it broke before a complete response head."""

    reason = "origin-unreachable"


class OriginTimeout(OriginError):
    """No response head from the origin in time."""

    status = 504
    reason = "origin-timeout"


class OriginProtocolError(OriginError):
    """The origin's bytes are not an unambiguous HTTP response."""

    reason = "origin-protocol-error"


class BodyIncomplete(CachewireError):
    """The origin's response body ended before its framing said so, or stalled beyond the deadline."""

    status = 502
    reason = "body-incomplete"


class NotStored(CachewireError):
    """Nothing usable is stored and the network may not be asked (RFC 9111 section 5.2.1.7)."""

    status = 504
    reason = "not-stored"


class StorageError(CachewireError):
    """A storage tier failed."""

    reason = "storage"
