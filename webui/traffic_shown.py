"""The traffic page's question, as it stands in the URL, and what it shows.

Moments are seconds since the epoch, spans seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol
from urllib.parse import urlencode

VERDICTS = ("hit", "revalidated", "stale", "miss", "bypass", "error", "refused", "local")
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ONLY = ("errors", "misses")
MAX_TEXT = 500
MAX_MILLISECONDS = 600_000
LIMITS = (50, 100)
SHORT = 160

_NOT_FROM_STORE = frozenset({"miss", "bypass"})


@dataclass(frozen=True, slots=True)
class TrafficQuery:
    """Which exchanges. Empty words and a `slower` (milliseconds) of 0 leave nothing out; `show` is one exchange."""

    DEFAULT_LIMIT: ClassVar[int] = LIMITS[0]

    text: str = ""
    verdict: str = ""
    route: str = ""
    status: str = ""
    method: str = ""
    slower: int = 0
    only: str = ""
    limit: int = LIMITS[0]
    show: int = 0

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> TrafficQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        return cls(
            text=_text(parameters, "q"),
            verdict=_one_of(parameters, "verdict", VERDICTS),
            route=_text(parameters, "route"),
            status=_one_of(parameters, "status", STATUSES),
            method=_text(parameters, "method").upper(),
            slower=_number(parameters, "slower", MAX_MILLISECONDS),
            only=_one_of(parameters, "only", ONLY),
            limit=int(_one_of(parameters, "limit", tuple(str(limit) for limit in LIMITS)) or LIMITS[0]),
            show=_number(parameters, "show", 2**53),
        )

    @property
    def filtered(self) -> bool:
        """It leaves something out."""
        return self != TrafficQuery(limit=self.limit, show=self.show)

    @property
    def url_query(self) -> str:
        """The query as URL parameters, defaults left out."""
        parameters = {
            "q": self.text,
            "verdict": self.verdict,
            "route": self.route,
            "status": self.status,
            "method": self.method,
            "slower": str(self.slower or ""),
            "only": self.only,
            "limit": "" if self.limit == self.DEFAULT_LIMIT else str(self.limit),
            "show": str(self.show or ""),
        }
        return urlencode({name: value for name, value in parameters.items() if value})

    @property
    def path(self) -> str:
        """The page's own address."""
        return f"/traffic?{query}" if (query := self.url_query) else "/traffic"

    def showing(self, number: int) -> TrafficQuery:
        """The same list, with one exchange in detail; 0 for none."""
        return replace(self, show=number)

    @property
    def more(self) -> TrafficQuery:
        """The same list, longer."""
        return replace(self, limit=next((limit for limit in LIMITS if limit > self.limit), self.limit))

    def accepts(self, exchange: Filterable) -> bool:
        """The exchange is one the query asks for. Text is sought in the target, the reason, the client and the id."""
        return (
            (not self.verdict or exchange.verdict == self.verdict)
            and (not self.route or exchange.route == self.route)
            and (not self.status or exchange.status // 100 == int(self.status[0]))
            and (not self.method or exchange.method == self.method)
            and (not self.slower or exchange.duration * 1000 > self.slower)
            and (not self.only or _is(exchange, self.only))
            and (not self.text or self._found_in(exchange))
        )

    def _found_in(self, exchange: Filterable) -> bool:
        text = self.text.lower()
        places = (exchange.target, exchange.reason, exchange.client, exchange.request_id)
        return any(text in place.lower() for place in places)


class Filterable(Protocol):
    """The part of a finished exchange that a query looks at."""

    @property
    def verdict(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def duration(self) -> float: ...
    @property
    def target(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def request_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One finished exchange. `reason` is the slug, `why` the sentence; `number` is its name within this process."""

    number: int
    started: float
    method: str
    target: str
    client: str
    route: str
    strategy: str
    status: int
    verdict: str
    reason: str
    why: str
    duration: float
    origin_duration: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    collapsed: bool = False
    stored: bool = False
    complete: bool = True
    timed: bool = True
    request_id: str = ""

    @property
    def short(self) -> str:
        """The target as a list has room for it: clients make URLs of many thousand characters."""
        return self.target if len(self.target) <= SHORT else f"{self.target[:SHORT]}…"


@dataclass(frozen=True, slots=True)
class TrafficList:
    """The newest exchanges that a query accepts. `kept` are remembered at all, `found` of them match.

    `shown` is the one that is asked for in detail, None when nothing is asked for or it is forgotten already.
    """

    query: TrafficQuery
    rows: tuple[Exchange, ...]
    found: int
    kept: int
    routes: tuple[str, ...]
    methods: tuple[str, ...]
    public_url: str
    shown: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """What the next request for `url` would get: sentences, the last one says what would happen.

    `headers` are the lines that were asked with, where the question was about an exchange.
    """

    url: str
    route: str
    strategy: str
    following: str
    lines: tuple[str, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


class CannotExplain(ValueError):
    """The question is not right; the text says what would be."""


class Explaining(Protocol):
    """Why requests are answered the way they are."""

    async def explain(self, url: str, headers: tuple[str, ...]) -> Explained:
        """Explain a GET for `url` (whole, or a path) with such header lines. Raises CannotExplain."""
        ...

    def url_of(self, number: int) -> str | None:
        """The URL that a remembered exchange asked for, masked; None when it is forgotten."""
        ...

    async def explain_exchange(self, number: int) -> Explained | None:
        """The same for what a remembered exchange asked for; None when it is forgotten."""
        ...


def _is(exchange: Filterable, kind: str) -> bool:
    if kind == "misses":
        return exchange.verdict in _NOT_FROM_STORE
    return exchange.verdict == "error" or exchange.status >= 500


def _text(parameters: Mapping[str, str], name: str) -> str:
    text = parameters.get(name, "").strip()
    if len(text) > MAX_TEXT:
        raise ValueError(f"{name} must not be longer than {MAX_TEXT} characters")
    return text


def _one_of(parameters: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = parameters.get(name, "")
    if value not in ("", *allowed):
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, or be left out")
    return value


def _number(parameters: Mapping[str, str], name: str, most: int) -> int:
    text = parameters.get(name, "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= most):
        raise ValueError(f"{name} must be a whole number from 0 to {most}")
    return int(text)
