"""Routes as the exchange needs them: the configuration's words turned into rules, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxy.config.model import Cache, Config
from proxy.config.model import Route as RouteSettings
from proxy.policy.matching import KeyRules, normalised_url
from proxy.policy.messages import Request, Rules
from proxy.policy.queueing import QueueRules
from proxy.policy.routes import RouteMatch, Routes


@dataclass(frozen=True, slots=True)
class Route:
    """One configured route, compiled."""

    name: str
    match: RouteMatch
    strategy: str
    rules: Rules
    key: KeyRules
    network_timeout: float | None
    fallback_on: frozenset[int]
    refresh_window: float | None
    timeout_limit: float | None = None
    tags: tuple[str, ...] = ()
    offline_queue: QueueRules | None = None
    fallback: Mapping[str, str] = field(default_factory=dict)


UNROUTED = Route(
    name="(no route)",
    match=RouteMatch("/**"),
    strategy="network-only",
    rules=Rules(),
    key=KeyRules("all", (), (), ()),
    network_timeout=None,
    fallback_on=frozenset(),
    refresh_window=None,
)
"""What takes a request that no route matches: it goes to the origin and back, unstored."""


class RouteTable:
    """Finds the route of a request: the first that matches."""

    def __init__(self, config: Config) -> None:
        self._tuning = config.cache
        self.replace(config)

    def replace(self, config: Config) -> None:
        """Take these routes from the next request on; exchanges under way keep the route they have."""
        self._compiled = [compiled(settings, config.cache.expiry) for settings in config.routes]
        self.tune(self._tuning)

    def tune(self, cache: Cache) -> None:
        """Let `network_timeout_limit` and `heuristic` of these settings hold on network-first routes from now on."""
        self._tuning = cache
        self.routes: Sequence[Route] = [_tuned(route, cache) for route in self._compiled]
        self._routes = Routes([(route.match, route) for route in self.routes])

    def find(self, request: Request) -> Route:
        return self._routes.find(request) or UNROUTED

    def url_of(self, request: Request) -> str:
        """The URL under which a response to this request is listed, as its route's key tells URLs apart."""
        return normalised_url(request, self.find(request).key)


def matcher(settings: RouteSettings) -> RouteMatch:
    match = settings.match
    return RouteMatch(match.path, match.regex, match.methods, match.hosts, match.content_types)


def _tuned(route: Route, cache: Cache) -> Route:
    if route.strategy != "network-first":
        return route
    rules = replace(route.rules, assumed_lifetime=cache.heuristic)
    return replace(route, rules=rules, timeout_limit=cache.network_timeout_limit)


def compiled(settings: RouteSettings, expiry: dict[str, float]) -> Route:
    """A route from its settings; `expiry` gives each content type pattern its lifetime in seconds."""
    cache_first = settings.strategy in ("cache-first", "cache-only")
    max_age = settings.expiration.max_age
    queue = settings.offline_queue
    return Route(
        name=settings.name,
        match=matcher(settings),
        strategy=settings.strategy,
        rules=Rules(
            statuses=frozenset(settings.cacheable.statuses) or None,
            required_fields=tuple(settings.cacheable.headers.items()),
            max_age=max_age,
            expiry=tuple(expiry.items()),
            assign_lifetime=cache_first,
            origin_freshness_only=not cache_first,
            stale_if_error=settings.stale_if_error,
            credentials=settings.credentials,
            partial=True,
            honour_request_directives=settings.request_directives,
        ),
        key=KeyRules(settings.key.query.mode, settings.key.query.names, settings.key.headers, settings.key.cookies),
        network_timeout=settings.network_timeout,
        fallback_on=frozenset(settings.fallback_on),
        refresh_window=(max_age if max_age is not None else float("inf"))
        if settings.strategy == "stale-while-revalidate"
        else None,
        tags=settings.tags,
        offline_queue=None if queue is None else QueueRules(queue.credentials, queue.max_body, queue.retention),
        fallback=settings.fallback.model_dump(exclude_none=True),
    )
