"""The five strategies, in the words of Workbox.

A strategy owns no storage, no network and no clock: it says in which order the verbs of an Exchange are used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NoReturn, Protocol, TypeVar

from proxy.errors import NotStored, OriginError

Cause = Literal["unreachable", "error-status", "fallback", "revalidating"]


class Match(Protocol):
    """A stored response that answers the request, as seen now."""

    @property
    def fresh(self) -> bool:
        """It may be used without asking the origin."""
        ...

    @property
    def refreshable(self) -> bool:
        """It may be used now while it is refreshed in the background (RFC 5861 section 3)."""
        ...


M = TypeVar("M", bound=Match)
A = TypeVar("A")


class Exchange(Protocol[M, A]):
    """The verbs a strategy may use. M is a match in the store, A an answer ready to be sent."""

    @property
    def network_timeout(self) -> float | None: ...

    @property
    def only_if_cached(self) -> bool:
        """The client forbids asking the origin (RFC 9111 section 5.2.1.7)."""
        ...

    async def match(self) -> M | None: ...

    def answer(self, match: M) -> A: ...

    async def fetch(self) -> A:
        """Ask the origin for this request alone; nothing is looked up or stored. Raises OriginError."""
        ...

    async def fetch_and_put(self, within: float | None = None) -> A:
        """Ask the origin, together with all who ask the same now; store what may be stored.

        Raises OriginError, also when `within` seconds pass without a response head; a late one is still stored.
        """
        ...

    def failed(self, answer: A) -> bool:
        """The answer's status is one that the route would rather replace with a stored response."""
        ...

    def may_stand_in(self, match: M | None, cause: Cause) -> bool:
        """The match may be used if the origin fails in this way."""
        ...

    async def stale(self, match: M | None, cause: Cause, instead_of: A | Exception) -> A | None:
        """The match although it is not fresh, or None where that is not permitted.

        `instead_of` is what happened; when it is an answer and stale is used, it is closed.
        """
        ...

    def wait_until(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Do this in the background."""
        ...

    async def refresh(self) -> None:
        """fetch_and_put for the store's sake alone."""
        ...


async def network_first(x: Exchange[M, A]) -> A:
    """The newest answer; the last good one when the origin is slow, away or failing."""
    match = await x.match()
    if match is not None and match.fresh:
        return x.answer(match)
    return await _network_or_stale(x, match, away="fallback", failing="fallback")


async def cache_first(x: Exchange[M, A]) -> A:
    """The stored answer while it is fresh; then a validated or new one; a stale one when there is no other."""
    match = await x.match()
    if match is not None and (match.fresh or match.refreshable):
        if not match.fresh:
            x.wait_until(x.refresh)
        return x.answer(match)
    return await _network_or_stale(x, match, away="unreachable", failing="error-status")


stale_while_revalidate = cache_first
"""The stored answer at once; if it is not fresh, a refresh in the background.

The steps are those of cache-first: the strategies differ in what the route lets count as fresh (here only what
the origin declared) and as refreshable (here everything younger than `expiration.max_age`).
"""


async def network_only(x: Exchange[M, A]) -> A:
    """The origin's answer, never stored."""
    _refuse_if_only_cached(x)
    return await x.fetch()


async def cache_only(x: Exchange[M, A]) -> A:
    """The stored answer, never fetched."""
    match = await x.match()
    if match is not None and match.fresh:
        return x.answer(match)
    nothing = NotStored("this route answers from the store alone, and nothing usable is stored")
    return await x.stale(match, "unreachable", nothing) or _raise(nothing)


Strategy = Callable[[Exchange[Any, A]], Awaitable[A]]

STRATEGIES: dict[str, Strategy[Any]] = {
    "network-first": network_first,
    "cache-first": cache_first,
    "stale-while-revalidate": stale_while_revalidate,
    "network-only": network_only,
    "cache-only": cache_only,
}


async def _network_or_stale(x: Exchange[M, A], match: M | None, away: Cause, failing: Cause) -> A:
    _refuse_if_only_cached(x)
    # Impatience helps nobody when there is nothing to give instead.
    within = x.network_timeout if x.may_stand_in(match, away) else None
    try:
        answer = await x.fetch_and_put(within)
    except OriginError as failure:
        return await x.stale(match, away, failure) or _raise(failure)
    if x.failed(answer):
        return await x.stale(match, failing, answer) or answer
    return answer


def _refuse_if_only_cached(x: Exchange[M, A]) -> None:
    if x.only_if_cached:
        raise NotStored("the request says only-if-cached, and nothing usable is stored")


def _raise(failure: Exception) -> NoReturn:
    raise failure
