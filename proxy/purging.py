"""Carrying out purges: what is stored goes, and what is on its way may not bring it back."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterable

from proxy.errors import RequestRefused
from proxy.fetching import Landing
from proxy.flight import Flights
from proxy.operations.timeline import Timeline
from proxy.policy.codings import coding_of
from proxy.policy.matching import is_private
from proxy.policy.messages import Request
from proxy.purge import Listed, parse_purge
from proxy.storage.base import Entry, Store
from proxy.updates import PURGED, Updates

_ENTRIES_PER_STEP = 2_000
"""Entries that are counted, or told of, before others have their turn."""


def note_purge(timeline: Timeline, by: str, what: str, count: int, *, soft: bool) -> None:
    """Note what was purged, or marked stale, and how many responses that were."""
    if soft:
        timeline.add("purge", by, f"{what} was marked stale", marked_stale=count)
    else:
        timeline.add("purge", by, f"{what} was purged", purged=count)


class Purger:
    """Removes stored responses on an operator's word, and tells those who want to know."""

    def __init__(
        self, store: Store, flights: Flights[Landing], now: Callable[[], float], updates: Updates | None = None
    ) -> None:
        self._store = store
        self._flights = flights
        self._now = now
        self._updates = updates or Updates()

    async def purge(
        self, covers: Callable[[Entry], bool], *, soft: bool = False, dry_run: bool = False, url: str | None = None
    ) -> int:
        """How many responses `covers` accepts; they are gone, or `soft`: stale, or `dry_run`: as they were.

        Coded copies go with what they are copies of, and are not counted. `url` narrows a purge to one URL.
        """
        if dry_run:
            return await self._count(covers)
        self._flights.forget()
        told: dict[str, None] = {}

        def note(entry: Entry) -> None:
            # Of all that goes only what somebody wants to know about, each path once, and no user's own copies.
            where = entry.url.partition("?")[0]
            if where not in told and not is_private(entry.key) and self._updates.wanted(where):
                told[where] = None

        if soft:
            count = await self._store.expire(covers, self._now(), url=url, note=note)
        else:
            count = await self._store.remove(covers, url=url, note=note)
        await self._tell(told)  # now that whoever asks again gets something else
        return count

    async def _tell(self, urls: Iterable[str]) -> None:
        for told, url in enumerate(urls, start=1):
            self._updates(url, PURGED)
            if told % _ENTRIES_PER_STEP == 0:
                await asyncio.sleep(0)

    async def _count(self, covers: Callable[[Entry], bool]) -> int:
        found = 0
        for looked_at, entry in enumerate(self._store.entries(), start=1):
            found += covers(entry) and not coding_of(entry.key)
            if looked_at % _ENTRIES_PER_STEP == 0:
                await asyncio.sleep(0)
        return found


class PurgeMethod:
    """The PURGE and BAN methods on the public listener, for those who know the token.

    PURGE purges the URL it is sent to, or the tags that its Surrogate-Key or Cache-Tag name; `Purge: soft` and
    `Purge: prefix` (or both) say so. BAN purges all URLs that begin like its own, or match it where it has a `*`.
    """

    def __init__(self, purger: Purger, token: str, listed: Listed) -> None:
        self._purger = purger
        self._token = token.encode()
        self._listed = listed

    async def carry_out(self, request: Request) -> dict[str, object]:
        """Carry it out and count. Raises RequestRefused (401) without the token, and for what is not clear (400)."""
        scheme, _, presented = (request.fields.first("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(presented.strip().encode(), self._token):
            raise RequestRefused(401, "purge-token", "PURGE needs the bearer token of admin.purge_token")
        wishes = {wish.lower() for wish in request.fields.members("Purge")}
        if unknown := wishes - {"soft", "prefix"}:
            raise RequestRefused(400, "bad-purge", f"Purge: {min(unknown)} is not known; write soft, prefix or both")
        tags = [*(request.fields.combined("Surrogate-Key") or "").split(), *request.fields.members("Cache-Tag")]
        kind = "prefix" if "prefix" in wishes else "url"
        if request.method == "BAN":
            kind = "glob" if "*" in request.target else "prefix"
        asked = [{"tag": tag} for tag in tags] or [{kind: request.url}]
        count = 0
        for one in asked:
            purge = parse_purge({**one, "soft": "soft" in wishes}, self._listed)
            count += await self._purger.purge(purge.covers, soft=purge.soft)
        return {"count": count, "soft": "soft" in wishes}
