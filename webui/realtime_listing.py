"""Sessions and conversations as pages of their lists."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from webui.formats import age, duration
from webui.realtime_query import ConversationQuery, SessionQuery
from webui.realtime_query import Session as Sought
from webui.realtime_shown import ConversationList, ConversationRow, Grade, SessionList, SessionRow

MOST_NAMED, LONGEST_NAME = 3, 40
"""Users that a row names, and characters of a name: clients choose both."""

_Line = TypeVar("_Line")


class Session(Sought, Protocol):
    """A session as the core knows it. `since` is wall-clock time."""

    @property
    def since(self) -> float: ...
    @property
    def joined(self) -> int: ...
    @property
    def rtt(self) -> float | None: ...
    @property
    def grade(self) -> Grade: ...
    @property
    def queued(self) -> int: ...
    @property
    def reports(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def cause(self) -> str: ...
    @property
    def reported(self) -> float | None: ...
    @property
    def silent_for(self) -> float: ...


class Conversation(Protocol):
    """A conversation as the core knows it."""

    @property
    def id(self) -> str: ...
    @property
    def sessions(self) -> int: ...
    @property
    def users(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def messages(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def fill(self) -> float | None: ...
    @property
    def quiet(self) -> float | None: ...


def session_list(sessions: Sequence[Session], query: SessionQuery, now: float) -> SessionList:
    """The page of `sessions` that `query` asks for; a page beyond the last one becomes the last one."""
    matching = [each for each in sessions if query.accepts(each)] if query.filtered else sessions
    query = query.at(min(query.page, -(-len(matching) // query.PAGE_SIZE) or 1))
    shown = _page(matching, _SESSION_KEYS[query.sort], query.descending, query.page, query.PAGE_SIZE)
    return SessionList(query, [session_row(each, now) for each in shown], len(matching), len(sessions))


def slowest(sessions: Iterable[Session], most: int, now: float) -> list[SessionRow]:
    """Those for which most waits."""
    waiting = (each for each in sessions if each.slow)
    return [session_row(each, now) for each in heapq.nlargest(most, waiting, key=_SESSION_KEYS["queued"])]


def conversation_list(conversations: Sequence[Conversation], query: ConversationQuery) -> ConversationList:
    """The page of `conversations` that `query` asks for."""
    matching = [each for each in conversations if query.accepts(each.id)] if query.filtered else conversations
    query = query.at(min(query.page, -(-len(matching) // query.PAGE_SIZE) or 1))
    shown = _page(matching, _CONVERSATION_KEYS[query.sort], query.descending, query.page, query.PAGE_SIZE)
    return ConversationList(query, [conversation_row(each) for each in shown], len(matching), len(conversations))


def session_row(session: Session, now: float) -> SessionRow:
    return SessionRow(
        sid=session.sid,
        transport=session.transport,
        age=max(now - session.since, 0.0),
        users=len(session.users),
        joined=session.joined,
        rtt=session.rtt,
        grade=session.grade,
        queued=session.queued,
        slow=session.slow,
        reports=session.reports,
        messages=session.messages,
        reason=_reason(session),
        names=tuple(_shortened(name) for name in islice(session.users, MOST_NAMED)),
        failed=session.failed,
    )


def _reason(session: Session) -> str:
    """What the grade is of."""
    match session.cause:
        case "silence":
            return f"silent for {age(session.silent_for)}"
        case "report":
            return f"reports {duration(session.reported)} itself"
        case "round-trip":
            return f"round trip of {duration(session.rtt)}"
    return "not measured yet"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def conversation_row(line: Conversation) -> ConversationRow:
    return ConversationRow(
        line.id, line.sessions, line.users, line.waiting, line.rate, line.messages, line.fill, line.quiet, line.failed
    )


def _page(lines: Sequence[_Line], key: Callable[[_Line], Any], descending: bool, page: int, size: int) -> list[_Line]:
    # Only the pages up to this one are ordered.
    take = heapq.nlargest if descending else heapq.nsmallest
    return take(page * size, lines, key=key)[(page - 1) * size :]


_BADNESS: dict[str, int] = {"excellent": 0, "good": 1, "poor": 2}

# The id settles ties, so that rows do not change places between two looks.
_SESSION_KEYS: dict[str, Callable[[Session], Any]] = {
    "trouble": lambda each: (each.queued if each.slow else 0, _BADNESS[each.grade], each.rtt or 0.0, each.sid),
    "queued": attrgetter("queued", "sid"),
    "rtt": lambda each: (each.rtt or 0.0, each.sid),
    "age": lambda each: (-each.since, each.sid),
    "users": lambda each: (len(each.users), each.sid),
    "joined": attrgetter("joined", "sid"),
    "messages": attrgetter("messages", "sid"),
}
_CONVERSATION_KEYS: dict[str, Callable[[Conversation], Any]] = {
    "rate": attrgetter("rate", "sessions", "id"),
    "sessions": attrgetter("sessions", "id"),
    "users": attrgetter("users", "id"),
    "waiting": attrgetter("waiting", "id"),
    "messages": attrgetter("messages", "id"),
    "failed": attrgetter("failed", "id"),
    "fill": lambda each: (each.fill or 0.0, each.id),
    "quiet": lambda each: (float("inf") if each.quiet is None else each.quiet, each.id),
    "id": attrgetter("id"),
}
