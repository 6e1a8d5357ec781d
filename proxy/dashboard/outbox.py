"""The outbox as its page shows it, and what an operator does with writes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace

from proxy.masking import masked
from proxy.operations.timeline import Timeline
from proxy.outbox import Outbox
from proxy.outbox_store import Kept, Write
from proxy.upstream import Origin
from webui.outbox_shown import OutboxQuery, OutboxShown, State, WriteRow

ANSWER_SHOWN = 400
"""Characters of the origin's answer to a dead letter; the API has more."""


class OutboxSource:
    """webui's OutboxSource and OutboxActions. `outbox` None: no route queues, and nothing is left."""

    def __init__(self, outbox: Outbox | None, timeline: Timeline, origin: Origin, *, now: Callable[[], float]) -> None:
        self._outbox = outbox
        self._timeline = timeline
        self._origin = origin
        self._now = now

    async def shown(self, query: OutboxQuery) -> OutboxShown:
        """What `query` asks for, as of now."""
        health, now = self._origin.health, self._now()
        whole = OutboxShown(
            query,
            enabled=self._outbox is not None,
            origin=health.state,
            origin_since=None if health.since is None else now - health.since,
        )
        if self._outbox is None:
            return whole
        await self._outbox.recount()
        counts = self._outbox.counts
        whole = replace(
            whole,
            counts={"queued": counts.queued, "dead": counts.dead, "done": counts.done},
            oldest=None if counts.oldest is None else now - counts.oldest,
            backing_off=self._outbox.backing_off,
        )
        if query.show is not None:
            query = query.turned(min(query.page, whole.pages(query.show)))
        return replace(
            whole,
            query=query,
            queued=await self._page("queued", query),
            dead=await self._page("dead", query),
            done=await self._page("done", query),
        )

    async def one(self, id_: str) -> WriteRow | None:
        """One write, to be asked about."""
        write = None if self._outbox is None else await self._outbox.find(id_)
        return None if write is None else _row(Kept(write, 1), self._now())

    async def retry(self, id_: str, *, by: str) -> bool:
        """Try the queue now, a dead letter behind it."""
        if self._outbox is None or (write := await self._outbox.find(id_)) is None:
            return False
        done = await self._outbox.retry(id_)
        if done:
            what = "was queued again" if write.state == "dead" else "is tried now"
            self._timeline.add("outbox", by, f"{_named(write)} {what}")
        return done

    async def discard(self, id_: str, *, by: str) -> bool:
        """Forget a write, whatever its state."""
        if self._outbox is None or (write := await self._outbox.find(id_)) is None:
            return False
        done = await self._outbox.delete(id_)
        if done:
            self._timeline.add("outbox", by, f"{_named(write)} was discarded ({_STATES[write.state]})")
        return done

    async def retry_dead(self, *, by: str) -> int:
        """Queue all dead letters again."""
        count = 0 if self._outbox is None else await self._outbox.retry_dead()
        self._timeline.add("outbox", by, "all dead letters were queued again", writes=count)
        return count

    async def discard_dead(self, *, by: str) -> int:
        """Forget all dead letters."""
        count = 0 if self._outbox is None else await self._outbox.delete_dead()
        self._timeline.add("outbox", by, "all dead letters were discarded", writes=count)
        return count

    async def _page(self, state: State, query: OutboxQuery) -> tuple[WriteRow, ...]:
        if self._outbox is None or not query.wants(state):
            return ()
        now = self._now()
        return tuple(_row(kept, now) for kept in await self._outbox.page(state, query.limit, query.offset))


def note_given_up(timeline: Timeline, write: Write) -> None:
    """Note a write that was accepted and will not be delivered, once it is settled so."""
    if write.state == "dead":
        text = f"{_named(write)} was given up: {_in_words(write.last_error)}"
        timeline.add("outbox", "automatic", text, attempts=write.attempts)


def _row(kept: Kept, now: float) -> WriteRow:
    write = kept.write
    queued = write.state == "queued"
    return WriteRow(
        id=write.id,
        place=kept.place,
        method=write.method,
        url=masked(f"{write.scheme}://{write.host}{write.target}"),
        route=write.route,
        content_type=kept.content_type,
        size=write.length,
        credentials=write.credentials,
        age=now - write.accepted_at,
        attempts=write.attempts,
        next_in=max(write.next_attempt_at - now, 0.0) if queued else None,
        expires_in=write.expires_at - now if queued else None,
        settled=None if write.settled_at is None else now - write.settled_at,
        status=write.response_status,
        why=_in_words(write.last_error),
        answer=write.answer[:ANSWER_SHOWN],
    )


def _in_words(error: str) -> str:
    """The first attempt leaves the slug of its failure, later ones a sentence that may hold the system's own words."""
    if (system := re.search(r"\[Errno (\d+)\]", error)) is not None:
        return f"no connection to the origin: {os.strerror(int(system[1])).lower()}"
    return _WORDS.get(error, error)


def _named(write: Write) -> str:
    return f"{write.method} {masked(write.target)}"


_STATES = {"queued": "it was waiting", "dead": "a dead letter", "done": "delivered before"}

_WORDS = {
    "origin-unreachable": "the origin could not be reached",
    "origin-timeout": "the origin did not answer in time",
    "origin-protocol-error": "what the origin answered was not HTTP",
    "origin-error": "the origin gave no usable answer",
}
