"""HTTP messages as values.

The rule of this room: everything is immutable and speaks latin-1 text, so that the bytes of a field value
survive a journey through it unchanged (RFC 9110 section 5.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal


class Fields:
    """The field lines of a head or trailer section, in order, names matched without regard to case.

    Names keep the case they came with. Values are latin-1 text without surrounding whitespace.
    """

    __slots__ = ("_index", "_lines")

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: tuple[tuple[str, str], ...] = tuple(lines)
        index: dict[str, list[str]] = {}
        for name, value in self._lines:
            index.setdefault(name.lower(), []).append(value)
        self._index: Mapping[str, list[str]] = index

    @classmethod
    def from_raw(cls, lines: Iterable[tuple[bytes, bytes]]) -> Fields:
        """Fields from the bytes a parser delivered."""
        return cls([(name.decode("latin-1"), value.decode("latin-1").strip(" \t")) for name, value in lines])

    def all(self, name: str) -> list[str]:
        """Every line's value for `name`, in order; empty when there is none."""
        return list(self._index.get(name.lower(), ()))

    def combined(self, name: str) -> str | None:
        """The lines of `name` joined by `, ` (RFC 9110 section 5.3), or None when there is none."""
        values = self._index.get(name.lower())
        return None if values is None else ", ".join(values)

    def first(self, name: str) -> str | None:
        """The first line's value for `name`, or None."""
        values = self._index.get(name.lower())
        return values[0] if values else None

    def members(self, name: str) -> list[str]:
        """The members of a comma-separated list field over all its lines, stripped, empty ones dropped.

        For lists of tokens only: a comma inside a quoted string is not respected.
        """
        return [m for v in self._index.get(name.lower(), ()) for raw in v.split(",") if (m := raw.strip(" \t"))]

    def without(self, *names: str) -> Fields:
        """A copy that lacks every line of `names`."""
        gone = {name.lower() for name in names}
        return Fields(line for line in self._lines if line[0].lower() not in gone)

    def plus(self, *lines: tuple[str, str]) -> Fields:
        """A copy with `lines` appended."""
        return Fields((*self._lines, *lines))

    def replacing(self, *lines: tuple[str, str]) -> Fields:
        """A copy in which the names of `lines` have exactly these values."""
        return self.without(*(name for name, _ in lines)).plus(*lines)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._index

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self._lines == other._lines

    def __hash__(self) -> int:
        return hash(self._lines)

    def __repr__(self) -> str:
        return f"Fields({list(self._lines)!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request head as the client sent it.

    `target` is the origin-form path and query exactly as it came; `host` the authority it was sent to,
    lower-case; `has_body` whether its framing announces content.
    """

    method: str
    target: str
    host: str
    fields: Fields = field(default_factory=Fields)
    scheme: str = "http"
    client: str = ""
    has_body: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the first `?`, without it; empty when there is none."""
        return self.target.partition("?")[2]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.target}"


@dataclass(frozen=True, slots=True)
class Response:
    """A final response head as the origin sent it, with the two moments that age arithmetic needs.

    `request_time` and `response_time` are seconds since the epoch (RFC 9111 section 4.2.3).
    """

    status: int
    reason: str
    fields: Fields
    request_time: float
    response_time: float


Vary = tuple[tuple[str, str | None], ...]
"""The request fields a stored response was selected by, lower-case and normalised; None: was absent."""


Credentials = Literal["", "authorization", "cookie"]
"""What a request said of who was asking."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The head of a stored response: everything but its body.

    `length` counts the body's bytes and `checksum` is their CRC-32. `stale_since` is the moment of a soft
    purge. `fresh_until` is what policy computed when the response was stored or last validated. `credentials` are
    those of the requests that it was received and validated for: without `public` it answers nobody else.
    """

    key: str
    vary: Vary
    method: str
    url: str
    status: int
    reason: str
    fields: Fields
    request_time: float
    response_time: float
    length: int
    checksum: int
    route: str = ""
    tags: tuple[str, ...] = ()
    fresh_until: float = 0.0
    stale_since: float | None = None
    credentials: Credentials = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a route adds to the letter of RFC 9111. Durations are seconds, None means not set.

    `statuses` and `required_fields` narrow what is stored (a field value of None: any value).
    `max_age` is the route's `expiration.max_age`; `expiry` maps content type patterns (`image/*`) to
    lifetimes for responses that bring no explicit one; both give a lifetime only when `assign_lifetime`
    (the cache-first strategy) is set. `max_age` bounds, in any case, how long after its arrival a response may be used.
    `origin_freshness_only` switches heuristics off. `assumed_lifetime` is the operator's own heuristic, for what names
    no lifetime and forbids nothing; 0 for none. `stale_if_error` is the route's own window. `partial` lets
    206 responses be stored, for a store that can combine them.
    """

    statuses: frozenset[int] | None = None
    required_fields: tuple[tuple[str, str | None], ...] = ()
    max_age: float | None = None
    expiry: tuple[tuple[str, float], ...] = ()
    assign_lifetime: bool = False
    origin_freshness_only: bool = False
    assumed_lifetime: float = 0.0
    stale_if_error: float | None = None
    credentials: str = "bypass"
    honour_request_directives: bool = True
    partial: bool = False


def media_type(content_type: str | None) -> str:
    """Type and subtype of a Content-Type value in lower case, without parameters (RFC 9110 section 8.3.1)."""
    return (content_type or "").partition(";")[0].strip(" \t").lower()
