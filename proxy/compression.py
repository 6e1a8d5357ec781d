"""Coded copies of stored text: made once, in the background, kept in the store, chosen by Accept-Encoding.

A copy is an entry of its own beside its source, with the same URL, route and tags, so that every purge covers both
and a restart keeps both. It holds bytes only: the fields a client gets are always those of the source as it is now.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib.util import find_spec

from proxy.answer import Answer
from proxy.background import Background
from proxy.errors import BodyIncomplete, StorageError
from proxy.policy.codings import (
    DIGEST,
    SOURCE,
    accepted_codings,
    coded_fields,
    coded_key,
    compressible,
    held_tag,
    holds_plain,
    source_name,
    varied,
)
from proxy.policy.messages import Fields, Request, StoredResponse, Vary
from proxy.storage.base import Body, Entry, Store

WORTHWHILE = 0.9
"""A copy that is larger than this share of its source is not kept."""

MOST_WAITING = 64
"""Copies that wait to be made; further wishes are forgotten, and come again with the next hit."""

MOST_REFUSALS = 4096
"""How many responses are remembered as not worth compressing."""

TASK = "compress"
"""The name of the background task."""

_log = logging.getLogger("cachewire.compression")


@dataclass(frozen=True, slots=True)
class Wish:
    """A copy that a client would have liked to get."""

    key: str
    vary: Vary
    source: str
    coding: str


class Compression:
    """Chooses among the representations of stored responses, and makes those that are missing, one at a time.

    `codings` are in order of preference; those whose library is not installed are left out. `minimum` is in bytes.
    """

    def __init__(self, store: Store, background: Background, codings: Sequence[str], minimum: int) -> None:
        self._store = store
        self._background = background
        self._codings = tuple(coding for coding in codings if coding in CODERS)
        self._minimum = minimum
        self.enabled = True
        """May be assigned at any time: copies are neither chosen nor made while it is False, and stay stored."""
        self._wishes: dict[Wish, None] = {}
        self._refused: OrderedDict[tuple[str, Vary, str], None] = OrderedDict()
        if missing := [coding for coding in codings if coding not in CODERS]:
            _log.info("no library for %s: install cachewire[compression]", ", ".join(missing))

    async def negotiated(self, request: Request, answer: Answer) -> Answer:
        """The answer in the representation that suits the request best, of those that are stored."""
        stored = answer.stored
        if not self.enabled or stored is None or not answer.whole:
            return answer
        if not compressible(stored.status, stored.fields, answer.length, self._minimum):
            return answer
        answer.fields = varied(answer.fields)
        # A miss is on its way already, and its length and checksum are not known yet.
        if answer.verdict == "miss" or holds_plain(request, stored):
            return answer
        accepted = accepted_codings(request, self._codings)
        if held := held_tag(request, stored, accepted):
            answer.fields = answer.fields.replacing(("ETag", held))
            return answer
        try:
            return await self._chosen(request, answer, stored, accepted)
        except BaseException:
            await answer.close()
            raise

    async def _chosen(
        self, request: Request, answer: Answer, stored: StoredResponse, accepted: Sequence[str]
    ) -> Answer:
        source = source_name(stored)
        if (stored.key, stored.vary, source) in self._refused:
            return answer
        for coding in accepted:
            copy = await self._copy(stored, source, coding)
            if copy is not None:
                coded, body = copy
                await answer.body.close()
                answer.body, answer.length = body, coded.length
                answer.fields = coded_fields(answer.fields, coding, coded.fields.first(DIGEST) or "")
                break
            # A second best may serve until the best one is there.
            if coding == accepted[0] and request.method == "GET":
                self._wish(Wish(stored.key, stored.vary, source, coding))
        return answer

    async def _copy(self, stored: StoredResponse, source: str, coding: str) -> tuple[StoredResponse, Body] | None:
        """The copy in this coding if it was made of this very response."""
        entry = self._entry(coded_key(stored.key, coding), stored.vary)
        loaded = None if entry is None else await self._store.load(entry)
        if loaded is None:
            return None
        if loaded[0].fields.first(SOURCE) != source:
            await loaded[1].close()
            return None
        return loaded

    def _entry(self, key: str, vary: Vary) -> Entry | None:
        return next((entry for entry in self._store.variants(key) if entry.vary == vary), None)

    # In the background

    def _wish(self, wish: Wish) -> None:
        if len(self._wishes) >= MOST_WAITING:
            return
        idle = not self._wishes
        self._wishes[wish] = None
        if idle:
            self._background.spawn(self._work(), TASK)

    async def _work(self) -> None:
        try:
            while self._wishes:
                wish = next(iter(self._wishes))
                try:
                    await self._fulfil(wish)
                except (BodyIncomplete, StorageError) as error:
                    _log.debug("no copy of %s: %s", wish.key, error)
                # Only now, so that the same wish is not taken up again meanwhile.
                del self._wishes[wish]
        finally:
            self._wishes.clear()

    async def _fulfil(self, wish: Wish) -> None:
        # A purge from here on refuses the copy, as its source is read only now.
        mark = self._store.mark()
        entry = self._entry(wish.key, wish.vary)
        loaded = None if entry is None else await self._store.load(entry)
        if loaded is None:
            return
        stored, body = loaded
        try:
            if source_name(stored) != wish.source:
                return
            content = b"".join([chunk async for chunk in body.chunks()])
        finally:
            await body.close()
        coded, digest = await asyncio.to_thread(_encoded, wish.coding, content)
        if len(coded) > WORTHWHILE * len(content):
            self._refuse(wish)
            return
        await self._put(_head(stored, wish, digest), coded, mark)

    def _refuse(self, wish: Wish) -> None:
        self._refused[(wish.key, wish.vary, wish.source)] = None
        if len(self._refused) > MOST_REFUSALS:
            self._refused.popitem(last=False)

    async def _put(self, head: StoredResponse, coded: bytes, mark: int) -> None:
        spool = self._store.spool(len(coded))
        if spool is None:
            return
        try:
            await spool.write(coded)
            await spool.finish()
            await self._store.put(head, spool, mark)
        finally:
            await spool.close()


def _head(stored: StoredResponse, wish: Wish, digest: str) -> StoredResponse:
    """The copy as the store knows it. The tag lets operators see, and purge, all copies of a coding."""
    kind = stored.fields.first("Content-Type") or ""
    lines = (("Content-Type", kind), ("Content-Encoding", wish.coding), (SOURCE, wish.source), (DIGEST, digest))
    tags = (*stored.tags, f"content-coding:{wish.coding}")
    return replace(stored, key=coded_key(stored.key, wish.coding), fields=Fields(lines), tags=tags)


def _encoded(coding: str, content: bytes) -> tuple[bytes, str]:
    coded = CODERS[coding](content)
    return coded, blake2b(coded, digest_size=8).hexdigest()


def _gzip(content: bytes) -> bytes:
    # 31: with a gzip header, whose time is 0, so that equal bytes give equal bytes.
    coder = zlib.compressobj(9, zlib.DEFLATED, 31)
    return coder.compress(content) + coder.flush()


def _brotli(content: bytes) -> bytes:
    import brotli

    coded: bytes = brotli.compress(content, quality=9)
    return coded


def _zstd(content: bytes) -> bytes:
    import zstandard

    # RFC 9659 section 3: a window of at most 8 MiB, which this level keeps to for any length.
    return zstandard.ZstdCompressor(level=15).compress(content)


_ALL: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "zstd": ("zstandard", _zstd),
    "br": ("brotli", _brotli),
    "gzip": ("zlib", _gzip),
}


def can_compress(codings: Iterable[str]) -> bool:
    """Whether this installation can encode one of them."""
    return any(coding in CODERS for coding in codings)


CODERS: Mapping[str, Callable[[bytes], bytes]] = {
    coding: coder for coding, (module, coder) in _ALL.items() if find_spec(module) is not None
}
"""What this installation can encode: gzip always, the others with their libraries."""
