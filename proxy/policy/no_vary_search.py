"""Which parts of a query matter to a response: the No-Vary-Search field (draft-ietf-httpbis-no-vary-search)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_to_bytes

from proxy.policy.messages import Fields
from proxy.policy.structured import Member, dictionary


@dataclass(frozen=True, slots=True)
class NoVarySearch:
    """The URL search variance of a response (section 4 of the draft). The default: every difference matters.

    `ignored` names parameters that do not matter; with `ignored` None none does but those in `varying`.
    `key_order`: whether the order of different names matters.
    """

    ignored: frozenset[str] | None = frozenset()
    varying: frozenset[str] = frozenset()
    key_order: bool = True

    @property
    def is_default(self) -> bool:
        """Whether queries are compared byte for byte, as without the field."""
        return self == DEFAULT

    def matters(self, name: str) -> bool:
        """Whether the parameter with this decoded name distinguishes."""
        return name in self.varying if self.ignored is None else name not in self.ignored

    def __str__(self) -> str:
        """A text that is equal for equal variances, and holds no space."""
        names = self.varying if self.ignored is None else self.ignored
        kind = "except" if self.ignored is None else "params"
        return json.dumps([kind, sorted(names), self.key_order], separators=(",", ":")).replace(" ", "\\u0020")


DEFAULT = NoVarySearch()


def parse_no_vary_search(fields: Fields) -> NoVarySearch:
    """The variance that a response's No-Vary-Search states; the default when it is absent or anything but clear."""
    if "No-Vary-Search" not in fields:
        return DEFAULT
    members = dictionary(fields.all("No-Vary-Search")) or {}
    ordered = members.get("key-order", False)
    named = members.get("params", False)
    if not isinstance(ordered, bool):
        return DEFAULT
    if "except" in members:
        varying = _names(members["except"])
        return NoVarySearch(None, varying, not ordered) if named is True and varying is not None else DEFAULT
    if isinstance(named, bool):
        return NoVarySearch(None if named else frozenset(), frozenset(), not ordered)
    ignored = _names(named)
    return DEFAULT if ignored is None else NoVarySearch(ignored, frozenset(), not ordered)


def canonical_query(query: str, variance: NoVarySearch) -> str:
    """A query such that queries which the variance calls equivalent are equal (section 6 of the draft).

    The default variance leaves it as it is; any other one reads it as a form does, so that `%61` is `a`, `+` is a
    space and an empty piece is none.
    """
    if variance.is_default:
        return query
    parameters = [(name, value) for name, value in _parameters(query) if variance.matters(name)]
    if not variance.key_order:
        parameters.sort(key=lambda parameter: parameter[0])
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in parameters)


def equivalent_queries(one: str | None, other: str | None, variance: NoVarySearch) -> bool:
    """Whether two queries (None: the URL has no `?`) lead to the same response, other parts being equal."""
    if variance.is_default:
        return one == other
    return canonical_query(one or "", variance) == canonical_query(other or "", variance)


def _names(value: Member) -> frozenset[str] | None:
    """The decoded names of an inner list of strings (section 5.3 of the draft); None for anything else."""
    if not isinstance(value, tuple):
        return None
    texts = [name for name in value if isinstance(name, str)]
    return frozenset(map(_decoded, texts)) if len(texts) == len(value) else None


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """The application/x-www-form-urlencoded parser of the URL standard."""
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            yield _decoded(name), _decoded(value)


def _octets(text: str) -> bytes:
    try:
        return text.encode("latin-1")  # as the client sent it
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _decoded(text: str) -> str:
    return unquote_to_bytes(_octets(text.replace("+", " "))).decode("utf-8", "replace")
