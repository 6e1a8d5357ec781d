"""Values of request fields compared by meaning: lists, weights, and what a client prefers (RFC 9110 section 12).

The rule of this room: two values may be called equal only where their specification says that they mean the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

WEIGHTED = frozenset(("accept", "accept-charset", "accept-encoding", "accept-language"))
"""The negotiation fields: lists whose members have a weight (RFC 9110 section 12.4.2)."""

CHOSEN_BY: dict[str, str] = {"accept-encoding": "content-encoding", "accept-language": "content-language"}
"""Which response field says what the origin chose by a request field."""

_NOT_LISTS = frozenset(
    (
        "authorization",
        "cookie",
        "date",
        "dnt",
        "from",
        "host",
        "if-modified-since",
        "if-range",
        "if-unmodified-since",
        "origin",
        "proxy-authorization",
        "range",
        "referer",
        "user-agent",
    )
)
_CODING_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

Preference = tuple[float, str]
"""The negated weight, so that the heaviest sorts first, and the member with its weight written one way."""


def equivalent(name: str, value: str) -> str:
    """The value of the field `name` (lower-case) such that equivalent values are equal (RFC 9111 section 4.1).

    Whitespace around commas is folded, except in fields that are not lists; members of the negotiation fields are
    ordered by weight, their weights written one way, duplicates and needless refusals dropped. A member that is
    not understood keeps its field as it came.
    """
    # Attackers choose long values; remembering only short ones keeps the memory of the memo bounded.
    return _remembered(name, value) if len(value) <= 256 else _equivalent(name, value)


def favourites(name: str, value: str) -> frozenset[str]:
    """What the value of Accept-Encoding or Accept-Language names with the greatest weight, lower-case.

    Nothing where a wildcard is wanted as much, or where a member is contradicted or not understood.
    """
    preferences = _preferences(name, value)
    if not preferences:
        return frozenset()
    heaviest = min(order for order, _ in preferences)
    choices = {member.partition(";")[0] for order, member in preferences if order == heaviest}
    others = {member.partition(";")[0] for order, member in preferences if order != heaviest}
    return frozenset() if heaviest == 0 or "*" in choices else frozenset(choices - others)


def chosen(name: str, value: str) -> str | None:
    """What the origin chose by the request field `name`, as its response's own field says it; None if not one thing."""
    choice = value.strip(" \t").lower()
    if not choice or not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", choice):
        return None
    return _CODING_ALIASES.get(choice, choice) if name == "accept-encoding" else choice


def _equivalent(name: str, value: str) -> str:
    if name in _NOT_LISTS:
        return value
    members = _split(value, ",")
    if members is None:
        return value
    if name in WEIGHTED:
        preferences = _preferences(name, value)
        if preferences is not None:
            if name == "accept-encoding":
                preferences = _without_needless_refusals(preferences)
            # RFC 9110 section 12.5: order says nothing, weight does.
            return ", ".join(text for _, text in sorted(preferences))
    return ", ".join(members)


_remembered = lru_cache(maxsize=1024)(_equivalent)


def _preferences(name: str, value: str) -> set[Preference] | None:
    """The members of a negotiation field; None when one of them is not understood."""
    members = _split(value, ",")
    if members is None:
        return None
    preferences = {_preference(name, member) for member in members if member}
    understood = {preference for preference in preferences if preference is not None}
    return understood if len(understood) == len(preferences) else None


def _preference(name: str, member: str) -> Preference | None:
    value, *parameters = _split(member, ";") or [""]
    text, weight = value.lower(), 1.0
    if name == "accept-encoding":
        text = _CODING_ALIASES.get(text, text)
    for parameter in parameters:
        key, equals, argument = parameter.partition("=")
        if key.lower() == "q":
            if not _WEIGHT.fullmatch(argument):
                return None
            weight = float(argument)
        elif name != "accept" or not equals:
            return None
        else:
            text += f";{key.lower()}={argument}"
    return (-weight, text if weight == 1 else f"{text};q={weight:g}") if value else None


def _without_needless_refusals(preferences: set[Preference]) -> set[Preference]:
    """Codings without those refused that would not be acceptable anyway.

    RFC 9110 section 12.5.3: beside an acceptable coding, one that is not listed is refused, unless `*` admits it;
    `identity` alone is acceptable unlisted, unless `*` refuses it. In the other negotiation fields a refusal says
    something, because a server may disregard them when it has nothing acceptable (sections 12.5.1 and 12.5.4).
    """
    weights = {text.partition(";")[0]: -order for order, text in preferences}
    contradictory = len(weights) < len(preferences)
    if contradictory or not any(weights.values()) or weights.get("*"):
        return preferences
    kept = ("*;q=0",) if "*" in weights else ("identity;q=0",)
    return {(order, text) for order, text in preferences if order or text in kept}


def _split(value: str, separator: str) -> list[str] | None:
    """The stripped parts between separators outside quoted strings; None when a quoted string never ends."""
    if '"' not in value:
        return [part.strip(" \t") for part in value.split(separator)]
    parts, begun, quoted, escaped = [], 0, False, False
    for at, char in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(value[begun:at].strip(" \t"))
            begun = at + 1
    return None if quoted else [*parts, value[begun:].strip(" \t")]
