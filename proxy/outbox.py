"""Background sync: writes that could not reach the origin are kept, and sent in their order once it is back.

Delivery is at least once. A write whose answer was lost may have been carried out, so every attempt, the first
live one included, bears the same Idempotency-Key by which the application recognises a repetition. What was
recorded as delivered is never sent again.

Order: while writes wait, further writes of queueing routes line up behind them. When the origin takes the queue
up again, a new write waits a moment for its turn and then gets a live answer instead of a 202.
"""

from __future__ import annotations

import json
import logging
import secrets
import uuid
from collections.abc import Callable
from dataclasses import replace

from proxy.answer import Answer
from proxy.errors import OriginTimeout, OriginUnreachable, StorageError
from proxy.origin_connection import Interim
from proxy.outbox_delivery import Delivery, origin_request
from proxy.outbox_store import Content, Counts, Kept, OutboxStore, State, Write
from proxy.policy.messages import Fields, Request
from proxy.policy.queueing import AWAY, QueueRules, fingerprint, idempotency_key, retry_after
from proxy.policy.storing import has_credentials
from proxy.storage.bodies import MemoryBody
from proxy.uploading import joined, read_up_to
from proxy.upstream import Origin, OriginRequest, OriginResponse

STATUS_PATH = "/.cachewire/outbox/"
"""Where the public listener tells the fate of a write to whoever knows its id."""

_log = logging.getLogger("cachewire.outbox")


class Outbox:
    """The queue of one edge's origin."""

    def __init__(self, origin: Origin, store: OutboxStore, delivery: Delivery, now: Callable[[], float]) -> None:
        self._origin = origin
        self._store = store
        self._delivery = delivery
        self._now = now

    @property
    def counts(self) -> Counts:
        """How many writes are in which state, as of the last change."""
        return self._delivery.counts

    async def open(self) -> None:
        """Read what waits, and begin to send it. Raises StorageError when the directory cannot be had."""
        await self._store.open()
        await self._delivery.count()
        if self.counts.queued:
            _log.info("%d writes wait in the outbox", self.counts.queued)
            self._delivery.begin()

    def drain(self) -> None:
        """Begin no further attempt; one that is under way may end."""
        self._delivery.stop()

    async def close(self) -> None:
        await self._store.close()

    async def write(
        self,
        request: Request,
        forwarded: OriginRequest,
        rules: QueueRules,
        route: str,
        interim: Interim | None = None,
    ) -> OriginResponse | Write:
        """The origin's answer to a queueable request, or the write that was queued because there was none.

        `forwarded` is the request as the origin gets it. A body beyond `rules.max_body` passes through and is never
        queued. Raises what the origin client raises where nothing could be queued either.
        """
        body = None
        if forwarded.body is not None:
            too_long = forwarded.length is not None and forwarded.length > rules.max_body
            body, whole = (b"", False) if too_long else await read_up_to(forwarded.body, rules.max_body)
            if not whole:
                rest = replace(forwarded, body=joined(body, forwarded.body))
                return await self._origin.send(rest, interim=interim)
        key = idempotency_key(request) or f'"{uuid.uuid4()}"'
        # The body is here already, so nobody has to permit it any more.
        fields = forwarded.fields.without("Expect").replacing(("Idempotency-Key", key))
        content = Content(fields, body)
        write = Write(
            id=secrets.token_urlsafe(18),
            state="queued",
            method=request.method,
            target=request.target,
            host=request.host,
            scheme=request.scheme,
            route=route,
            idempotency_key=key,
            length=len(body or b""),
            credentials=has_credentials(request),
            accepted_at=self._now(),
            retention=rules.retention,
            next_attempt_at=self._now(),
        )
        return await self._sent_or_queued(write, content, fingerprint(request, body or b""), interim)

    async def status(self, id_: str) -> dict[str, object] | None:
        """What may be told of a write to its sender; None when it is not known (any more)."""
        write = await self._store.find(id_)
        return None if write is None else _public(write)

    async def report(self, limit: int) -> dict[str, object]:
        """The queue as an operator needs it: counts and writes, no content and no credentials. Ages are seconds."""
        await self._delivery.count()
        now, counts = self._now(), self.counts
        return {
            "counts": {"queued": counts.queued, "done": counts.done, "dead": counts.dead},
            "oldest_age": None if counts.oldest is None else round(now - counts.oldest, 3),
            "backing_off": self._delivery.backing_off,
            "writes": [_listed(write, now) for write in await self._store.writes(limit)],
        }

    async def page(self, state: State, limit: int, offset: int = 0) -> list[Kept]:
        """Some of the writes in one state, for an operator to look at. Raises StorageError when the disk fails."""
        return await self._store.page(state, limit, offset)

    async def recount(self) -> None:
        """Bring `counts` up to date, in case that something else than a change of the queue's own was at work."""
        await self._delivery.count()

    async def find(self, id_: str) -> Write | None:
        """A write by its id, whatever its state."""
        return await self._store.find(id_)

    @property
    def backing_off(self) -> bool:
        """The queue waits for the origin at present."""
        return self._delivery.backing_off

    async def retry_dead(self) -> int:
        """Queue all dead ones again, behind the others; how many."""
        revived = await self._store.revived_all(self._now())
        if revived:
            await self._delivery.count()
            self._delivery.begin()
            self.wake()
        return revived

    async def delete_dead(self) -> int:
        """Forget all dead ones; how many."""
        forgotten = await self._store.delete_dead()
        await self._delivery.count()
        return forgotten

    async def retry(self, id_: str) -> bool:
        """Try a queued write now, or queue a dead one again, behind the others; False when there is neither."""
        revived = await self._store.revived(id_, self._now())
        if revived:
            await self._delivery.count()
            self._delivery.begin()
            self.wake()
        return revived

    async def delete(self, id_: str) -> bool:
        """Forget a write, whatever its state; whether it was known."""
        known = await self._store.delete(id_)
        await self._delivery.count()
        self.wake()
        return known

    def wake(self) -> None:
        """The origin seems to be back: do not wait any longer."""
        self._delivery.wake()

    async def sweep(self) -> None:
        """Forget what was settled long ago; call it now and then."""
        try:
            await self._store.sweep(self._now())
            await self._delivery.count()
        except StorageError as error:
            _log.error("%s", error)

    # A new write

    async def _sent_or_queued(
        self, write: Write, content: Content, fingerprint: str | None, interim: Interim | None
    ) -> OriginResponse | Write:
        if not await self._delivery.its_turn():
            try:
                return await self._append(write, content, fingerprint)
            except StorageError as error:
                # Sending it now would overtake those that wait.
                raise OriginUnreachable(f"earlier writes wait for the origin, and {error}") from error
        try:
            response = await self._origin.send(origin_request(write, content), interim=interim)
        except (OriginUnreachable, OriginTimeout) as failure:
            queued = await self._kept(self._tried(write, failure.reason, None), content, fingerprint)
            if queued is None:
                raise
            return queued
        if response.head.status not in AWAY:
            return response
        why = f"the origin answered {response.head.status}"
        wait = retry_after(response.head.fields, self._now())
        queued = await self._kept(self._tried(write, why, response.head.status, wait), content, fingerprint)
        if queued is None:
            return response
        await response.close()
        return queued

    def _tried(self, write: Write, error: str, status: int | None, wait: float | None = None) -> Write:
        return replace(
            write,
            attempts=1,
            last_error=error,
            response_status=status,
            next_attempt_at=self._now() + self._delivery.delay(1, wait),
        )

    async def _kept(self, write: Write, content: Content, fingerprint: str | None) -> Write | None:
        """The write once it is queued; None, with a line in the log, when it could not be."""
        try:
            return await self._append(write, content, fingerprint)
        except StorageError as error:
            _log.error("a write is lost to its sender: %s", error)
            return None

    async def _append(self, write: Write, content: Content, fingerprint: str | None) -> Write:
        kept = await self._store.append(write, content, fingerprint)
        await self._delivery.appended()
        return kept


def queued_answer(write: Write) -> Answer:
    """202 for a write that was queued: where its fate will be told, and the key it is sent under."""
    url = STATUS_PATH + write.id
    body = json.dumps({"id": write.id, "status": "queued", "status_url": url}).encode() + b"\n"
    fields = Fields(
        [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("Location", url),
            ("Idempotency-Key", write.idempotency_key),
        ]
    )
    return Answer(
        status=202,
        reason="Accepted",
        fields=fields,
        body=MemoryBody(body),
        length=len(body),
        verdict="local",
        why="queued",
        fwd="method",
        fwd_status=write.response_status,
    )


def _public(write: Write) -> dict[str, object]:
    return {
        "id": write.id,
        "status": write.state,
        "accepted_at": write.accepted_at,
        "attempts": write.attempts,
        "response_status": write.response_status,
        "settled_at": write.settled_at,
    }


def _listed(write: Write, now: float) -> dict[str, object]:
    return {
        **_public(write),
        "method": write.method,
        "url": f"{write.scheme}://{write.host}{write.target}",
        "route": write.route,
        "idempotency_key": write.idempotency_key,
        "length": write.length,
        "credentials": write.credentials,
        "age": round(now - write.accepted_at, 3),
        "next_attempt_in": round(max(0.0, write.next_attempt_at - now), 3) if write.state == "queued" else None,
        "expires_at": write.expires_at,
        "last_error": write.last_error,
        "answer": write.answer,
    }
