"""The configuration model: every key, its default, its unit. Names are fixed; see config.yaml for the reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proxy.config.units import Address, Duration, ListenAddress, Size

StrategyName = Literal["network-first", "cache-first", "stale-while-revalidate", "network-only", "cache-only"]
Credentials = Literal["bypass", "partition", "ignore"]


class Section(BaseModel):
    """A part of the file: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """The public listener and its limits."""

    listen: ListenAddress = Address("127.0.0.1", 8080)
    workers: Annotated[int, Field(ge=1, le=1)] = 1
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    max_target: Size = 8 * 2**10
    max_head: Size = 32 * 2**10
    max_body: Size = 2**30
    head_timeout: Duration = 10.0
    body_timeout: Duration = 30.0
    write_timeout: Duration = 30.0
    idle_timeout: Duration = 75.0
    drain_timeout: Duration = 10.0
    trusted_proxies: tuple[str, ...] = ()
    performance_report: bool = True


class Admin(Section):
    """The operators' listener: dashboard, API, metrics."""

    listen: ListenAddress = Address("127.0.0.1", 8081)
    token: str | None = None


class Origin(Section):
    """The application behind the edge. Only this host is ever contacted."""

    url: str = "http://127.0.0.1:3000"
    preserve_host: bool = True
    connect_timeout: Duration = 3.0
    response_timeout: Duration = 60.0
    body_timeout: Duration = 30.0
    idle_timeout: Duration = 15.0
    max_connections: Annotated[int, Field(ge=1)] = 100
    max_head: Size = 64 * 2**10
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    tls_ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        match = re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:(\d{1,5}))?/?", value.strip())
        if match is None or int(match[3] or 1) not in range(1, 65536):
            raise ValueError(
                f"{value!r} is not an origin; write scheme, host and port without path or credentials,"
                " as in http://127.0.0.1:3000"
            )
        return value.strip().rstrip("/")


class Cache(Section):
    """The storage tiers and what they may hold."""

    dir: Path = Path(".cachewire/cache")
    memory: Size = 64 * 2**20
    disk: Size = 2**30
    redis: None = None
    memory_object: Size = 512 * 2**10
    max_object: Size = 256 * 2**20
    max_entries: Annotated[int, Field(ge=1)] = 100_000
    max_variants: Annotated[int, Field(ge=1)] = 32
    write_behind: Size = 32 * 2**20
    expiry: dict[str, Duration] = Field(default_factory=dict)


class Match(Section):
    """Which requests a route takes. `path` is a glob (`*` within a segment, `**` across) or, with `regex`, a
    regular expression matched against the whole path."""

    path: str = "/**"
    regex: bool = False
    methods: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()


class Expiration(Section):
    """How many responses a route keeps and how old they may get."""

    max_entries: Annotated[int, Field(ge=1)] | None = None
    max_age: Duration | None = None


class Cacheable(Section):
    """Narrows what a route stores. `headers` maps a field name to the value it must have, or null for any."""

    statuses: tuple[Annotated[int, Field(ge=200, le=599)], ...] = ()
    headers: dict[str, str | None] = Field(default_factory=dict)


class Query(Section):
    """Which query parameters distinguish stored responses. They are always forwarded."""

    mode: Literal["all", "none", "only", "except"] = "except"
    names: tuple[str, ...] = ("utm_*", "gclid", "fbclid")


class Key(Section):
    """What, besides method, host and path, distinguishes stored responses."""

    query: Query = Query()
    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()

    @field_validator("query", mode="before")
    @classmethod
    def _mode_alone(cls, value: Any) -> Any:
        return {"mode": value, "names": ()} if isinstance(value, str) else value


class Route(Section):
    """How one group of requests is answered. The first route that matches takes the request."""

    name: str = ""
    match: Match = Match()
    strategy: StrategyName
    network_timeout: Duration | None = None
    expiration: Expiration = Expiration()
    cacheable: Cacheable = Cacheable()
    stale_if_error: Duration | None = None
    fallback_on: tuple[Annotated[int, Field(ge=400, le=599)], ...] = (500, 502, 503, 504)
    key: Key = Key()
    credentials: Credentials = "bypass"
    request_directives: bool = True
    tags: tuple[str, ...] = ()

    @field_validator("match", mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _named(self) -> Route:
        if not self.name:
            object.__setattr__(self, "name", self.match.path)
        return self


class Log(Section):
    """What the process says of itself on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    """Everything."""

    server: Server = Server()
    admin: Admin = Admin()
    origin: Origin = Origin()
    cache: Cache = Cache()
    routes: tuple[Route, ...] = (Route(name="default", strategy="network-first"),)
    log: Log = Log()
