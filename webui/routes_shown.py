"""The routes page's question and what it shows. Durations are seconds, sizes bytes, ratios shares of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from webui.traffic_shown import VERDICTS


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route: what is configured, what it has answered since the start, what is stored for it now.

    `place` is its order in the configuration, where the first that matches takes a request; the edge's own answers
    have none and come last.
    """

    place: int
    name: str
    strategy: str
    matches: str
    rule: str
    requests: int
    verdicts: Mapping[str, int]
    hit_ratio: float | None
    byte_hit_ratio: float | None
    p50: float | None
    p95: float | None
    errors: int
    bytes_out: int
    stored: int
    stored_bytes: int

    @property
    def error_ratio(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def shares(self) -> list[tuple[str, int, float, float]]:
        """Verdict, requests, where its part of a bar begins and how wide it is, both of 100."""
        parts, start = [], 0.0
        for verdict in VERDICTS:
            count = self.verdicts.get(verdict, 0)
            if count:
                width = count / self.requests * 100
                parts.append((verdict, count, start, width))
                start += width
        return parts


SORTS: dict[str, tuple[bool, Callable[[RouteRow], Any]]] = {
    "order": (False, lambda row: row.place),
    "name": (False, lambda row: row.name),
    "requests": (True, lambda row: row.requests),
    "hits": (True, lambda row: row.hit_ratio if row.hit_ratio is not None else -1),
    "bytes": (True, lambda row: row.byte_hit_ratio if row.byte_hit_ratio is not None else -1),
    "p50": (True, lambda row: row.p50 or 0),
    "p95": (True, lambda row: row.p95 or 0),
    "errors": (True, lambda row: row.error_ratio or 0),
    "stored": (True, lambda row: row.stored_bytes),
}
"""What routes can be sorted by: whether descending is natural, and by what."""


@dataclass(frozen=True, slots=True)
class RoutesQuery:
    """In which order."""

    sort: str = "order"
    descending: bool = False

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> RoutesQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        sort = parameters.get("sort", "order")
        if sort not in SORTS:
            raise ValueError(f"sort must be one of {', '.join(SORTS)}")
        order = parameters.get("order", "")
        if order not in ("", "asc", "desc"):
            raise ValueError("order must be asc or desc")
        return cls(sort, order == "desc" if order else SORTS[sort][0])

    @property
    def path(self) -> str:
        """The page's own address, defaults left out."""
        order = "desc" if self.descending else "asc"
        parameters = {
            "sort": self.sort if self.sort != "order" else "",
            "order": order if self.descending != SORTS[self.sort][0] else "",
        }
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"/routes?{query}" if query else "/routes"

    def sorted_by(self, sort: str) -> RoutesQuery:
        """Another order; asked for the present one, its reverse."""
        descending = not self.descending if sort == self.sort else SORTS[sort][0]
        return replace(self, sort=sort, descending=descending)

    def ordered(self, rows: list[RouteRow]) -> list[RouteRow]:
        """The rows in this order; equal ones as configured."""
        return sorted(sorted(rows, key=lambda row: row.place), key=SORTS[self.sort][1], reverse=self.descending)


@dataclass(frozen=True, slots=True)
class RoutesList:
    """All routes. `uptime` is how long the figures have been counted."""

    query: RoutesQuery
    rows: tuple[RouteRow, ...]
    uptime: float
