"""Why sessions end, and why input is refused: the closed lists of words that counters are kept by. PURE.

The rule of this room: whoever counts by a word has it here, so that its count is shown as 0 before it first happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from realtime.engineio import Refusal

SESSION_ENDS = (
    "client-close", "connect-timeout", "drain", "duplicate-poll", "flood", "gave-way", "internal", "invalid-packet",
    "invalid-text", "overlapping-post", "parse-error", "ping-flood", "ping-timeout", "protocol-error", "reconnect",
    "replaced", "server-close", "server-disconnect", "slow-client", "too-large", "transport-close", "transport-error",
)  # fmt: skip

INVALID = (
    *(refusal.name.lower() for refusal in Refusal),
    "ack-id", "ack-unexpected", "attachment-count", "attachment-missing", "attachment-unannounced",
    "attachments-late", "attachments-too-large", "body-timeout", "connect-repeated", "connected-twice", "containers",
    "depth", "invalid-base64", "invalid-text", "json", "namespace", "namespace-left", "namespace-unknown",
    "not-connected", "packet", "packet-type", "payload", "payload-invalid", "payload-too-large", "ping-flood",
    "placeholder", "protocol-error", "second-upgrade", "too-large", "upgrade",
)  # fmt: skip

QUEUE_DROPS = ("conflatable", "conflated", "slow-client", "volatile")

AUTHENTICATION = (
    "another-user", "bad-token", "expired", "invalid", "no-credential", "no-user", "not-configured", "origin-away",
    "origin-unusable", "rate-limited", "refused", "too-many-users",
)  # fmt: skip

LIMITS = ("acks", "connects", "events", "fragments", "messages", "packets", "user-messages")

MESSAGE_FAILURES = ("internal", "origin-away", "origin-refused", "queue-full", "shutting-down")

ADMISSION = ("address", "draining", "full", "handshakes")

FORGOTTEN = ("address", "blank", "full")

REASONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sessions_closed": SESSION_ENDS,
        "invalid": INVALID,
        "queue_drops": QUEUE_DROPS,
        "auth_refused": AUTHENTICATION,
        "messages_failed": MESSAGE_FAILURES,
        "rate_limited": LIMITS,
        "sessions_refused": ADMISSION,
        "recovery_given_up": FORGOTTEN,
    }
)
"""The words of each mapping of RealtimeStats."""
