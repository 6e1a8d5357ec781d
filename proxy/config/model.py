"""The configuration model: every key, its default, its unit. Names are fixed; see config.yaml for the reasons.

The sentence under a key is its documentation everywhere: in the JSON Schema, in docs/configuration.md and in editors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from proxy.config.access_log import AccessLog
from proxy.config.admin import Admin
from proxy.config.alerts import Alerts
from proxy.config.realtime import Realtime
from proxy.config.section import Section
from proxy.config.tuning import Tuning
from proxy.config.units import Address, Duration, ListenAddress, PositiveCount, Size, parse_count
from proxy.config.values import (
    Coding,
    Credentials,
    ErrorStatus,
    FieldName,
    LocalPath,
    MediaRange,
    Method,
    Network,
    PrecachedUrl,
    PublicUrl,
    Status,
    StrategyName,
)
from proxy.policy.destinations import destination_of_path


class Server(Section):
    """The public listener and its limits."""

    listen: ListenAddress = Address("127.0.0.1", 8080)
    """Where browsers connect."""
    workers: Annotated[int, Field(ge=1, le=1), BeforeValidator(parse_count)] = 1
    """Edge processes; this version runs one."""
    max_connections: PositiveCount = 10_000
    """Client connections open at once; further ones wait in the system's backlog."""
    max_target: Size = 8 * 2**10
    """Longest request target (path and query); longer is 414."""
    max_head: Size = 32 * 2**10
    """Largest request head; larger is 431."""
    max_body: Size = 2**30
    """Largest request body; larger is 413."""
    head_timeout: Duration = 10.0
    """A request head must be complete within this time."""
    body_timeout: Duration = 30.0
    """Longest silence inside a request body."""
    write_timeout: Duration = 30.0
    """Longest time a client may accept no byte of its answer."""
    idle_timeout: Duration = 75.0
    """How long an idle client connection is kept."""
    drain_timeout: Duration = 10.0
    """Time that open exchanges get to finish at shutdown."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose X-Forwarded-* and Forwarded fields are believed."""
    performance_report: bool = True
    """Whether `GET /api/performance` is answered here; if not, the path belongs to the application."""


class Origin(Section):
    """The application behind the edge. Only this host is ever contacted."""

    url: str = "http://127.0.0.1:3000"
    """Scheme, host and port of the application, without a path."""
    preserve_host: bool = True
    """Whether the application sees the Host that the browser sent; if not, the host of `url`."""
    connect_timeout: Duration = 3.0
    """Time to establish a connection."""
    response_timeout: Duration = 60.0
    """Time to the response head, waiting for a connection included."""
    body_timeout: Duration = 60.0
    """Longest silence inside a response body."""
    idle_timeout: Duration = 15.0
    """How long an idle connection is kept; below the application's own keep-alive, or it may close first."""
    max_connections: PositiveCount = 100
    """Connections open at once; further requests wait in order."""
    max_head: Size = 64 * 2**10
    """Largest response head."""
    retries: Annotated[int, Field(ge=0, le=10), BeforeValidator(parse_count)] = 3
    """Further attempts of idempotent requests after connection errors, unless no connection could be made just now."""
    probe: Duration = 5.0
    """After so long without a request a connection is made and closed again, to know whether it is up; 0: never."""
    tls_ca_file: Path | None = None
    """Certificate authorities (PEM) to verify an https origin with, instead of the system's."""

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        match = re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:(\d{1,5}))?/?", value.strip(), re.ASCII)
        if match is None or int(match[3] or 1) not in range(1, 65536):
            raise ValueError(
                f"{value!r} is not an origin; write scheme, host and port without path or credentials,"
                " as in http://127.0.0.1:3000"
            )
        return value.strip().rstrip("/")


class Compression(Section):
    """Coded copies of stored text, made in the background and chosen by Accept-Encoding; never of one user's own."""

    enabled: bool = True
    """Whether copies are made and served."""
    codings: tuple[Coding, ...] = ("zstd", "br", "gzip")
    """Which codings, best first; a client's own weights come before this order."""
    minimum: Size = 512
    """Smaller bodies are left as they are."""


class Cache(Section):
    """The storage tiers and what they may hold."""

    dir: Path = Path(".cachewire/cache")
    """Directory of the disk tier, relative to this file's own directory; created with mode 0700."""
    memory: Size = 64 * 2**20
    """Bytes of bodies kept in memory; 0 switches the memory tier off."""
    disk: Size = 2**30
    """Bytes kept on disk; 0 switches the disk tier off."""
    redis: None = None
    """The shared tier is not part of this version; null."""
    memory_object: Size = 512 * 2**10
    """Larger bodies live on disk only and stream from there."""
    max_object: Size = 256 * 2**20
    """Larger bodies are passed through and never stored."""
    max_entries: PositiveCount = 100_000
    """Stored responses over all routes."""
    max_variants: PositiveCount = 32
    """Stored responses per URL that differ by Vary."""
    max_index: Size = 256 * 2**20
    """Memory for the index of stored responses: about 1.5 KiB each, and their URLs, keys and tags."""
    write_behind: Size = 32 * 2**20
    """Bytes waiting to be written to disk; beyond it a response stays in memory only."""
    expiry: dict[MediaRange, Duration] = Field(default_factory=dict)
    """Lifetime by content type (`image/*: 30d`) on cache-first routes, for responses that bring none of their own."""
    network_timeout_limit: Duration | None = None
    """On network-first routes a stored response that all may share answers after this time without a response head,
    even where the route's `network_timeout` is longer or null; null: the route's own time counts."""
    heuristic: Duration = 0.0
    """On network-first routes a stored 200 that names no lifetime of its own answers for this long without the origin
    (RFC 9111 section 4.2.2), unless it is one user's own, says `no-cache`, `no-store`, `private`, `must-revalidate` or
    `proxy-revalidate`, sets a cookie, or something was written on its route since; 0: never."""
    compression: Compression = Compression()
    """Coded copies of stored text, of bodies up to 8 MiB."""


class Match(Section):
    """Which requests a route takes. `path` is a glob (`*` within a segment, `**` across) or, with `regex`, a
    regular expression matched against the whole path."""

    path: str = "/**"
    """Glob: `*` within a segment, `**` across segments, `?` one character, `{a,b}` alternatives."""
    regex: bool = False
    """Whether `path` is a regular expression for the whole path instead of a glob."""
    methods: tuple[Method, ...] = ()
    """Methods, in capitals; empty: any."""
    hosts: tuple[str, ...] = ()
    """Globs of host names, without port; empty: any."""
    content_types: tuple[MediaRange, ...] = ()
    """Content types as the path's extension tells them (`image/*`); empty: any."""


class Expiration(Section):
    """How many responses a route keeps and how old they may get."""

    max_entries: PositiveCount | None = None
    """Stored responses of this route; the least recently used leave first. null: no bound of its own."""
    max_age: Duration | None = None
    """Oldest response that may still be used; on cache-first routes also the lifetime of one that names none."""


class Cacheable(Section):
    """Narrows what a route stores. `headers` maps a field name to the value it must have, or null for any."""

    statuses: tuple[Status, ...] = ()
    """Statuses that are stored; empty: what RFC 9111 allows."""
    headers: dict[FieldName, str | None] = Field(default_factory=dict)
    """Response fields that must be present, with this value or, if null, with any."""


class Query(Section):
    """Which query parameters distinguish stored responses. They are always forwarded."""

    mode: Literal["all", "none", "only", "except"] = "except"
    """Which parameters count: all, none, only the named, or all except the named."""
    names: tuple[str, ...] = ("utm_*", "gclid", "fbclid")
    """Parameter names, with `*` as wildcard, for the modes only and except."""


class Key(Section):
    """What, besides method, host and path, distinguishes stored responses."""

    query: Query = Query()
    """Query parameters that count; a word alone (`query: all`) sets the mode."""
    headers: tuple[FieldName, ...] = ()
    """Request fields whose values count."""
    cookies: tuple[str, ...] = ()
    """Cookies whose values count."""

    @field_validator("query", mode="before")
    @classmethod
    def _mode_alone(cls, value: Any) -> Any:
        return {"mode": value, "names": ()} if isinstance(value, str) else value


class OfflineQueue(Section):
    """Background sync: POST, PUT, PATCH and DELETE that cannot reach the application are kept, answered 202, and sent
    later in their order. `offline_queue: true` takes these defaults; false or null switches it off."""

    credentials: bool = False
    """Whether writes with Cookie or Authorization are kept, and these values on disk with them; if not, they fail."""
    max_body: Size = 2**20
    """Larger bodies are passed through and never kept."""
    retention: Duration = 7 * 86400.0
    """How long a write is tried before it becomes a dead letter."""


class Fallback(Section):
    """What answers, with status 503, when neither application nor store can: paths of the application, fetched and
    kept from the start. The destination is what the browser wants it for, by Sec-Fetch-Dest, Accept or extension. A
    path alone is for the destination that its own extension names, and for pages if it names none."""

    html: LocalPath | None = None
    """For pages and frames."""
    image: LocalPath | None = None
    """For images."""
    style: LocalPath | None = None
    """For style sheets."""
    script: LocalPath | None = None
    """For scripts and workers."""
    font: LocalPath | None = None
    """For fonts."""
    media: LocalPath | None = None
    """For audio and video."""
    data: LocalPath | None = None
    """For what scripts ask for (fetch, JSON)."""


class Route(Section):
    """How one group of requests is answered. The first route that matches takes the request."""

    name: str = ""
    """Name in metrics, dashboard and purges; the path if left out."""
    match: Match = Match()
    """Which requests; a path alone (`match: /api/**`) is enough."""
    strategy: StrategyName
    """How they are answered: see the table of strategies."""
    network_timeout: Duration | None = None
    """After this time without a response head a stored response answers, if one may; null: wait for the origin."""
    expiration: Expiration = Expiration()
    """How many responses are kept and how old they may get."""
    cacheable: Cacheable = Cacheable()
    """Which responses are stored at all."""
    stale_if_error: Duration | None = None
    """How long past its lifetime a response may answer while the origin fails; null: `expiration.max_age` decides."""
    fallback_on: tuple[ErrorStatus, ...] = (500, 502, 503, 504)
    """network-first: statuses of the origin that the stored response replaces."""
    key: Key = Key()
    """What distinguishes stored responses."""
    credentials: Credentials = "bypass"
    """Requests with Cookie or Authorization: `bypass` the cache, `partition` it per user, or `ignore` them (public)."""
    request_directives: bool = True
    """Whether a client's Cache-Control (`no-cache`, `max-age=0`) is obeyed."""
    tags: tuple[str, ...] = ()
    """Tags that every stored response of the route carries, for purge by tag."""
    offline_queue: OfflineQueue | None = None
    """Whether writes are kept while the application is away."""
    fallback: Fallback = Fallback()
    """What stands in when there is no answer at all."""

    @field_validator("offline_queue", mode="before")
    @classmethod
    def _switched(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value

    @field_validator("fallback", mode="before")
    @classmethod
    def _destination_of_the_path(cls, value: Any) -> Any:
        return {destination_of_path(value) or "html": value} if isinstance(value, str) else value

    @field_validator("match", mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _named(self) -> Route:
        if not self.name:
            object.__setattr__(self, "name", self.match.path)
        return self


class PrecacheEntry(Section):
    """What is fetched before anybody asks, and kept: a list, or the path of a JSON file that holds one (strings, or
    objects with `url` and `revision`, as Workbox's build tools write them)."""

    url: PrecachedUrl
    """A path of the application, or an absolute URL with the host that browsers use."""
    revision: str | None = None
    """Fetched again when this changes; null: the URL itself changes with its content."""


class Precache(Section):
    """What is fetched in the background at the start, and kept whatever the limits of its route."""

    public_url: PublicUrl | None = None
    """Scheme and host that browsers use, as in https://www.example.org, for paths; null: http and `server.listen`."""
    manifest: Annotated[
        Annotated[tuple[PrecacheEntry, ...], Tag("[list]")] | Annotated[Path, Tag("[file]")],
        Discriminator(lambda value: "[file]" if isinstance(value, str | Path) else "[list]"),
    ] = ()
    """A list of `{url, revision}`, or a JSON file of them."""

    @field_validator("manifest", mode="before")
    @classmethod
    def _url_alone(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [{"url": entry} if isinstance(entry, str) else entry for entry in value]


class Outbox(Section):
    """Where the writes of routes with `offline_queue` wait, and how many."""

    dir: Path = Path(".cachewire/outbox")
    """Directory of the queue, relative to this file's own directory; 0700, as it may hold what users wrote."""
    max_writes: PositiveCount = 10_000
    """Writes kept, dead letters included; beyond it they fail as they would without a queue."""
    max_bytes: Size = 256 * 2**20
    """Bytes of bodies kept."""


class Log(Section):
    """What the process says of itself on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe message that is written."""
    access: AccessLog = AccessLog()
    """A line for each exchange."""


class Config(Section):
    """Everything."""

    server: Server = Server()
    """The public listener and its limits."""
    admin: Admin = Admin()
    """The operators' listener."""
    origin: Origin = Origin()
    """The application behind the edge."""
    cache: Cache = Cache()
    """The storage tiers."""
    routes: tuple[Route, ...] = (Route(name="default", strategy="network-first"),)
    """How requests are answered; the first route that matches takes the request."""
    precache: Precache = Precache()
    """What is fetched before anybody asks."""
    outbox: Outbox = Outbox()
    """Writes that wait for the application."""
    realtime: Realtime = Realtime()
    """The realtime core."""
    alerts: Alerts = Alerts()
    """What the edge watches and tells."""
    log: Log = Log()
    """The log."""
    tuning: Tuning = Tuning()
    """What may change while running."""
