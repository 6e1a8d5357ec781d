"""Precache: what the manifest lists and what fallbacks name is fetched before anybody asks, and kept.

Such responses are stored under a route name of their own, so that neither `max_entries` nor `max_age` of the route
they belong to makes them leave; what leaves all the same (a purge, the bounds of the whole store) is fetched again at
the next look. Their revision is a tag, so that a restart knows what it has. RFC 9111 stands above the manifest: a
response that may not be stored is not, and the log says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from proxy.config.model import Config, PrecacheEntry
from proxy.edge import Edge
from proxy.errors import CachewireError, ConfigurationError
from proxy.fetching import Landing, Plan, Unshared
from proxy.flight import Flight
from proxy.policy.forwarding import to_origin
from proxy.policy.matching import normalised_url, primary_key, selects
from proxy.policy.messages import Fields, Request
from proxy.policy.queueing import delay
from proxy.purge import request_for
from proxy.routing import Route
from proxy.storage.base import Entry
from proxy.upstream import OriginRequest

PINNED = "(precache)"
"""The route name of what is kept, and the tag of everything that a manifest brought."""

BROWSERS = Fields([("Accept-Encoding", "gzip, deflate, br, zstd")])
"""What browsers ask with: without it the stored variant would be one that none of them selects."""

_REVISION = f"{PINNED}="
_log = logging.getLogger("cachewire.precache")


@dataclass(frozen=True, slots=True)
class Item:
    """One response to keep: the request that brings it, and the revision it has to have."""

    request: Request
    revision: str | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        return (PINNED, f"{_REVISION}{self.revision or ''}")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far precaching is: `stored` of `total` are there, `failed` could not be stored at the last look."""

    total: int = 0
    stored: int = 0
    failed: int = 0


def read_manifest(manifest: Path | Sequence[PrecacheEntry]) -> list[PrecacheEntry]:
    """The entries of a list, or of a JSON file. Raises ConfigurationError that says what would be right."""
    if not isinstance(manifest, Path):
        return list(manifest)
    try:
        document = json.loads(manifest.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"precache.manifest: {manifest} cannot be read as JSON: {error}") from error
    if not isinstance(document, list):
        raise ConfigurationError(f"precache.manifest: {manifest} is not a list; write {_FORM}")
    return [_entry(value, f"precache.manifest: {manifest}, entry {number}") for number, value in enumerate(document)]


def items(config: Config, entries: Iterable[PrecacheEntry], public_url: str) -> list[Item]:
    """What is to be kept: the manifest's URLs, and every route's fallbacks. Paths are those of `public_url`."""
    revisions = {_absolute(entry.url, public_url): entry.revision for entry in entries}
    listed = [Item(replace(request_for(url), fields=BROWSERS), revision) for url, revision in revisions.items()]
    paths = dict.fromkeys(
        path for route in config.routes for path in route.fallback.model_dump(exclude_none=True).values()
    )
    # A fallback has to do for every client, so it is kept in no coding at all.
    urls = [_absolute(path, public_url) for path in paths]
    return [*listed, *(Item(request_for(url), revisions.get(url)) for url in urls)]


class Precacher:
    """Keeps what is wanted stored. `keep` runs until cancelled; it pauses `every` seconds between two looks."""

    def __init__(
        self,
        edge: Edge,
        find: Callable[[Request], Route],
        wanted: Sequence[Item],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        every: float = 60.0,
    ) -> None:
        self._edge = edge
        self._find = find
        self._wanted = wanted
        self._sleep = sleep
        self._every = every
        self._complete = False
        self._told: dict[Item, str] = {}
        self.progress = Progress(len(wanted))

    async def keep(self) -> None:
        """Fetch what is missing or has another revision, drop what is wanted no more, and look again now and then."""
        await self.drop_unwanted()
        failures = 0
        while True:
            await self.look()
            failures = failures + 1 if self.progress.failed else 0
            await self._sleep(delay(failures, 1.0) if failures else self._every)

    async def look(self) -> None:
        """Fetch what is missing or outdated, one after the other."""
        stored = failed = 0
        for item in self._wanted:
            kept = self._is_kept(item) or await self._fetched(item)
            stored, failed = stored + kept, failed + (not kept)
            self.progress = Progress(len(self._wanted), stored, failed)
        if not failed and not self._complete:
            _log.info("precache: all %d are stored", stored)
        self._complete = not failed

    async def drop_unwanted(self) -> int:
        """Remove what an earlier manifest brought and the present one does not; how many were removed."""
        wanted = {self._url(item) for item in self._wanted}
        return await self._edge.store.remove(lambda entry: entry.url not in wanted, tag=PINNED)

    def _is_kept(self, item: Item) -> bool:
        # Once all were fetched, what lacks the tag came with ordinary traffic, later than the revision wanted.
        return any(
            entry.status == 200 and (self._complete or _has_revision(entry, item)) for entry in self._entries(item)
        )

    async def _fetched(self, item: Item) -> bool:
        """Fetch and store one; False, with a line in the log, when that was not possible."""
        flight: Flight[Landing] = Flight("precache", asyncio.get_running_loop().create_future())
        flight.keep, flight.led = True, False
        why = "it could not be stored"
        try:
            await self._edge.fetcher.fly(flight, self._plan(item))
            landing = flight.landing.result()
            if isinstance(landing, Unshared):
                why = f"the origin answered {landing.response.head.status} ({landing.reason})"
        except CachewireError as error:
            why = str(error)
        finally:
            flight.landing.cancel()
        kept = any(entry.status == 200 and _has_revision(entry, item) for entry in self._entries(item))
        if kept:
            self._told.pop(item, None)
            await self._edge.store.remove(
                lambda entry: PINNED in entry.tags and not _has_revision(entry, item), url=self._url(item)
            )
        elif self._told.get(item) != why:
            self._told[item] = why
            _log.warning("precache: %s: %s", item.request.target, why)
        return kept

    def _plan(self, item: Item) -> Plan:
        route = self._find(item.request)
        fields = to_origin(
            item.request,
            origin_host=self._edge.origin_host,
            trusted=False,
            via=self._edge.name,
            shared=True,
            keyed=route.key.headers,
        )
        return Plan(
            request=item.request,
            forwarded=OriginRequest("GET", item.request.target, fields),
            # Nothing but a 200 may replace what is there.
            route=replace(route, name=PINNED, tags=(*route.tags, *item.tags), fallback_on=_NOT_OK),
            has_fallback=True,
            key_of=lambda _private, variance: primary_key(item.request, route.key, no_vary_search=variance),
            url=self._url(item),
        )

    def _entries(self, item: Item) -> Iterator[Entry]:
        for entry in self._edge.store.variants(primary_key(item.request, self._find(item.request).key)):
            if selects(entry.vary, item.request):
                yield entry

    def _url(self, item: Item) -> str:
        return normalised_url(item.request, self._find(item.request).key)


_NOT_OK = frozenset(range(201, 600))
_FORM = '["/app.3f2a.js", {"url": "/offline.html", "revision": "7"}]'


def _entry(value: object, where: str) -> PrecacheEntry:
    # Build tools add more, such as `integrity`; only what is used here has to be right.
    known = {"url": value}
    if isinstance(value, dict):
        known = {name: value[name] for name in ("url", "revision") if name in value}
    try:
        return PrecacheEntry.model_validate(known)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {error.errors()[0]['msg']}; write {_FORM}") from None


def _absolute(url: str, public_url: str) -> str:
    return public_url + url if url.startswith("/") else url


def _has_revision(entry: Entry, item: Item) -> bool:
    return f"{_REVISION}{item.revision or ''}" in entry.tags
