"""The routes as configured, with what each has answered and stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from proxy.config.model import Config
from proxy.config.model import Route as Settings
from proxy.config.units import format_duration
from proxy.operations.ledger import Ledger, RouteTraffic
from proxy.routing import UNROUTED
from proxy.storage.base import Entry
from webui.routes_shown import RouteRow, RoutesList, RoutesQuery

COUNT_EVERY = 10.0
"""Seconds that a count of what is stored may be old: counting looks at every entry."""

_STRATEGIES = {
    "network-first": "asks the origin; the stored answer stands in when it is away, slow or failing",
    "cache-first": "answers from the store while fresh; then asks the origin",
    "stale-while-revalidate": "answers from the store at once and refreshes behind",
    "network-only": "goes to the origin; nothing is stored",
    "cache-only": "answers from the store alone; the origin is never asked",
}
_CREDENTIALS = {
    "bypass": "users with cookies get only what is public from it",
    "partition": "keeps a copy for each user",
    "ignore": "cookies and Authorization make no difference",
}
OWN_ROUTES = {
    "(edge)": "answered by the edge itself",
    "(realtime)": "Socket.IO sessions, answered by the realtime core",
    UNROUTED.name: "taken by no route: to the origin and back, unstored",
    "": "refused before a route was found",
    "(other)": "routes beyond those that are counted apart",
}
"""The routes that nobody configures, in words."""


class RoutesSource:
    """The routes of one edge. `now` is in seconds."""

    def __init__(
        self,
        config: Callable[[], Config],
        ledger: Ledger,
        entries: Callable[[], Iterable[Entry]],
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._entries = entries
        self._now = now
        self._counted = float("-inf")
        self._stored: Counter[str] = Counter()
        self._stored_bytes: Counter[str] = Counter()

    def routes(self, query: RoutesQuery) -> RoutesList:
        """All routes, in the order that `query` asks for; those of the edge itself only once they were used."""
        self._count()
        traffic = self._ledger.routes()
        configured = self._config().routes
        names = {route.name for route in configured}
        rows = [
            self._row(place, route.name, route.strategy, matches_of(route), rule_of(route), traffic.get(route.name))
            for place, route in enumerate(configured, 1)
        ]
        others = sorted(name for name in traffic if name not in names)
        rows += [
            self._row(len(configured) + place, name or "(refused)", "", "", OWN_ROUTES.get(name, ""), traffic[name])
            for place, name in enumerate(others, 1)
        ]
        return RoutesList(query, tuple(query.ordered(rows)), self._ledger.now() - self._ledger.started)

    def _row(
        self, place: int, name: str, strategy: str, matches: str, rule: str, traffic: RouteTraffic | None
    ) -> RouteRow:
        return RouteRow(
            place=place,
            name=name,
            strategy=strategy,
            matches=matches,
            rule=rule,
            requests=traffic.requests if traffic else 0,
            verdicts=traffic.verdicts if traffic else {},
            hit_ratio=traffic.hit_ratio if traffic else None,
            byte_hit_ratio=traffic.byte_hit_ratio if traffic else None,
            p50=traffic.durations.quantile(0.5) if traffic else None,
            p95=traffic.durations.quantile(0.95) if traffic else None,
            errors=traffic.errors if traffic else 0,
            bytes_out=traffic.bytes_out if traffic else 0,
            stored=self._stored[name],
            stored_bytes=self._stored_bytes[name],
        )

    def _count(self) -> None:
        if self._now() < self._counted + COUNT_EVERY:
            return
        self._counted = self._now()
        self._stored, self._stored_bytes = Counter(), Counter()
        for entry in self._entries():
            self._stored[entry.route] += 1
            self._stored_bytes[entry.route] += entry.length


def matches_of(route: Settings) -> str:
    """Which requests a route takes, in words."""
    match = route.match
    said = [f"regular expression {match.path}" if match.regex else match.path]
    for what, values in (("method", match.methods), ("host", match.hosts), ("type", match.content_types)):
        if values:
            said.append(f"{what} {' or '.join(values)}")
    return ", ".join(said)


def rule_of(route: Settings) -> str:
    """What a route does with them, in words."""
    said = [_STRATEGIES[route.strategy]]
    if route.strategy != "network-only":
        if route.expiration.max_age is not None:
            said.append(f"uses nothing older than {format_duration(route.expiration.max_age)}")
        if route.expiration.max_entries is not None:
            said.append(f"keeps at most {route.expiration.max_entries:,} responses")
        if route.network_timeout is not None:
            said.append(f"waits {format_duration(route.network_timeout)} for the origin where a stored one can answer")
        said.append(_CREDENTIALS[route.credentials])
    if route.offline_queue is not None:
        said.append("writes wait in the outbox while the origin is away")
    return "; ".join(said)
