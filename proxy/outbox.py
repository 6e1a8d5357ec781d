"""Background sync: writes that could not reach the origin are kept, and sent in their order once it is back.

Delivery is at least once. A write whose answer was lost may have been carried out, so every attempt, the first
live one included, bears the same Idempotency-Key by which the application recognises a repetition. What was
recorded as delivered is never sent again.

Order: while writes wait, further writes of queueing routes line up behind them. When the origin takes the queue
up again, a new write waits a moment for its turn and then gets a live answer instead of a 202.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from proxy.answer import Answer
from proxy.background import Background
from proxy.errors import BodyIncomplete, OriginError, OriginTimeout, OriginUnreachable, RequestRefused, StorageError
from proxy.origin_connection import Interim
from proxy.outbox_store import Content, Counts, OutboxStore, Write
from proxy.policy.messages import Fields, Request
from proxy.policy.queueing import AWAY, QueueRules, delay, fate, fingerprint, idempotency_key, retry_after
from proxy.policy.storing import has_credentials
from proxy.storage.bodies import MemoryBody
from proxy.upstream import Origin, OriginRequest, OriginResponse

STATUS_PATH = "/.cachewire/outbox/"
"""Where the public listener tells the fate of a write to whoever knows its id."""

CATCH_UP = 2.0
"""Seconds that a new write waits for a queue that is being delivered, before it joins it."""

ANSWER_KEPT = 4 * 2**10
STORAGE_PAUSE = 30.0
_TASK = "outbox"

Sleep = Callable[[float], Awaitable[None]]
Delivered = Callable[[Request, int, Fields], Awaitable[None]]
Settled = Callable[[Write], None]

_log = logging.getLogger("cachewire.outbox")


class Outbox:
    """The queue of one edge's origin.

    `delivered` is told each success before it is recorded, to drop what the write made outdated; `settled` each
    fate after it was recorded. `chance` makes random numbers in [0, 1] for the jitter.
    """

    def __init__(
        self,
        origin: Origin,
        store: OutboxStore,
        background: Background,
        *,
        delivered: Delivered,
        settled: Settled = lambda _write: None,
        now: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._origin = origin
        self._store = store
        self._background = background
        self._delivered = delivered
        self._settled = settled
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._backing_off = False
        self._flowing = False
        self._stopping = False
        self._appended = 0
        self.counts = Counts()

    async def open(self) -> None:
        """Read what waits, and begin to send it. Raises StorageError when the directory cannot be had."""
        await self._store.open()
        await self._count()
        if self.counts.queued:
            _log.info("%d writes wait in the outbox", self.counts.queued)
            self._begin()

    def drain(self) -> None:
        """Begin no further attempt; one that is under way may end."""
        self._stopping = True
        self._woken.set()

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
            body, whole = (b"", False) if too_long else await _read(forwarded.body, rules.max_body)
            if not whole:
                rest = replace(forwarded, body=_joined(body, forwarded.body))
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
        await self._count()
        now, counts = self._now(), self.counts
        return {
            "counts": {"queued": counts.queued, "done": counts.done, "dead": counts.dead},
            "oldest_age": None if counts.oldest is None else round(now - counts.oldest, 3),
            "backing_off": self._backing_off,
            "writes": [_listed(write, now) for write in await self._store.writes(limit)],
        }

    async def retry(self, id_: str) -> bool:
        """Try a queued write now, or queue a dead one again, behind the others; False when there is neither."""
        revived = await self._store.revived(id_, self._now())
        if revived:
            await self._count()
            self._begin()
            self._woken.set()
        return revived

    async def delete(self, id_: str) -> bool:
        """Forget a write, whatever its state; whether it was known."""
        known = await self._store.delete(id_)
        await self._count()
        self._woken.set()
        return known

    def wake(self) -> None:
        """The origin seems to be back: do not wait any longer."""
        self._woken.set()

    async def sweep(self) -> None:
        """Forget what was settled long ago; call it now and then."""
        try:
            await self._store.sweep(self._now())
            await self._count()
        except StorageError as error:
            _log.error("%s", error)

    # A new write

    async def _sent_or_queued(
        self, write: Write, content: Content, fingerprint: str | None, interim: Interim | None
    ) -> OriginResponse | Write:
        if not await self._its_turn():
            try:
                return await self._append(write, content, fingerprint)
            except StorageError as error:
                # Sending it now would overtake those that wait.
                raise OriginUnreachable(f"earlier writes wait for the origin, and {error}") from error
        try:
            response = await self._origin.send(_origin_request(write, content), interim=interim)
        except (OriginUnreachable, OriginTimeout) as failure:
            queued = await self._kept(_postponed(write, failure.reason, None), content, fingerprint)
            if queued is None:
                raise
            return queued
        if response.head.status not in AWAY:
            return response
        why = f"the origin answered {response.head.status}"
        queued = await self._kept(_postponed(write, why, response.head.status), content, fingerprint)
        if queued is None:
            return response
        await response.close()
        return queued

    async def _its_turn(self) -> bool:
        """Whether a new write overtakes nobody, after a moment's patience if the queue is moving."""
        if self._empty.is_set():
            return True
        if self._backing_off:
            return False
        try:
            async with asyncio.timeout(CATCH_UP):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _kept(self, write: Write, content: Content, fingerprint: str | None) -> Write | None:
        """The write once it is queued; None, with a line in the log, when it could not be."""
        try:
            return await self._append(write, content, fingerprint)
        except StorageError as error:
            _log.error("a write is lost to its sender: %s", error)
            return None

    async def _append(self, write: Write, content: Content, fingerprint: str | None) -> Write:
        if not write.attempts:
            kept = await self._store.append(write, content, fingerprint)
        else:
            wait = delay(write.attempts, self._chance())
            kept = await self._store.append(
                replace(write, next_attempt_at=write.accepted_at + wait), content, fingerprint
            )
        self._appended += 1
        await self._count()
        self._begin()
        return kept

    # Delivering

    def _begin(self) -> None:
        self._empty.clear()
        if not self._stopping and (self._task is None or self._task.done()):
            self._task = self._background.spawn(self._deliver(), _TASK)

    async def _deliver(self) -> None:
        """Send what waits, the first first, until nothing does."""
        while not self._stopping:
            appended = self._appended
            try:
                write = await self._store.head()
                if write is None:
                    # What was appended while the store was asked would otherwise wait for nobody.
                    if appended == self._appended:
                        self._flowing = False
                        self._empty.set()
                        return
                    continue
                if await self._due(write):
                    await self._attempt(write)
            except StorageError as error:
                _log.error("%s", error)
                await self._pause(STORAGE_PAUSE)

    async def _due(self, write: Write) -> bool:
        """Whether the write is to be sent now; waits, and buries a write whose retention has ended."""
        if self._now() >= write.expires_at:
            await self._bury(write, "its retention ended before the origin took it", attempted=False)
            return False
        wait = min(write.next_attempt_at, write.expires_at) - self._now()
        # The pause is the origin's, not the write's: where one got an answer, the next need not wait.
        return wait <= 0 or self._flowing or await self._pause(wait)

    async def _pause(self, seconds: float) -> bool:
        """Wait; True when somebody said that waiting is needless now."""
        nap = asyncio.ensure_future(self._sleep(seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        self._backing_off = True
        try:
            await asyncio.wait((nap, woken), return_when=asyncio.FIRST_COMPLETED)
            return self._woken.is_set() and not self._stopping
        finally:
            self._backing_off = False
            self._woken.clear()
            nap.cancel()
            woken.cancel()

    async def _attempt(self, write: Write) -> None:
        content = await self._store.content(write.id)
        if content is None or self._stopping:
            return
        try:
            response = await self._origin.send(_origin_request(write, content))
        except RequestRefused as error:
            await self._bury(write, str(error))
        except OriginError as error:
            self._woken.clear()
            self._flowing = False
            await self._postpone(write, str(error), None, None)
        else:
            # Its own answer is no news that the origin is back.
            self._woken.clear()
            try:
                await self._judge(write, response)
            finally:
                await response.close()

    async def _judge(self, write: Write, response: OriginResponse) -> None:
        status, fields = response.head.status, response.head.fields
        self._flowing = fate(status) != "retry"
        match fate(status):
            case "retry":
                wait = retry_after(fields, self._now())
                await self._postpone(write, f"the origin answered {status}", status, wait)
            case "dead":
                await self._bury(write, f"the origin answered {status}", status, await _beginning(response))
            case "done":
                await self._done(write, status, fields)

    async def _done(self, write: Write, status: int, fields: Fields) -> None:
        try:
            # Before it is recorded: a crash in between sends the write again rather than leave stale answers.
            await self._delivered(_request(write), status, fields)
        except Exception:
            _log.exception("what %s %s made outdated could not be dropped", write.method, write.target)
        await self._store.settled(write.id, at=self._now(), status=status)
        _log.info("delivered %s %s: %d", write.method, write.target.partition("?")[0], status)
        await self._tell(write.id)

    async def _postpone(self, write: Write, error: str, status: int | None, wait: float | None) -> None:
        pause = delay(write.attempts + 1, self._chance(), wait)
        await self._store.postponed(write.id, next_attempt_at=self._now() + pause, error=error, status=status)

    async def _bury(
        self, write: Write, error: str, status: int | None = None, answer: str = "", *, attempted: bool = True
    ) -> None:
        await self._store.buried(
            write.id, at=self._now(), error=error, status=status, answer=answer, attempted=attempted
        )
        _log.warning("gave up %s %s: %s", write.method, write.target.partition("?")[0], error)
        await self._tell(write.id)

    async def _tell(self, id_: str) -> None:
        await self._count()
        write = await self._store.find(id_)
        if write is None:
            return
        try:
            self._settled(write)
        except Exception:
            _log.exception("the fate of a write could not be told")

    async def _count(self) -> None:
        try:
            self.counts = await self._store.counts()
        except StorageError as error:
            # Figures only: what was kept before remains kept.
            _log.error("%s", error)


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


def _postponed(write: Write, error: str, status: int | None) -> Write:
    return replace(write, attempts=1, last_error=error, response_status=status)


def _origin_request(write: Write, content: Content) -> OriginRequest:
    body = content.body
    chunks = None if body is None else _joined(body)
    return OriginRequest(write.method, write.target, content.fields, chunks, None if body is None else len(body))


def _request(write: Write) -> Request:
    return Request(write.method, write.target, write.host, scheme=write.scheme, has_body=write.length > 0)


async def _read(source: AsyncIterator[bytes], most: int) -> tuple[bytes, bool]:
    """The body if it has at most `most` bytes, or else its beginning and False."""
    body = bytearray()
    async for chunk in source:
        body += chunk
        if len(body) > most:
            return bytes(body), False
    return bytes(body), True


async def _joined(first: bytes, rest: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    if first:
        yield first
    if rest is not None:
        async for chunk in rest:
            yield chunk


async def _beginning(response: OriginResponse) -> str:
    """The first bytes of an answer, for an operator to read."""
    kept = bytearray()
    try:
        async with asyncio.timeout(CATCH_UP):
            async for chunk in response.chunks():
                kept += chunk
                if len(kept) >= ANSWER_KEPT:
                    break
    except (BodyIncomplete, TimeoutError):
        pass  # its beginning is all that is wanted
    return kept[:ANSWER_KEPT].decode("utf-8", "replace")


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
