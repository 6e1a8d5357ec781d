"""The contract between an Engine.IO session and the layer above it; both sides import this and not each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from realtime.frames import Outgoing
from realtime.multicast import Destination


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that opened a session. `at` is wall-clock time in seconds; header names are in lower case.

    `peer` is the client's address, also where the connection is a proxy's.
    """

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    peer: str
    secure: bool
    at: float


WebSocketEnded = Callable[[int, int, str], None]
"""Hears of the end of a WebSocket: the bytes from its client and to it after the handshake, and why it ended."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as whoever stands before the core knows it. `address` is the client's, where the connection is a
    proxy's; `fields` are on every answer, also that to a WebSocket's handshake; `ended` hears of the WebSocket's end.
    """

    address: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    ended: WebSocketEnded | None = None


class Connection(Protocol):
    """One session as the layer above sees it."""

    @property
    def sid(self) -> str: ...

    @property
    def handshake(self) -> Handshake: ...

    @property
    def transport(self) -> Literal["polling", "websocket"]: ...

    @property
    def round_trip(self) -> float | None:
        """Seconds from the last ping to its pong; None before the first."""

    @property
    def queued(self) -> int:
        """Bytes that wait because the client does not fetch or read them."""

    @property
    def destination(self) -> Destination | None:
        """Where its bytes may go without being asked each time; None while something waits, or has to be done first."""

    def send(self, outgoing: Outgoing) -> None:
        """Send or queue; never blocks, never raises. After the end of the session it does nothing."""

    def rest(self, until: float) -> None:
        """What the client says need not be read until then, by the loop's clock; a hint that may be ignored."""

    def entered(self) -> None:
        """The layer above has let the client in: from now on its session gives way to no newcomer."""

    def close(self, reason: str = "server-close") -> None:
        """End the session after what was sent before; a second time it does nothing."""


class Receiver(Protocol):
    """The layer above, as one session sees it."""

    def received(self, message: str | bytes) -> None:
        """The data of one message packet. Never called after the session has ended."""

    def closed(self, reason: str) -> None:
        """The session has ended: called exactly once, from the loop, never from inside `send` or `close`."""


Opened = Callable[[Connection], Receiver]
