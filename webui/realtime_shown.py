"""What the realtime pages show, and what can be done there.

Moments are seconds since the epoch, spans seconds, sizes bytes, shares parts of one. None: no figure yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from webui.realtime_query import ConversationQuery, SessionQuery
from webui.snapshot import Refused

Grade = Literal["excellent", "good", "poor"]


@dataclass(frozen=True, slots=True)
class Quality:
    """How many sessions are of each grade, or were in one minute."""

    excellent: int = 0
    good: int = 0
    poor: int = 0

    @property
    def total(self) -> int:
        return self.excellent + self.good + self.poor

    def share(self, grade: Grade) -> float | None:
        """None without any session."""
        count: int = getattr(self, grade)
        return count / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Reports:
    """What browsers report of themselves, added up over `sessions` of them; latencies are seconds."""

    sessions: int = 0
    cached_profiles: int = 0
    active_subscriptions: int = 0
    pending_updates: int = 0
    connection_errors: int = 0
    retries: int = 0
    latency_mean: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_largest: float | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of the list. `queued` bytes wait for it; `slow`: because its client does not read.

    `reason` says what the grade is of; `names` are the first of its users; `failed` of its `messages` were refused.
    """

    sid: str
    transport: str
    age: float
    users: int
    joined: int
    rtt: float | None
    grade: Grade
    queued: int
    slow: bool
    reports: int
    messages: int
    reason: str = ""
    names: Sequence[str] = ()
    failed: int = 0

    @property
    def short(self) -> str:
        """Enough of the id to tell it from others; the beginning finds it."""
        return self.sid[:8]


@dataclass(frozen=True, slots=True)
class SessionList:
    """One page of the sessions. `total` match the query, `all` are there."""

    query: SessionQuery
    rows: Sequence[SessionRow]
    total: int
    all: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.query.PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """One conversation. `rate` is messages per second, `fill` messages per batch, `quiet` the time since the last.

    `failed` were not delivered, and are none of `messages`.
    """

    id: str
    sessions: int
    users: int
    waiting: int
    rate: float
    messages: int
    fill: float | None
    quiet: float | None
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ConversationList:
    """One page of the conversations."""

    query: ConversationQuery
    rows: Sequence[ConversationRow]
    total: int
    all: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.query.PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Totals:
    """What the core has done since its start, and does per second (over the last minute)."""

    messages: int = 0
    messages_per_second: float = 0.0
    failed: int = 0
    failed_lately: int = 0
    """Messages that failed, since the start and in the last minute; why is in `failed_because`."""
    failed_because: str = ""
    deliveries: int = 0
    deliveries_per_second: float = 0.0
    batches: int = 0
    batch_mean: float | None = None
    recent_batch_mean: float | None = None
    recovered: int = 0
    recovery_failed: int = 0
    slow_closed: int = 0
    """Sessions that were closed because too much waited for them."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """What slow clients were not sent, by kind."""


@dataclass(frozen=True, slots=True)
class Window:
    """How batches are made now."""

    mode: str
    delay: float
    max_messages: int


@dataclass(frozen=True, slots=True)
class Realtime:
    """Everything of the first realtime page; `enabled` False: there is no realtime core, and the rest is empty."""

    enabled: bool
    endpoint: str
    sessions: SessionList
    websocket: int = 0
    polling: int = 0
    users: int = 0
    quality: Quality = field(default_factory=Quality)
    trend: Sequence[Quality] = ()
    known: int = 0
    """How many minutes of `trend`, the last ones, anything is known of: before them, the edge was not running."""
    reports: Reports = field(default_factory=Reports)
    totals: Totals = field(default_factory=Totals)
    window: Window | None = None
    slow: Sequence[SessionRow] = ()
    """Those for which most waits."""
    slow_sessions: int = 0
    queued: int = 0
    most_queued: int = 0
    """Bytes that may wait for one session before it is closed."""
    conversations: Sequence[ConversationRow] = ()
    """The liveliest."""
    all_conversations: int = 0
    refused: Sequence[Refused] = ()
    """New sessions that were refused, by why."""


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What one browser said of itself last, `ago` seconds ago."""

    ago: float
    cached_profiles: int | None = None
    active_subscriptions: int | None = None
    pending_updates: int | None = None
    latency: float | None = None
    connection_errors: int | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Of its handshake only what tells who asks: never cookies, tokens or the query."""

    row: SessionRow
    since: float
    users: Sequence[str]
    conversations: Sequence[str]
    channels: Sequence[str]
    peer: str
    origin: str
    user_agent: str
    secure: bool
    recovered: bool
    report: ClientReport | None
    most_queued: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation with its members; `sessions` may be fewer than `row.sessions`."""

    row: ConversationRow
    users: Sequence[str]
    sessions: Sequence[SessionRow]


class RealtimeSource(Protocol):
    """Where the pages read; asked on the event loop, once per look."""

    def page(self, query: SessionQuery) -> Realtime: ...

    def session(self, sid: str) -> Session | None: ...

    def conversations(self, query: ConversationQuery) -> ConversationList: ...

    def conversation(self, id_: str) -> Conversation | None: ...


class RealtimeActions(Protocol):
    """What an operator can do with a session; `by` says who it is. Both say whether the session was there."""

    def disconnect(self, sid: str, *, by: str) -> bool:
        """End it; its client does not come back by itself."""
        ...

    def reconnect(self, sid: str, *, by: str) -> bool:
        """Close its connection, so that its client comes back."""
        ...
