"""Delivering the outbox: one task that sends the queue in its order, and waits as long as the origin is away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from proxy.background import Background
from proxy.errors import BodyIncomplete, OriginError, RequestRefused, StorageError
from proxy.outbox_store import Content, Counts, OutboxStore, Write
from proxy.policy.messages import Fields, Request
from proxy.policy.queueing import delay, fate, retry_after
from proxy.uploading import joined
from proxy.upstream import Origin, OriginRequest, OriginResponse

CATCH_UP = 2.0
"""Seconds that a new write waits for a queue that is being delivered, before it joins it."""

ANSWER_KEPT = 4 * 2**10
STORAGE_PAUSE = 30.0

Sleep = Callable[[float], Awaitable[None]]
Delivered = Callable[[Request, int, Fields], Awaitable[None]]
Settled = Callable[[Write], None]

_log = logging.getLogger("cachewire.outbox")


class Delivery:
    """The task that delivers, and what it knows of the queue.

    `delivered` is told each success before it is recorded, to drop what the write made outdated; `settled` each
    fate after it was recorded. `chance` makes random numbers in [0, 1] for the jitter. `backing_off`: it waits for
    the origin at present. `counts` is as of the last change.
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
        self._flowing = False
        self._stopping = False
        self._appended = 0
        self.backing_off = False
        self.counts = Counts()

    def begin(self) -> None:
        """There is something to deliver."""
        self._empty.clear()
        if not self._stopping and (self._task is None or self._task.done()):
            self._task = self._background.spawn(self._deliver(), "outbox")

    async def appended(self) -> None:
        """A write was put into the store."""
        self._appended += 1
        await self.count()
        self.begin()

    def stop(self) -> None:
        """Begin no further attempt; one that is under way may end."""
        self._stopping = True
        self._woken.set()

    def wake(self) -> None:
        """Do not wait any longer."""
        self._woken.set()

    def delay(self, attempts: int, retry_after: float | None = None) -> float:
        """Seconds until the next attempt after `attempts` failed ones."""
        return delay(attempts, self._chance(), retry_after)

    async def its_turn(self) -> bool:
        """Whether a new write overtakes nobody, after a moment's patience if the queue is moving."""
        if self._empty.is_set():
            return True
        if self.backing_off:
            return False
        try:
            async with asyncio.timeout(CATCH_UP):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def count(self) -> None:
        """Bring `counts` up to date."""
        try:
            self.counts = await self._store.counts()
        except StorageError as error:
            # Figures only: what was kept before remains kept.
            _log.error("%s", error)

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
        self.backing_off = True
        try:
            await asyncio.wait((nap, woken), return_when=asyncio.FIRST_COMPLETED)
            return self._woken.is_set() and not self._stopping
        finally:
            self.backing_off = False
            self._woken.clear()
            nap.cancel()
            woken.cancel()

    async def _attempt(self, write: Write) -> None:
        content = await self._store.content(write.id)
        if content is None or self._stopping:
            return
        try:
            response = await self._origin.send(origin_request(write, content))
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
        pause = self.delay(write.attempts + 1, wait)
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
        write = await self._store.find(id_)
        await self.count()
        if write is None:
            return
        try:
            # In one step with the figures: who sees that it left the queue is told of its fate as well.
            self._settled(write)
        except Exception:
            _log.exception("the fate of a write could not be told")


def origin_request(write: Write, content: Content) -> OriginRequest:
    """What is sent for a write."""
    body = content.body
    chunks = None if body is None else joined(body)
    return OriginRequest(write.method, write.target, content.fields, chunks, None if body is None else len(body))


def _request(write: Write) -> Request:
    return Request(write.method, write.target, write.host, scheme=write.scheme, has_body=write.length > 0)


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
