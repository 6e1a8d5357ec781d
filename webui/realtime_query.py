"""The questions of the realtime page, as they stand in the URL: which sessions, which conversations, in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self
from urllib.parse import urlencode

GRADES = ("excellent", "good", "poor")
TRANSPORTS = ("websocket", "polling")
MAX_TEXT = 200
MAX_PAGE = 1_000_000


class Session(Protocol):
    """The part of a session that a query looks at."""

    @property
    def sid(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def users(self) -> Collection[str]: ...
    @property
    def grade(self) -> str: ...
    @property
    def slow(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What is sought, and one page of it in some order; `SORTS` says which orders there are, and whether each is
    naturally descending. The first of them is the default.
    """

    PAGE_SIZE: ClassVar[int] = 50
    PATH: ClassVar[str]
    SORTS: ClassVar[Mapping[str, bool]]

    text: str = ""
    sort: str = ""
    descending: bool = True
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Self:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        first = next(iter(cls.SORTS))
        sort = parameters.get("sort", first)
        if sort not in cls.SORTS:
            raise ValueError(f"sort must be one of {', '.join(cls.SORTS)}")
        order = parameters.get("order", "")
        if order not in ("", "asc", "desc"):
            raise ValueError("order must be asc or desc")
        text = parameters.get("q", "").strip()
        if len(text) > MAX_TEXT:
            raise ValueError(f"q must not be longer than {MAX_TEXT} characters")
        descending = order == "desc" if order else cls.SORTS[sort]
        page = _page(parameters.get("page", "1"))
        return cls(text=text, sort=sort, descending=descending, page=page, **cls._own(parameters))

    @property
    def filtered(self) -> bool:
        """It leaves something out."""
        return bool(self.text)

    @property
    def parameters(self) -> dict[str, str]:
        """As URL parameters; those at their default are empty."""
        return {
            "q": self.text,
            "sort": self.sort if self.sort != next(iter(self.SORTS)) else "",
            "order": ("desc" if self.descending else "asc") if self.descending != self.SORTS[self.sort] else "",
            "page": str(self.page) if self.page > 1 else "",
            **self._own_parameters(),
        }

    @property
    def url_query(self) -> str:
        """Defaults left out; empty for the default query."""
        return urlencode({name: value for name, value in self.parameters.items() if value})

    @property
    def path(self) -> str:
        """The page's own address."""
        return f"{self.PATH}?{query}" if (query := self.url_query) else self.PATH

    def sorted_by(self, sort: str) -> Self:
        """The first page in another order; asked for the present order, its reverse."""
        descending = not self.descending if sort == self.sort else self.SORTS[sort]
        return replace(self, sort=sort, descending=descending, page=1)

    def at(self, page: int) -> Self:
        """The same list, another page."""
        return replace(self, page=page)

    @classmethod
    def _own(cls, parameters: Mapping[str, str]) -> dict[str, Any]:
        """What one kind of query has beside the others'. Raises ValueError."""
        return {}

    def _own_parameters(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class SessionQuery(ListQuery):
    """Which sessions. `transport` and `grade` are empty for all; `slow`: only those of slow clients."""

    PATH: ClassVar[str] = "/realtime"
    SORTS: ClassVar[Mapping[str, bool]] = {
        "trouble": True, "queued": True, "rtt": True, "age": True, "users": True, "joined": True, "messages": True,
    }  # fmt: skip

    sort: str = "trouble"
    transport: str = ""
    grade: str = ""
    slow: bool = False

    @classmethod
    def _own(cls, parameters: Mapping[str, str]) -> dict[str, Any]:
        transport, grade, slow = (parameters.get(name, "") for name in ("transport", "grade", "slow"))
        if transport not in ("", *TRANSPORTS):
            raise ValueError(f"transport must be {' or '.join(TRANSPORTS)}, or be left out")
        if grade not in ("", *GRADES):
            raise ValueError(f"grade must be one of {', '.join(GRADES)}, or be left out")
        if slow not in ("", "1"):
            raise ValueError("slow must be 1, or be left out")
        return {"transport": transport, "grade": grade, "slow": slow == "1"}

    def _own_parameters(self) -> dict[str, str]:
        return {"transport": self.transport, "grade": self.grade, "slow": "1" if self.slow else ""}

    @property
    def filtered(self) -> bool:
        return bool(self.text or self.transport or self.grade or self.slow)

    def accepts(self, session: Session) -> bool:
        """The session is one the query asks for. Text is the beginning of a session's id, or part of a user's."""
        if self.transport and session.transport != self.transport:
            return False
        if self.grade and session.grade != self.grade:
            return False
        if self.slow and not session.slow:
            return False
        text = self.text
        if not text or session.sid.startswith(text):
            return True
        text = text.lower()
        return any(text in user.lower() for user in session.users)


@dataclass(frozen=True, slots=True)
class ConversationQuery(ListQuery):
    """Which conversations."""

    PATH: ClassVar[str] = "/realtime/conversations"
    SORTS: ClassVar[Mapping[str, bool]] = {
        "rate": True, "sessions": True, "users": True, "waiting": True, "messages": True, "failed": True, "fill": True,
        "quiet": False, "id": False,
    }  # fmt: skip

    sort: str = "rate"

    def accepts(self, id_: str) -> bool:
        """The conversation's id has the text in it."""
        return self.text.lower() in id_.lower()


def _page(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= MAX_PAGE):
        raise ValueError(f"page must be a whole number from 1 to {MAX_PAGE}")
    return int(text)
