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
