"""The Prometheus series of the realtime core, read off its plain counters when somebody scrapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric


class Counters(Protocol):
    """What the core counts since its start; mappings have few and fixed keys."""

    @property
    def sessions_closed(self) -> Mapping[str, int]: ...
    @property
    def invalid(self) -> Mapping[str, int]: ...
    @property
    def queue_drops(self) -> Mapping[str, int]: ...
    @property
    def auth_refused(self) -> Mapping[str, int]: ...
    @property
    def messages_failed(self) -> Mapping[str, int]: ...
    @property
    def rate_limited(self) -> Mapping[str, int]: ...
    @property
    def batch_sizes(self) -> Sequence[int]: ...
    @property
    def batch_messages(self) -> int: ...
    @property
    def sessions_refused(self) -> Mapping[str, int]: ...
    @property
    def recovery_given_up(self) -> Mapping[str, int]: ...
    @property
    def round_trips(self) -> Sequence[int]: ...
    @property
    def round_trip_sum(self) -> float: ...


@dataclass(frozen=True, slots=True)
class RealtimeFigures:
    """The counters, and how things stand: open sessions by transport, conversations with members, clients by grade."""

    counters: Counters
    round_trip_bounds: Sequence[float]
    batch_bounds: Sequence[float]
    websocket: int = 0
    polling: int = 0
    conversations: int = 0
    users: int = 0
    journal_available: bool = True
    """False while there is a recovery journal that cannot be written."""
    quality: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By name of a counter, the words that it may be counted by."""


_PLAIN = (
    ("sessions_opened", "sessions_opened", "Sessions opened."),
    ("packets_in", "received_packets", "Packets received from clients."),
    ("packets_out", "sent_packets", "Packets sent to clients."),
    ("bytes_in", "received_bytes", "Bytes of packets received from clients."),
    ("bytes_out", "sent_bytes", "Bytes of packets sent to clients."),
    ("events_unknown", "unknown_events", "Events that nothing here listens for."),
    ("handler_errors", "handler_errors", "Events whose handling failed."),
    ("messages", "messages", "Chat messages accepted."),
    ("deliveries", "deliveries", "Messages delivered, counted for each session that got one."),
    ("persist_failures", "persist_failures", "Messages that were taken and not delivered; their senders were told."),
    ("persist_retries", "persist_retries", "Further attempts to persist a batch."),
    ("joins_refused", "refused_joins", "Conversations and channels that a client was not let into."),
    ("recovered", "recovered_sessions", "Sessions that came back and missed nothing."),
    ("recovery_failed", "failed_recoveries", "Sessions that came back too late, or had missed too much."),
    ("recovery_forgotten", "forgotten_rooms", "Conversations and channels whose past was given up for want of memory."),
    (
        "publications_dropped",
        "dropped_publications",
        "Publications that found too many waiting for profiles or likes, or could not be encoded.",
    ),
    ("profiles_hits", "profile_hits", "Profiles that were known."),
    ("profiles_misses", "profile_misses", "Profiles that had to be asked for."),
    ("profile_requests", "profile_requests", "Requests for profiles, each for many of them."),
)

_LABELLED = (
    ("sessions_closed", "sessions_closed", "Sessions ended, by why.", "reason"),
    ("invalid", "invalid_packets", "What clients sent and broke a rule, by which.", "reason"),
    ("queue_drops", "queue_drops", "What a slow client was not sent, by kind.", "kind"),
    ("auth_refused", "refused_authentications", "Users that were not believed, by why.", "reason"),
    ("messages_failed", "failed_messages", "Chat messages that failed, by why.", "reason"),
    ("rate_limited", "rate_limited_events", "Events beyond a limit, by which.", "limit"),
    ("sessions_refused", "refused_sessions", "New sessions that were refused, by why.", "reason"),
    ("recovery_given_up", "forgotten_sessions", "Sessions that were away and forgotten for want of room.", "reason"),
)


def realtime_series(figures: RealtimeFigures) -> Iterator[Metric]:
    """Every series of the realtime core."""
    sessions = GaugeMetricFamily("cachewire_realtime_sessions", "Open sessions.", labels=("transport",))
    sessions.add_metric(["websocket"], figures.websocket)
    sessions.add_metric(["polling"], figures.polling)
    yield sessions
    yield GaugeMetricFamily(
        "cachewire_realtime_conversations", "Conversations with members.", value=figures.conversations
    )
    yield GaugeMetricFamily("cachewire_realtime_users", "Users that are authenticated now.", value=figures.users)
    yield GaugeMetricFamily(
        "cachewire_realtime_journal_available",
        "0 while a recovery journal that should work cannot be written, else 1.",
        value=figures.journal_available,
    )
    quality = GaugeMetricFamily(
        "cachewire_realtime_quality", "Clients by the quality of their connection.", labels=("grade",)
    )
    for grade, clients in figures.quality.items():
        quality.add_metric([grade], clients)
    yield quality
    yield _round_trips(figures)
    yield _batches(figures)
    for attribute, name, what in _PLAIN:
        value = getattr(figures.counters, attribute)
        yield CounterMetricFamily(f"cachewire_realtime_{name}", what, value=value)
    for attribute, name, what, label in _LABELLED:
        family = CounterMetricFamily(f"cachewire_realtime_{name}", what, labels=(label,))
        words = dict.fromkeys(figures.reasons.get(attribute, ()), 0)
        for key, count in (words | dict(getattr(figures.counters, attribute))).items():
            family.add_metric([key], count)
        yield family


def _round_trips(figures: RealtimeFigures) -> Metric:
    counters = figures.counters
    return _histogram(
        "cachewire_realtime_round_trip_seconds",
        "From a heartbeat to its answer.",
        figures.round_trip_bounds,
        counters.round_trips,
        counters.round_trip_sum,
    )


def _batches(figures: RealtimeFigures) -> Metric:
    counters = figures.counters
    return _histogram(
        "cachewire_realtime_batch_messages",
        "Messages in a batch that left; its count is that of the batches.",
        figures.batch_bounds,
        counters.batch_sizes,
        counters.batch_messages,
    )


def _histogram(name: str, what: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    labels = ["+Inf" if bound == float("inf") else repr(float(bound)) for bound in bounds]
    family = HistogramMetricFamily(name, what, labels=())
    family.add_metric([], list(zip(labels, accumulate(counts), strict=True)), total)
    return family
