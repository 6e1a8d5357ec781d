"""Who asks, and what they may: said by `auth` on every request, read by the pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from webui.sessions import Session


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who asks: whoever reaches an open listener, a script with the token, or a login."""

    actor: str = "operator"
    address: str = ""
    may_change: bool = True
    session: Session | None = None
    lasts: Callable[[], bool] = lambda: True


ASKER = web.RequestKey("asker", Asker)
_ANYBODY = Asker()


def asker(request: web.Request) -> Asker:
    """Who asks."""
    found: Asker = request.get(ASKER, _ANYBODY)
    return found


def introduce(request: web.Request, who: Asker) -> None:
    """Say who asks, for all that comes after."""
    request[ASKER] = who
    # For rooms that do not know this one: the name under a plain key, which aiohttp would warn about each time.
    request._state["actor"] = who.actor


def actor(request: web.Request) -> str:
    """Who asks, as the timeline names it: a word, never a secret."""
    return asker(request).actor


def lasts(request: web.Request) -> bool:
    """Whether who asked may still be answered: a stream asks before it says more, and ends when the session has."""
    return asker(request).lasts()
