"""What is known about users, asked from the application as seldom as possible.

The rule of this room: of an id that is cached or already being asked, nobody asks again, but who wants it as it is from
now on (`anew`); everything that is wanted in the same step of the loop is asked together. A failure is told to whoever
waits for it and never cached; but of an id that could not be had a moment ago, nobody in a hurry (`at_hand`) asks or
waits again. What the application refuses together is asked for in halves, so that an id which it does not like is
nobody's loss but its own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Fetch = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]]]
"""Asks the application for these ids; ids that it does not know are left out of the answer. Brings its own deadline."""

_Asked = dict[str, asyncio.Future[Any]]
"""Ids, each with where its profile will arrive."""

_ABSENT = object()

MOST_PARTS = 64
"""Further requests in place of one that was refused."""


class RefusedTogether(Exception):
    """Raised by a Fetch: the application refuses to answer for these ids; one of them may be why."""


class Profiles:
    """Profiles by user id (or whatever else `fetch` answers by id, such as likes).

    `ttl` and `absent_ttl` are seconds that an answer, and the answer that there is none, are used; both may be assigned
    at any time and apply to what is cached already. Of `max_entries` the longest unused leave. One request asks for
    at most `max_ids`; an id that is refused alone counts as absent. What else goes wrong in `fetch` is raised by every
    `load` that waited for it. `failed_ttl` is for how long `at_hand` leaves an id alone that failed or took too long.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        now: Callable[[], float],
        ttl: float = 300.0,
        absent_ttl: float = 10.0,
        failed_ttl: float = 5.0,
        max_entries: int = 10_000,
        max_ids: int = 100,
    ) -> None:
        self.ttl = ttl
        self.absent_ttl = absent_ttl
        self.hits = 0
        """Ids answered from the cache."""
        self.misses = 0
        """Ids that were not, whether they were asked for or being asked already; without those wanted anew."""
        self.requests = 0
        """Requests to the application."""
        self.failures = 0
        """Requests that failed."""
        self._fetch = fetch
        self._now = now
        self._max_entries = max_entries
        self._max_ids = max_ids
        self._failed_ttl = failed_ttl
        self._failed: OrderedDict[str, float] = OrderedDict()  # until when, the latest last
        self._cached: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Any]] = {}
        self._wanted: dict[str, asyncio.Future[Any]] = {}
        self._asking: dict[asyncio.Task[None], _Asked] = {}

    def __len__(self) -> int:
        """How many ids are cached, those known to be absent included."""
        return len(self._cached)

    async def load(self, ids: Iterable[str]) -> dict[str, Any]:
        """The profiles of those ids that have one. Raises what `fetch` raised."""
        return await self._arrived(*self._begin(ids))

    async def at_hand(self, ids: Iterable[str], patience: float, *, anew: bool = False) -> dict[str, Any]:
        """The profiles of those ids that are there within `patience` seconds; else as they were known last.

        Never raises. What takes longer goes on, and is there for whoever asks next. With `anew`, what is cached or
        already being asked is asked once more.
        """
        ids, now = list(ids), self._now()
        found, awaited = self._begin((id_ for id_ in ids if self._failed.get(id_, now) <= now), anew=anew)
        if pending := [future for future in awaited.values() if not future.done()]:
            await asyncio.wait(pending, timeout=patience)
        for id_, future in awaited.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                found[id_] = future.result()
            else:
                self._leave_alone(id_, self._failed_ttl)
        return self.known(ids) | {id_: profile for id_, profile in found.items() if profile is not _ABSENT}

    def known(self, ids: Iterable[str]) -> dict[str, Any]:
        """The profiles that are at hand, however old: better than none while the application is away."""
        found = {id_: self._cached[id_][1] for id_ in ids if id_ in self._cached}
        return {id_: profile for id_, profile in found.items() if profile is not _ABSENT}

    def clear(self) -> None:
        """Forget everything. What is being asked reaches those who wait for it and is not cached."""
        self._cached.clear()
        self._failed.clear()
        self._under_way.clear()

    async def close(self) -> None:
        """Give up what is being asked; whoever waits for it is cancelled."""
        # Emptied before anything is awaited, or `_ask` would still run.
        wanted, self._wanted = self._wanted, {}
        asking = dict(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for asked in (wanted, *asking.values()):
            for future in asked.values():
                future.cancel()  # does nothing to one that is answered
        self.clear()

    def _begin(
        self, ids: Iterable[str], *, anew: bool = False
    ) -> tuple[dict[str, Any], dict[str, asyncio.Future[Any]]]:
        """What is cached, and where the rest will arrive."""
        found: dict[str, Any] = {}
        awaited: dict[str, asyncio.Future[Any]] = {}
        joinable = self._wanted if anew else self._under_way  # what is asked already may be answered as it was before
        for id_ in dict.fromkeys(ids):
            if not anew and self._is_fresh(id_):
                self.hits += 1
                self._cached.move_to_end(id_)
                found[id_] = self._cached[id_][1]
            else:
                self.misses += not anew
                awaited[id_] = joinable.get(id_) or self._want(id_)
        return found, awaited

    async def _arrived(self, found: dict[str, Any], awaited: dict[str, asyncio.Future[Any]]) -> dict[str, Any]:
        if awaited:
            # Not gather: the futures belong to everybody who waits, and one who leaves must not cancel them.
            if pending := [future for future in awaited.values() if not future.done()]:
                await asyncio.wait(pending)
            found |= {id_: future.result() for id_, future in awaited.items()}
        return {id_: profile for id_, profile in found.items() if profile is not _ABSENT}

    def _leave_alone(self, id_: str, seconds: float) -> None:
        self._failed[id_] = self._now() + seconds
        self._failed.move_to_end(id_)
        if len(self._failed) > self._max_entries:
            self._failed.popitem(last=False)

    def _is_fresh(self, id_: str) -> bool:
        entry = self._cached.get(id_)
        if entry is None:
            return False
        fetched, profile = entry
        return self._now() - fetched < (self.absent_ttl if profile is _ABSENT else self.ttl)

    def _want(self, id_: str) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if not self._wanted:
            loop.call_soon(self._ask)
        future = self._wanted[id_] = self._under_way[id_] = loop.create_future()
        # Whoever waited may have left by then: that is not an error of the loop's.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    def _ask(self) -> None:
        wanted, self._wanted = self._wanted, {}
        for asked in _parts(wanted, self._max_ids):
            task = asyncio.get_running_loop().create_task(self._request(asked))
            self._asking[task] = asked
            task.add_done_callback(self._asking.pop)

    async def _request(self, asked: _Asked) -> None:
        """Ask, and where it is refused ask for the halves, those of one level together."""
        parts, left = [asked], MOST_PARTS
        while parts:
            outcomes = await asyncio.gather(*map(self._request_once, parts))
            refused = [(part, error) for part, error in zip(parts, outcomes, strict=True) if error is not None]
            parts = []
            for part, error in refused:
                if len(part) == 1:
                    self._answered(part, {}, alone_for=self.absent_ttl)  # or it spoils every question anew
                elif left < 2:
                    self._broken(part, error)
                else:
                    left -= 2
                    parts += _parts(part, (len(part) + 1) // 2)

    async def _request_once(self, asked: _Asked) -> RefusedTogether | None:
        """One request; the refusal, if it is one that may be about some of them only."""
        self.requests += 1
        try:
            answer = await self._fetch(list(asked))
            profiles = {id_: answer.get(id_, _ABSENT) for id_ in asked}  # whatever is wrong with it is told as well
        except RefusedTogether as error:
            self.failures += 1
            return error
        except Exception as error:
            self.failures += 1
            self._broken(asked, error)
        else:
            self._answered(asked, profiles)
        return None

    def _answered(self, asked: _Asked, profiles: Mapping[str, Any], *, alone_for: float = 0.0) -> None:
        for id_, future in asked.items():
            profile = profiles.get(id_, _ABSENT)
            if self._settle(id_, future):
                self._keep(id_, profile)
                if alone_for:
                    self._leave_alone(id_, alone_for)
            future.set_result(profile)

    def _broken(self, asked: _Asked, error: Exception) -> None:
        for id_, future in asked.items():
            self._settle(id_, future)
            future.set_exception(error)

    def _settle(self, id_: str, future: asyncio.Future[Any]) -> bool:
        """The id is not being asked any more; False when a clear() came between, and nothing may be cached."""
        if self._under_way.get(id_) is not future:
            return False
        del self._under_way[id_]
        return True

    def _keep(self, id_: str, profile: Any) -> None:
        self._failed.pop(id_, None)
        self._cached[id_] = (self._now(), profile)
        self._cached.move_to_end(id_)
        if len(self._cached) > self._max_entries:
            self._cached.popitem(last=False)


async def together(*wanted: tuple[Profiles, Iterable[str]]) -> list[dict[str, Any]]:
    """Load from several loaders at once: likes and profiles in the time of the slower one.

    Raises what the first of them raised, when all have ended; what the others brought is cached by then (`known`).
    """
    begun = [(loader, *loader._begin(ids)) for loader, ids in wanted]
    awaited = [future for _, _, futures in begun for future in futures.values()]
    if awaited:
        await asyncio.wait(awaited)
    return [await loader._arrived(found, futures) for loader, found, futures in begun]


def _parts(wanted: _Asked, most: int) -> Iterator[_Asked]:
    items = list(wanted.items())
    return (dict(items[start : start + most]) for start in range(0, len(items), most))
