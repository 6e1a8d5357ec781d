"""What can be set in the realtime core; plain values, checked where the configuration is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """How much of the past is kept for clients that return.

    `window` in seconds; `packets` and `bytes` for each room, `sessions` that are away in all.
    """

    window: float = 120.0
    packets: int = 1000
    bytes: int = 1_000_000
    sessions: int = 20_000


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`connect_timeout` in seconds from a connection's beginning to its first CONNECT that is accepted.

    `max_attachments` for one packet. Without `recovery` every client begins anew.
    """

    connect_timeout: float = 10.0
    max_attachments: int = 10
    recovery: RecoverySettings | None = None
