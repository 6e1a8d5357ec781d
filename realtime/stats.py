"""Plain integers that the core counts as it works; whoever wants to see them reads them when asked."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

ROUND_TRIP_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))
"""Upper bounds of the round-trip buckets, in seconds."""

BATCH_BOUNDS = (1, 2, 5, 10, 25, 50, 100, float("inf"))
"""Upper bounds of the buckets of batch sizes, in messages."""


def count(by_reason: dict[str, int], reason: str) -> None:
    """One more of `reason`, a word of realtime.reasons: never a client's, so the mapping stays small."""
    by_reason[reason] = by_reason.get(reason, 0) + 1


@dataclass(slots=True)
class RealtimeStats:
    """What the realtime core has done since it began."""

    sessions_opened: int = 0
    sessions_closed: dict[str, int] = field(default_factory=dict)
    """By reason."""
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    invalid: dict[str, int] = field(default_factory=dict)
    """Input that was refused, by reason."""
    queue_drops: dict[str, int] = field(default_factory=dict)
    """What a slow session's queue gave up: conflated, volatile, conflatable, or the session (slow-client)."""
    events_unknown: int = 0
    handler_errors: int = 0
    messages: int = 0
    batches: int = 0
    batch_messages: int = 0
    batch_sizes: list[int] = field(default_factory=lambda: [0] * len(BATCH_BOUNDS))
    """How many batches had up to each of BATCH_BOUNDS messages and more than the bound before."""
    deliveries: int = 0
    persist_failures: int = 0
    messages_failed: dict[str, int] = field(default_factory=dict)
    """Chat messages that their senders were told have failed, by why."""
    persist_status: int | None = None
    """With which the application has last refused messages."""
    persist_retries: int = 0
    auth_refused: dict[str, int] = field(default_factory=dict)
    joins_refused: int = 0
    rate_limited: dict[str, int] = field(default_factory=dict)
    recovered: int = 0
    recovery_failed: int = 0
    profiles_hits: int = 0
    profiles_misses: int = 0
    profile_requests: int = 0
    round_trips: list[int] = field(default_factory=lambda: [0] * len(ROUND_TRIP_BOUNDS))
    """How many heartbeats took up to each of ROUND_TRIP_BOUNDS and longer than the bound before."""
    round_trip_sum: float = 0.0
    """Seconds of all heartbeats together."""
    publications_dropped: int = 0
    """Updates that found too many others waiting for profiles or likes, or that could not be encoded."""
    recovery_forgotten: int = 0
    """Rooms whose past was given up, as all of them took too much memory."""
    sessions_refused: dict[str, int] = field(default_factory=dict)
    """New sessions that were refused, by why: full, address (its share is taken), handshakes (too many a second) or
    draining."""
    recovery_given_up: dict[str, int] = field(default_factory=dict)
    """Clients that might have returned and were forgotten for want of room, by why: blank, address or full."""

    def batch(self, messages: int) -> None:
        """Count one batch that has left, of so many messages."""
        self.batches += 1
        self.batch_messages += messages
        self.batch_sizes[bisect_left(BATCH_BOUNDS, messages)] += 1

    def round_trip(self, seconds: float) -> None:
        """Count one heartbeat's way to the client and back."""
        self.round_trip_sum += seconds
        for index, bound in enumerate(ROUND_TRIP_BOUNDS):
            if seconds <= bound:
                self.round_trips[index] += 1
                return
