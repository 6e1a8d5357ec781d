"""Why a request is answered the way it is, in plain words, by asking the same rooms that answer it."""

from __future__ import annotations

from typing import Any

from proxy.answer import Match
from proxy.config.units import format_duration, format_size
from proxy.edge import Edge
from proxy.exchange import HttpExchange
from proxy.masking import masked_field
from proxy.policy.freshness import freshness
from proxy.policy.matching import differing, has_dot_segments
from proxy.policy.messages import Request
from proxy.policy.parts import combined, stored_part
from proxy.policy.storing import has_credentials
from proxy.policy.validation import conditional_lines
from proxy.routing import RouteTable

LONGEST_VALUE = 200
"""Characters of a field's value in a sentence."""


async def explain(edge: Edge, routes: RouteTable, request: Request) -> dict[str, Any]:
    """The route, the key, what is stored and what the next such request would do, as facts and as sentences.

    The fact `next` is one of `hit` (answered from the store), `hit-and-refresh` (and the origin asked in the
    background), `ask` (the origin is asked), `ask-if-changed` (with validators), `refuse` (504).
    """
    route = routes.find(request)
    exchange = HttpExchange(edge, request, route)
    lines = [f"{request.method} {request.url} is taken by route {route.name!r} ({route.strategy})."]
    facts: dict[str, Any] = {"route": route.name, "strategy": route.strategy}
    try:
        if route.strategy == "network-only" and not _forbidden(exchange):
            return facts | {"next": "ask", "lines": [*lines, "It goes to the origin; nothing is looked up or stored."]}
        match = await exchange.match()
        facts |= {"keys": list(exchange.lookup.keys), "stored": match is not None}
        lines.extend(f"Its key is {key!r}." for key in exchange.lookup.base_keys[-1:])
        if match is None:
            lines.append(await _nothing(edge, exchange))
            facts["next"] = "refuse" if _forbidden(exchange) else "ask"
            lines.append(_NEXT[facts["next"]])
        else:
            stored, now = match.stored, edge.now()
            state = freshness(stored, exchange.lookup.rules(stored), now)
            facts |= {
                "status": stored.status,
                "bytes": stored.length,
                "age": round(state.age),
                "lifetime": state.lifetime,
                "source": state.source,
                "fresh": match.fresh,
                "reason": match.reuse.reason,
            }
            lines.append(
                f"Stored: status {stored.status}, {format_size(stored.length)},"
                f" {_about(state.age)} old{_variant(stored.vary)}."
            )
            lines.append(_freshness(state.lifetime, state.source, state.ttl, match))
            facts["next"] = _next(exchange, match)
            lines.append(_NEXT[facts["next"]] + _reserve(exchange, match, facts["next"]))
        return facts | {"lines": lines}
    finally:
        await exchange.close()


async def _nothing(edge: Edge, exchange: HttpExchange) -> str:
    request, route = exchange.request, exchange.route
    parts = [place for _, stored in await exchange.lookup.parts() if (place := stored_part(stored.fields))]
    if parts:
        held = ", ".join(f"{part.start}-{part.stop - 1}" for part in combined(parts))
        return f"Of its bytes {held} are stored; what is missing will be asked for."
    why = edge.flights.unshareable(exchange.asking.flight_key(exchange.asking.plan(None)))
    if why is not None:
        return f"Nothing is stored for it: the last answer was not kept ({why})."
    if has_dot_segments(request.path):
        return "Nothing is stored for it, and nothing will be: its path has dot segments."
    if route.rules.credentials == "bypass" and has_credentials(request):
        return "It carries credentials, and on this route only an answer that is public is stored for such a request."
    if exchange.fwd == "vary-miss":
        variants = [entry for key in exchange.lookup.keys for entry in edge.store.variants(key)]
        return _other_variants([differing(entry.vary, request) for entry in variants])
    if exchange.fwd == "bypass":
        return "What is stored may not be used for a request with these credentials."
    return "Nothing is stored for it."


def _other_variants(differences: list[list[tuple[str, str | None, str | None]]]) -> str:
    """How the request differs from the stored variant that it is nearest to."""
    nearest = min((each for each in differences if each), key=len, default=[])
    said = "; ".join(
        f"{name} is {_value(name, here)} here, and was {_value(name, stored)} there" for name, stored, here in nearest
    )
    if len(differences) == 1:
        return f"One variant is stored, and it was selected by other request fields (Vary): {said}."
    return f"{len(differences)} variants are stored, selected by other request fields (Vary). In the nearest {said}."


def _value(name: str, value: str | None) -> str:
    if value is None:
        return "absent"
    shown = masked_field(name, value)
    return repr(shown if len(shown) <= LONGEST_VALUE else f"{shown[: LONGEST_VALUE - 1]}…")


def _variant(vary: tuple[tuple[str, str | None], ...]) -> str:
    asked = [f"{name}: {'(absent)' if value is None else value}" for name, value in vary if not name.startswith(":")]
    return ", the variant for " + ", ".join(asked) if asked else ""


def _freshness(lifetime: float, source: str, ttl: float, match: Match) -> str:
    if source == "none":
        return "Nothing gives it a lifetime, so it is never fresh."
    given = f"its lifetime of {_about(lifetime)} comes from {'cache.heuristic' if source == 'assumed' else source}"
    if ttl > 0:
        return f"It is fresh for another {_about(max(ttl, 1))}; {given}."
    return f"It has been stale for {_about(-ttl)}; {given}."


def _about(seconds: float) -> str:
    """A duration in its two largest units: `29 d 23 h`, `4 min 5 s`."""
    rest = round(seconds)
    said: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not said):
            said.append(f"{count} {unit}")
        elif said:
            break
    return " ".join(said[:2])


def _next(exchange: HttpExchange, match: Match) -> str:
    if match.fresh:
        return "hit"
    if match.refreshable and exchange.route.strategy != "network-first":
        return "hit-and-refresh"
    if _forbidden(exchange):
        return "refuse"
    return "ask-if-changed" if conditional_lines(match.stored) else "ask"


def _forbidden(exchange: HttpExchange) -> bool:
    return exchange.route.strategy == "cache-only" or exchange.only_if_cached


def _reserve(exchange: HttpExchange, match: Match, following: str) -> str:
    if not following.startswith("ask"):
        return ""
    if not exchange.may_stand_in(match, "fallback" if exchange.route.strategy == "network-first" else "unreachable"):
        return " If the origin fails, the stored one may not stand in for it."
    timeout = exchange.network_timeout
    late = "" if timeout is None else f" or is silent for {format_duration(timeout)}"
    return f" If the origin fails{late}, the stored one stands in."


_NEXT = {
    "hit": "The next such request is a hit: the origin is not asked.",
    "hit-and-refresh": "The next such request gets it at once, and it is refreshed in the background.",
    "ask": "The next such request asks the origin for it, and the answer is stored if it may be.",
    "ask-if-changed": "The next such request asks the origin whether it has changed.",
    "refuse": "The next such request gets 504: the origin may not be asked.",
}
