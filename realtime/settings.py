"""Every setting of the realtime core with its default: frozen, plain, no parsing. Times are seconds, sizes are bytes.

The rule of this room: data only. What reads configuration files turns them into these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from realtime.limits import Rate

_PACKETS, _CONNECTS = Rate(500.0, 1000.0), Rate(10.0, 50.0)
_HANDSHAKES = Rate(300.0, 6000.0)
_EVENTS, _MESSAGES = Rate(200.0, 400.0), Rate(100.0, 200.0)

TRANSPORTS = ("polling", "websocket")

Deliver = Literal["batch", "single", "both"]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What Engine.IO sessions may do. Times are seconds, sizes are bytes."""

    path: str = "/socket.io/"
    ping_interval: float = 25.0
    ping_timeout: float = 60.0
    max_payload: int = 1_000_000
    """The largest WebSocket message and the largest POST body that are taken."""
    packets: Rate = _PACKETS
    """Packets of any kind that a session may send; a long text counts one more for each 4096 characters and for each
    64 brackets. The burst is also the most that one POST may hold."""
    max_queue: int = 2**20
    """Memory that what waits for one session may take before volatile packets are dropped, then conflatable ones, then
    the session; counted as if no other session waited for the same."""
    high_water: int = 2**16
    """What the transport of a WebSocket may buffer (a copy per session) before packets wait in the session's queue."""
    transports: tuple[str, ...] = TRANSPORTS
    upgrade_timeout: float = 10.0
    close_timeout: float = 5.0
    """How long a WebSocket that we close may take to close as well."""
    max_sessions: int = 50_000
    entering: int = 6_000
    """Sessions that the layer above has not let in yet; the longest silent gives way to a newcomer."""
    address_share: float = 0.5
    """Of `max_sessions` and of `entering`, what one address may have."""
    handshakes: Rate = _HANDSHAKES
    """New sessions of one address; those that come too early wait a little."""
    allowed_origins: tuple[str, ...] = ()
    """Pages of other hosts that may connect, like `https://app.example`; "*" is all of them."""
    compression: int | None = None
    """WebSocket messages from this size on are compressed for clients that offered it; None: no compression at all."""


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """How much of the past is kept for clients that return.

    `window` in seconds; `packets` and `bytes` for each room, `bytes_in_all` for all rooms together (of which the
    longest silent lose theirs). `sessions` may be away in all, of which `share` from one address; where there are
    more, those are forgotten first that were nobody and in no room, then the oldest. Who missed more than `replay`
    bytes of memory begins anew: they are sent at once, so it should be below the engine's `max_queue`.
    """

    window: float = 120.0
    packets: int = 1000
    bytes: int = 1_000_000
    bytes_in_all: int = 64 * 2**20
    sessions: int = 20_000
    share: float = 0.25
    replay: int = 1_000_000


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`connect_timeout` in seconds from a connection's beginning to its first CONNECT that is accepted.

    `max_attachments` for one packet, which may have `max_attached` bytes together and must all have come
    `attachments_timeout` seconds after the packet; `connects` (CONNECT packets) and `acks` (acknowledgements
    that nobody waits for, one more for each 1024 characters) for one connection. What comes for a
    namespace within `parting` seconds after its end was on its way. Who repeats a CONNECT within `connect_timeout`
    of its answer, and then says nothing for `crossing` seconds, has not had that answer. Without `recovery` every
    client begins anew.
    """

    connect_timeout: float = 10.0
    max_attachments: int = 10
    max_attached: int = 1_000_000
    attachments_timeout: float = 10.0
    parting: float = 5.0
    crossing: float = 0.5
    connects: Rate = _CONNECTS
    acks: Rate = _CONNECTS
    recovery: RecoverySettings | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationSettings:
    """Who is believed. `origin` is the safe default: it asks the application, and refuses everybody without one.

    `jwt` needs `algorithms` and a `key` (the shared secret, or the public key as PEM).
    """

    kind: Literal["jwt", "origin", "trusted"] = "origin"
    key: str = field(default="", repr=False)
    algorithms: tuple[str, ...] = ()
    claim: str = "sub"
    audience: str | None = None
    issuer: str | None = None
    leeway: float = 0.0
    remember: float = 30.0  # how long the application's word about a credential is good


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """What the application is asked, as request targets; None means that it is not asked.

    `profiles` and `likes` get `ids=a,b,c` appended, or put in place of `{ids}`. `authorize` knows
    `{conversation}` and `{users}`, `delete` (a DELETE) `{conversation}`, `{message}` and `{users}`. `fields` go along
    with `persist`, `profiles` and `likes`, which are asked in the core's own name; the others bear the client's own
    credentials.
    """

    session: str | None = None
    profiles: str | None = None
    likes: str | None = None
    persist: str | None = None
    authorize: str | None = None
    delete: str | None = None
    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    backoff: float = 0.25
    """Before the second attempt to persist a batch; doubles up to 2 s. Not below `patience`: one attempt."""
    patience: float = 15.0  # after which no attempt is under way any more; 0: one attempt, of any length
    remember_consent: float = 30.0
    recheck: float = 300.0  # how often those who are here are asked about; 0: never
    remember_profiles: float = 300.0
    wait_for_profiles: float = 0.1  # what is sent waits no longer for profiles and likes, and goes without
    wait_for_own_profile: float = 1.0  # the same for a user who authenticates


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """When a conversation's messages leave, and how many may wait for it."""

    mode: Literal["adaptive", "fixed"] = "adaptive"
    delay: float = 0.05
    max_messages: int = 100
    max_bytes: int = 256 * 1024
    queued_messages: int = 1_000  # per conversation
    queued_bytes: int = 4 * 1024 * 1024  # per conversation
    queued_bytes_in_all: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TypingSettings:
    """Typing indicators."""

    debounce: float = 0.3
    stops_after: float = 3.0


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one connection, and one user over all connections, may do."""

    events: Rate = _EVENTS  # per connection, every event counts one
    messages: Rate = _MESSAGES  # per connection, every message of a batch counts one
    user_messages: Rate = _MESSAGES  # per user
    conversations_per_connection: int = 100
    channels_per_connection: int = 100
    id_length: int = 200
    content_length: int = 16_000
    messages_at_once: int = 100  # in one send_message_batch


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Channels that clients may subscribe to.

    `match` is a name with `*` for anything; `{user}` stands for a user who is authenticated on the subscribing
    socket. `conflate` keeps the latest update of each key and announces it after a debounce, `append` keeps all and
    announces each at once.
    `profiles` and `likes` name the member of a published object that holds the id of a user, and of a thing that
    can be liked: both are looked up at once and put beside it as `author` and `likes`.
    """

    match: str
    mode: Literal["append", "conflate"] = "append"
    profiles: str | None = None
    likes: str | None = None


CHANNELS = (
    ChannelRule("reports", "conflate"),
    ChannelRule("reports:*", "conflate"),
    ChannelRule("notifications", "append"),
    ChannelRule("user:{user}", "append"),
    ChannelRule("cache:*", "conflate"),
    ChannelRule("outbox:*", "append"),
)


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """The reference application's events."""

    deliver: Deliver = "batch"
    users_per_connection: int = 10
    channel_delay: float = 0.1  # debounce of conflated channels
    presence_grace: float = 2.0  # a session that is lost leaves its users online for so long
    batch: BatchSettings = BatchSettings()
    typing: TypingSettings = TypingSettings()
    limits: LimitSettings = LimitSettings()
    channels: tuple[ChannelRule, ...] = CHANNELS


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Everything that `realtime.core.Core` is built from."""

    engine: EngineSettings = EngineSettings()
    hub: HubSettings = HubSettings(recovery=RecoverySettings())
    chat: ChatSettings = ChatSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    origin: OriginSettings = OriginSettings()
