"""The part of the configuration model that is about the realtime core: chat, channels, and who may use them.

Names are fixed; the sentence under a key is its documentation everywhere, as in model.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from proxy.config.section import Section
from proxy.config.units import Duration, PositiveCount, Size
from proxy.config.values import BrowserOrigin, ChannelGlob, LocalPath, RealtimePath


class Jwt(Section):
    """How tokens are verified with `auth: jwt`; needs the extra `jwt`."""

    secret: Annotated[str, Field(min_length=16)] | None = Field(default=None, repr=False)
    """Shared secret of HS256, HS384 and HS512; better set as CACHEWIRE__REALTIME__JWT__SECRET than in a file."""
    public_key_file: Path | None = None
    """Public key (PEM) of the algorithms that have one, relative to this file's own directory."""
    algorithms: tuple[Literal["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"], ...] = ("HS256",)
    """The only algorithms that are accepted, whatever a token says of itself."""
    user_claim: Annotated[str, Field(min_length=1)] = "sub"
    """The claim that holds the user's id."""
    audience: str | None = None
    """The audience that tokens must be for."""
    issuer: str | None = None
    """The issuer that tokens must come from."""
    leeway: Duration = 0.0
    """Difference between clocks that is forgiven."""


class Batch(Section):
    """When the messages of a conversation leave, together."""

    mode: Literal["adaptive", "fixed"] = "adaptive"
    """`adaptive`: the first after a pause leaves at once, what follows within `delay` together; `fixed`: all wait."""
    delay: Duration = 0.05
    """How long messages are gathered."""
    max_messages: PositiveCount = 100
    """A batch this long leaves early."""
    max_bytes: Size = 256 * 2**10
    """A batch this large leaves early."""


class Typing(Section):
    """Who is typing, told to the others of a conversation."""

    debounce: Duration = 0.3
    """Shortest time between two such events of one user in one conversation."""
    stop_after: Duration = 3.0
    """After this silence a user has stopped typing."""


class RealtimeOrigin(Section):
    """What the core asks the application: paths of it. null: not asked."""

    session: LocalPath | None = None
    """GET with the client's own Cookie and Authorization; answers 200 and who that is, as in {"user": {"id": "u7"}}, or
    401 where nobody is logged in: no redirect to a login page."""
    authorize: LocalPath | None = None
    """GET before a user joins `{conversation}`, with the client's own credentials: 2xx allows, 401, 403, 404 forbid."""
    delete: LocalPath | None = None
    """DELETE of `{message}` of `{conversation}`, with the client's own credentials."""
    persist: LocalPath | None = None
    """POST of each batch {conversation_id, messages}, with an Idempotency-Key; answers the messages as stored."""
    profiles: LocalPath | None = None
    """GET of the profiles of `{ids}`, joined by commas; answers {"profiles": [{"id": ...}]}."""
    likes: LocalPath | None = None
    """GET of the likes of `{ids}` that channels with `likes` publish about, asked beside the profiles."""
    token: Annotated[str, Field(min_length=1)] | None = Field(default=None, repr=False)
    """Sent as bearer token with `persist`, `profiles` and `likes`, which are asked in the core's own name."""
    timeout: Duration = 10.0
    """Longest time one such question may take."""
    patience: Duration = 15.0
    """How long a message waits to be persisted before its sender is told that it failed; 0: one attempt."""
    remember: Duration = 30.0
    """How long the answers of `session` and `authorize` hold."""
    recheck: Duration = 300.0
    """How often users who stay connected are asked about again, by `session` and `authorize`; 0: never."""
    profiles_max_age: Duration = 300.0
    """How long a profile is used before it is asked for again."""


class Channel(Section):
    """Channels that clients may subscribe to."""

    match: ChannelGlob
    """Their names: `*` stands for anything. `user:{user}` is open to that user alone."""
    mode: Literal["append", "conflate"] = "append"
    """`append` delivers every event; `conflate` the latest of each key, at most once in `debounce`."""
    profiles: Annotated[str, Field(min_length=1)] | None = None
    """The member of published data that holds a user's id, whose profile is then added as `author`."""
    likes: Annotated[str, Field(min_length=1)] | None = None
    """The member of published data that holds an id whose likes are then added as `likes`."""


class Recovery(Section):
    """What a client that comes back is given of what it missed."""

    window: Duration = 120.0
    """How long after it was lost a session may return; 0: never."""
    max_packets: PositiveCount = 1_000
    """Packets kept for each conversation or channel."""
    max_bytes: Size = 2**20
    """Bytes kept for each conversation or channel."""
    max_bytes_in_all: Size = 64 * 2**20
    """Memory for all of them together, about; who was in those that were silent for longest starts anew."""
    max_sessions: PositiveCount = 20_000
    """Sessions that are away and remembered, a quarter of them from one address at most; beyond it those are forgotten
    first that never authenticated and joined nothing."""
    dir: Path | None = None
    """Where it is kept across restarts; null: `realtime` inside cache.dir, or memory alone where cache.disk is 0."""


class RealtimeLimits(Section):
    """What one client may do; beyond it it gets an error event that says when to try again."""

    handshakes: PositiveCount = 300
    """New sessions per second and address (of IPv6 the /64), on average; twenty times as many at once. More wait their
    turn, at most 2 s; beyond it they are refused with 429."""
    entering: PositiveCount = 6_000
    """Sessions that have entered no namespace yet; to a newcomer the one silent for longest gives way."""
    address_share: Annotated[int, Field(ge=1, le=100)] = 50
    """Percent that one address may have of `max_sessions` and of `entering`. Behind a proxy, name it in
    `server.trusted_proxies`: else all clients share its address."""
    packets: PositiveCount = 500
    """Packets of any kind per second and connection, on average; twice as many at once, or in one request of
    long-polling; a long text counts one more for each 4096 characters and each 64 brackets. More ends the session
    (reason `flood`). Never below twice `events`."""
    events: PositiveCount = 200
    """Events of any kind per second and connection, on average; twice as many at once."""
    messages: PositiveCount = 100
    """Chat messages per second, of a connection and of a user, on average, alone or in batches; twice as many may come
    at once, after a pause."""
    messages_at_once: PositiveCount = 100
    """Chat messages in one `send_message_batch`; a larger one is refused, as is one of more than twice `messages`:
    so many may come at once, in however many events."""
    message_length: PositiveCount = 16_000
    """Characters of one chat message."""
    conversations: PositiveCount = 100
    """Conversations that a connection may have joined at once."""
    channels: PositiveCount = 100
    """Channels that a connection may be subscribed to at once."""
    waiting: PositiveCount = 1_000
    """Messages of one conversation that may wait to be persisted while the application is away."""
    waiting_bytes: Size = 64 * 2**20
    """Bytes that may wait so in all conversations."""


class RealtimeCompression(Section):
    """Compression of WebSocket messages; made once for all members of a conversation."""

    enabled: bool = False
    """Whether it is negotiated with clients that offer it."""
    threshold: Size = 32 * 2**10
    """Smaller messages go as they are."""


class Realtime(Section):
    """The realtime core: Socket.IO for browsers, on the public listener, ahead of all routes."""

    enabled: bool = True
    """Whether it is there; if not, its path belongs to the application."""
    path: RealtimePath = "/socket.io/"
    """Where clients connect, with a slash at the end."""
    transports: Annotated[tuple[Literal["polling", "websocket"], ...], Field(min_length=1)] = ("polling", "websocket")
    """How clients may connect. socket.io-client begins with polling and upgrades; where `websocket` stands alone it
    needs `transports: ['websocket']`, and networks that let no WebSocket through are left out."""
    auth: Literal["jwt", "origin", "trusted"] = "origin"
    """Who a client is: a token says so, the application is asked (`origin.session`), or the client's word is taken."""
    jwt: Jwt = Jwt()
    """How tokens are verified."""
    users_per_connection: PositiveCount = 10
    """Users that may authenticate on one connection."""
    allowed_origins: tuple[BrowserOrigin, ...] = ()
    """Pages of other origins that may connect, as in https://app.example.org, or `*`; empty: those of the same host."""
    ping_interval: Duration = 25.0
    """Time between two heartbeats."""
    ping_timeout: Duration = 60.0
    """A client that leaves a heartbeat unanswered for this long is gone."""
    connect_timeout: Duration = 10.0
    """Time a connection has to enter a namespace."""
    max_payload: Size = 1_000_000
    """Largest packet or polling body from a client; larger ends its session."""
    max_queue: Size = 2**20
    """Memory for what waits for a slow client; beyond it its session ends, and recovers when it comes back."""
    max_sessions: PositiveCount = 8_000
    """Sessions at once; further ones are refused with 503. WebSockets count for `server.max_connections`, too."""
    batch: Batch = Batch()
    """When messages leave."""
    debounce: Duration = 0.1
    """Shortest time between two updates of a channel whose mode is `conflate`."""
    typing: Typing = Typing()
    """Typing indicators."""
    deliver: Literal["batch", "single", "both"] = "batch"
    """`new_messages_batch` with a list, `new_message` for each, or both; a client may choose its own."""
    origin: RealtimeOrigin = RealtimeOrigin()
    """What the application is asked."""
    channels: tuple[Channel, ...] = (
        Channel(match="reports", mode="conflate"),
        Channel(match="reports:*", mode="conflate"),
        Channel(match="notifications"),
        Channel(match="user:{user}"),
        Channel(match="cache:*", mode="conflate"),
        Channel(match="outbox:*"),
    )
    """Channels that clients may subscribe to; the first that matches decides."""
    recovery: Recovery = Recovery()
    """What a returning client is given."""
    limits: RealtimeLimits = RealtimeLimits()
    """What one client may do."""
    compression: RealtimeCompression = RealtimeCompression()
    """Compression of messages."""
    redis: None = None
    """The backplane between machines is not part of this version; null."""

    @field_validator("path", mode="after")
    @classmethod
    def _ends_with_a_slash(cls, value: str) -> str:
        return value if value.endswith("/") else f"{value}/"
