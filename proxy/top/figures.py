"""PURE: what `cachewire top` shows, worked out of two looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.operations.seconds import FROM_STORE, NOT_COUNTED
from proxy.top.scrape import Scrape, between, quantile

VERDICTS = ("hit", "revalidated", "stale", "miss", "bypass", "local", "refused", "error")
GRADES = ("excellent", "good", "poor")

_REQUESTS = "cachewire_http_requests_total"
_BYTES = "cachewire_http_response_bytes_total"


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """One route: requests in a second, and the share that came out of the store."""

    name: str
    strategy: str
    per_second: float
    hit_ratio: float | None
    errors: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates are per second, durations seconds, ratios shares of one; None: nothing to take it from."""

    window: float
    requests: float
    verdicts: Mapping[str, float]
    hit_ratio: float | None
    byte_hit_ratio: float | None
    error_ratio: float | None
    bytes_out: float
    p50: float | None
    p95: float | None
    p99: float | None
    in_flight: float
    connections: float
    origin_up: bool | None
    origin_requests: float
    origin_errors: float
    origin_p95: float | None
    tiers: Mapping[str, tuple[float, float]]
    stored: float
    outbox: Mapping[str, float]
    outbox_oldest: float
    realtime: bool
    sessions: Mapping[str, float]
    users: float
    messages: float
    deliveries: float
    quality: Mapping[str, float]
    reporting: float
    browsers_p95: float | None
    retries: float
    routes: tuple[RouteFigures, ...]
    alerts: Mapping[str, float]
    cpu: float | None
    resident: float | None

    @property
    def firing(self) -> list[str]:
        return sorted(name for name, state in self.alerts.items() if state >= 2)


def figures(before: Scrape, after: Scrape) -> Figures:
    """The figures of the time between two looks."""
    grown = between(before, after)
    window = max(grown.at, 1e-3)
    verdicts = grown.by(_REQUESTS, "verdict")
    requests = sum(verdicts.values())
    latency = "cachewire_http_request_duration_seconds_bucket"
    origin_latency = "cachewire_origin_request_duration_seconds_bucket"
    up = after.value("cachewire_origin_up")
    return Figures(
        window=window,
        requests=requests / window,
        verdicts={verdict: verdicts[verdict] / window for verdict in VERDICTS if verdict in verdicts},
        hit_ratio=_hit_ratio(verdicts),
        byte_hit_ratio=_hit_ratio(grown.by(_BYTES, "verdict")),
        error_ratio=_errors(grown) / requests if requests else None,
        bytes_out=(grown.value(_BYTES) or 0.0) / window,
        p50=_quantile(grown, latency, 0.5),
        p95=_quantile(grown, latency, 0.95),
        p99=_quantile(grown, latency, 0.99),
        in_flight=after.value("cachewire_http_requests_in_flight") or 0.0,
        connections=after.value("cachewire_connections") or 0.0,
        origin_up=None if up is None else up > 0,
        origin_requests=(grown.value("cachewire_origin_requests_total") or 0.0) / window,
        origin_errors=(grown.value("cachewire_origin_errors_total") or 0.0) / window,
        origin_p95=_quantile(grown, origin_latency, 0.95),
        tiers=_tiers(after),
        stored=after.value("cachewire_cache_stored_responses") or 0.0,
        outbox=after.by("cachewire_outbox_writes", "state"),
        outbox_oldest=after.value("cachewire_outbox_oldest_seconds") or 0.0,
        realtime="cachewire_realtime_sessions" in after.samples,
        sessions=after.by("cachewire_realtime_sessions", "transport"),
        users=after.value("cachewire_realtime_users") or 0.0,
        messages=(grown.value("cachewire_realtime_messages_total") or 0.0) / window,
        deliveries=(grown.value("cachewire_realtime_deliveries_total") or 0.0) / window,
        quality=after.by("cachewire_realtime_quality", "grade"),
        reporting=after.value("cachewire_realtime_client_reporting_sessions") or 0.0,
        browsers_p95=after.value("cachewire_realtime_client_latency_seconds", statistic="p95"),
        retries=after.value("cachewire_realtime_client_retries") or 0.0,
        routes=_routes(grown, window),
        alerts=after.by("cachewire_alert_state", "alert"),
        cpu=_per(grown.value("process_cpu_seconds_total"), window),
        resident=after.value("process_resident_memory_bytes"),
    )


def _routes(grown: Scrape, window: float) -> tuple[RouteFigures, ...]:
    """The routes with traffic, the busiest first."""
    routes = []
    for name, requests in grown.by(_REQUESTS, "route").items():
        if not requests or not name:
            continue
        verdicts = grown.by(_REQUESTS, "verdict", route=name)
        strategies = grown.by(_REQUESTS, "strategy", route=name)
        strategy = max(strategies, key=lambda each: strategies[each])
        share = _hit_ratio(verdicts)
        routes.append(RouteFigures(name, strategy, requests / window, share, _errors(grown, route=name) / window))
    return tuple(sorted(routes, key=lambda route: (-route.per_second, route.name)))


def _errors(grown: Scrape, **labels: str) -> float:
    statuses = grown.by(_REQUESTS, "status", **labels)
    return sum(count for status, count in statuses.items() if status.startswith("5"))


def _hit_ratio(verdicts: Mapping[str, float]) -> float | None:
    counted = {verdict: count for verdict, count in verdicts.items() if verdict not in NOT_COUNTED}
    whole = sum(counted.values())
    return sum(count for verdict, count in counted.items() if verdict in FROM_STORE) / whole if whole else None


def _quantile(grown: Scrape, name: str, q: float) -> float | None:
    bounds = grown.by(name, "le")
    return quantile(((float(bound), count) for bound, count in bounds.items()), q)


def _tiers(after: Scrape) -> dict[str, tuple[float, float]]:
    """(entries, bytes) by tier."""
    entries, sizes = after.by("cachewire_cache_entries", "tier"), after.by("cachewire_cache_bytes", "tier")
    return {tier: (entries[tier], sizes.get(tier, 0.0)) for tier in entries}


def _per(value: float | None, window: float) -> float | None:
    return None if value is None else value / window
