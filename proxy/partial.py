"""Parts of representations: 206 responses are stored, answer what lies within them, and add up to a whole.

RFC 9111 sections 3.3 and 3.4. A part is stored under its resource's key with PARTS behind it; its place stands in
`vary` under a name that no request field has, so that several parts of one variant can be stored side by side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from proxy.errors import BodyIncomplete, StorageError
from proxy.policy.freshness import fresh_until
from proxy.policy.messages import Response, Rules, StoredResponse, Vary
from proxy.policy.parts import Part, combinable, combined, combined_fields, missing, stored_part
from proxy.policy.ranges import ByteRange
from proxy.storage.base import Body, Entry, Store

PARTS = " parts"
PLACE = ":part"

MOST_COPIED = 16 * 2**20
"""Parts that add up to something larger, and not to the whole, stay apart: joining copies them."""


def placed(vary: Vary, part: Part) -> Vary:
    """A part's `vary`: what selects it, and its place."""
    return (*vary, (PLACE, f"{part.start}-{part.stop}/{part.total}"))


def unplaced(vary: Vary) -> Vary:
    return tuple(pair for pair in vary if pair[0] != PLACE)


async def join(store: Store, entry: Entry, stored: StoredResponse, rules: Rules, mark: int) -> None:
    """Put a newly stored part together with those it touches; when nothing is missing, a whole response is stored."""
    held = await _others(store, entry, stored)
    part = stored_part(stored.fields)
    if part is None:
        return
    places = {entry: part} | {other: place for other, head in held if (place := stored_part(head.fields))}
    joined = next(p for p in combined(places.values()) if p.start <= part.start and part.stop <= p.stop)
    touching = [other for other, place in places.items() if joined.start <= place.start and place.stop <= joined.stop]
    if len(touching) == 1 and not joined.whole:
        return
    if not joined.whole and joined.stop - joined.start > MOST_COPIED:
        return
    heads = [head for other, head in held if other in touching]
    fields = stored.fields
    for head in heads:
        fields = combined_fields(head.fields, fields, joined)
    if not heads:
        fields = combined_fields(stored.fields, stored.fields, joined)
    if await _copied(
        store, joined, {other: places[other] for other in touching}, replace(stored, fields=fields), rules, mark
    ):
        gone = frozenset(id(other) for other in touching)
        await store.remove(lambda other: id(other) in gone, url=entry.url)


async def _others(store: Store, entry: Entry, stored: StoredResponse) -> list[tuple[Entry, StoredResponse]]:
    found = []
    for other in store.variants(stored.key):
        if other is entry or unplaced(other.vary) != unplaced(entry.vary):
            continue
        loaded = await store.load(other)
        if loaded is not None:
            await loaded[1].close()
            if combinable(loaded[0], stored):
                found.append((other, loaded[0]))
    return found


async def _copied(
    store: Store, joined: Part, places: dict[Entry, Part], stored: StoredResponse, rules: Rules, mark: int
) -> bool:
    spool = store.spool(joined.stop - joined.start)
    if spool is None:
        return False
    try:
        async for chunk in pieces(store, joined.start, joined.stop, places):
            await spool.write(chunk)
        await spool.finish()
        key = stored.key.removesuffix(PARTS)
        vary = unplaced(stored.vary)
        changed = replace(
            stored,
            key=key if joined.whole else stored.key,
            vary=vary if joined.whole else placed(vary, joined),
            status=200 if joined.whole else 206,
            reason="" if joined.whole else stored.reason,
        )
        return await store.put(replace(changed, fresh_until=fresh_until(changed, rules)), spool, mark) is not None
    except (BodyIncomplete, StorageError):
        return False
    finally:
        await spool.close()


async def pieces(store: Store, start: int, stop: int, places: dict[Entry, Part]) -> AsyncIterator[bytes]:
    """The bytes from `start` to `stop` out of stored parts. Raises BodyIncomplete where they have a gap."""
    at = start
    while at < stop:
        entry = max(
            (entry for entry, place in places.items() if place.start <= at < place.stop),
            key=lambda entry: places[entry].stop,
            default=None,
        )
        loaded = None if entry is None else await store.load(entry)
        if entry is None or loaded is None:
            raise BodyIncomplete("a part that was stored is gone")
        body: Body = loaded[1]
        try:
            end = min(stop, places[entry].stop)
            async for chunk in body.chunks(at - places[entry].start, end - places[entry].start):
                yield chunk
        finally:
            await body.close()
        at = end


def completable(parts: Sequence[tuple[Entry, StoredResponse]]) -> tuple[tuple[Entry, StoredResponse], ...]:
    """Of stored parts, those that one range request could make a whole of; none when that is not possible."""
    if not parts:
        return ()
    latest = max((stored for _, stored in parts), key=lambda stored: stored.response_time)
    place = stored_part(latest.fields)
    if place is None or place.total is None or place.total > MOST_COPIED or not combinable(latest, latest):
        return ()
    return tuple((entry, stored) for entry, stored in parts if combinable(stored, latest))


def rest_lines(parts: Sequence[tuple[Entry, StoredResponse]]) -> list[tuple[str, str]]:
    """The fields that ask for what is missing, if the rest is still the same (RFC 9110 section 13.1.5)."""
    rest, latest = _rest(parts)
    validator = latest.fields.first("ETag") or latest.fields.first("Last-Modified") or ""
    return [("Range", f"bytes={rest.start}-{rest.stop - 1}"), ("If-Range", validator)]


@dataclass(frozen=True, slots=True)
class Completion:
    """Stored parts, and a response that brings exactly the bytes between them."""

    parts: tuple[tuple[Entry, StoredResponse], ...]
    latest: StoredResponse
    rest: ByteRange
    total: int

    def head(self, response: Response) -> Response:
        """The whole response's head."""
        whole = Part(0, self.total, self.total)
        return replace(
            response, status=200, reason="", fields=combined_fields(self.latest.fields, response.fields, whole)
        )

    async def chunks(self, store: Store, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """All bytes from the first to the last. Raises BodyIncomplete when stored ones have gone meanwhile."""
        places = _places(self.parts)
        async for chunk in pieces(store, 0, self.rest.start, places):
            yield chunk
        async for chunk in rest:
            yield chunk
        async for chunk in pieces(store, self.rest.stop, self.total, places):
            yield chunk


def completed(parts: tuple[tuple[Entry, StoredResponse], ...], response: Response) -> Completion | None:
    """What a 206 to `rest_lines` makes of the parts; None when it is not what was asked for."""
    rest, latest = _rest(parts)
    part = stored_part(response.fields) if response.status == 206 else None
    if part is None or part.total is None or not combinable(latest, response):
        return None
    if (part.start, part.stop) != (rest.start, rest.stop):
        return None
    return Completion(parts, latest, rest, part.total)


def _rest(parts: Sequence[tuple[Entry, StoredResponse]]) -> tuple[ByteRange, StoredResponse]:
    latest = max((stored for _, stored in parts), key=lambda stored: stored.response_time)
    places = _places(parts)
    total = next(place.total for place in places.values() if place.total is not None)
    rest = missing(places.values(), ByteRange(0, total), total)
    assert rest is not None, "parts without a gap were joined when the last of them was stored"
    return rest, latest


def _places(parts: Sequence[tuple[Entry, StoredResponse]]) -> dict[Entry, Part]:
    return {entry: place for entry, stored in parts if (place := stored_part(stored.fields)) is not None}
