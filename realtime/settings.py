"""Settings of the realtime core: frozen, with defaults; whoever builds the core fills them from its configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What Engine.IO sessions may do. Times are seconds, sizes are bytes."""

    path: str = "/socket.io/"
    ping_interval: float = 25.0
    ping_timeout: float = 60.0
    max_payload: int = 1_000_000
    """The largest WebSocket message and the largest POST body that are taken."""
    max_queue: int = 2**20
    """What may wait for one session before volatile packets are dropped and then the session."""
    high_water: int = 2**16
    """What the transport of a WebSocket may buffer (a copy per session) before packets wait in the session's queue."""
    transports: tuple[str, ...] = ("polling", "websocket")
    upgrade_timeout: float = 10.0
    close_timeout: float = 5.0
    """How long a WebSocket that we close may take to close as well."""
    max_sessions: int = 50_000
    allowed_origins: tuple[str, ...] = ()
    """Pages of other hosts that may connect, like `https://app.example`; "*" is all of them."""
    compression: int | None = None
    """WebSocket messages from this size on are compressed for clients that offered it; None: no compression at all."""


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """How much of the past is kept for clients that return.

    `window` in seconds; `packets` and `bytes` for each room, `sessions` that are away in all. Who missed more than
    `replay` bytes begins anew: they are sent at once, so it should be below the engine's `max_queue`.
    """

    window: float = 120.0
    packets: int = 1000
    bytes: int = 1_000_000
    sessions: int = 20_000
    replay: int = 1_000_000


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`connect_timeout` in seconds from a connection's beginning to its first CONNECT that is accepted.

    `max_attachments` for one packet. Without `recovery` every client begins anew.
    """

    connect_timeout: float = 10.0
    max_attachments: int = 10
    recovery: RecoverySettings | None = None
