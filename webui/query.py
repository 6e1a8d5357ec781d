"""The cache list's question, as it stands in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol
from urllib.parse import urlencode

STATES = ("fresh", "stale")
SORTS = {"stored": True, "url": False, "status": False, "size": True, "fresh": False, "hits": True}
"""What the list can be sorted by, and whether its natural order is descending."""

MAX_TEXT = 500
MAX_PAGE = 1_000_000


class Filterable(Protocol):
    """The part of a stored response a query looks at."""

    @property
    def url(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def fresh_until(self) -> float: ...


@dataclass(frozen=True, slots=True)
class CacheQuery:
    """Which stored responses, in which order. `state` is empty for both fresh and stale."""

    PAGE_SIZE: ClassVar[int] = 50

    text: str = ""
    state: str = ""
    sort: str = "stored"
    descending: bool = True
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> CacheQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        sort = parameters.get("sort", "stored")
        if sort not in SORTS:
            raise ValueError(f"sort must be one of {', '.join(SORTS)}")
        state = parameters.get("state", "")
        if state not in ("", *STATES):
            raise ValueError(f"state must be {' or '.join(STATES)}, or be left out")
        order = parameters.get("order", "")
        if order not in ("", "asc", "desc"):
            raise ValueError("order must be asc or desc")
        text = parameters.get("q", "").strip()
        if len(text) > MAX_TEXT:
            raise ValueError(f"q must not be longer than {MAX_TEXT} characters")
        descending = order == "desc" if order else SORTS[sort]
        return cls(text, state, sort, descending, _page(parameters.get("page", "1")))

    @property
    def filtered(self) -> bool:
        """It leaves something out."""
        return bool(self.text or self.state)

    @property
    def url_query(self) -> str:
        """The query as URL parameters, defaults left out; empty for the default query."""
        order = "desc" if self.descending else "asc"
        parameters = {
            "q": self.text,
            "state": self.state,
            "sort": self.sort if self.sort != "stored" else "",
            "order": order if self.descending != SORTS[self.sort] else "",
            "page": str(self.page) if self.page > 1 else "",
        }
        return urlencode({name: value for name, value in parameters.items() if value})

    @property
    def path(self) -> str:
        """The page's own address."""
        return f"/cache?{query}" if (query := self.url_query) else "/cache"

    def sorted_by(self, sort: str) -> CacheQuery:
        """The first page in another order; asked for the present order, its reverse."""
        descending = not self.descending if sort == self.sort else SORTS[sort]
        return replace(self, sort=sort, descending=descending, page=1)

    def at(self, page: int) -> CacheQuery:
        """The same list, another page."""
        return replace(self, page=page)

    def accepts(self, entry: Filterable, now: float) -> bool:
        """The stored response is one the query asks for. Text is sought in URL, route, content type and tags."""
        if self.state and (entry.fresh_until > now) != (self.state == "fresh"):
            return False
        if not self.text:
            return True
        text = self.text.lower()
        return (
            text in entry.url.lower()
            or text in entry.route.lower()
            or text in entry.content_type.lower()
            or any(text in tag.lower() for tag in entry.tags)
        )


def _page(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= MAX_PAGE):
        raise ValueError(f"page must be a whole number from 1 to {MAX_PAGE}")
    return int(text)
