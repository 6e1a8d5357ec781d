"""Telling somebody else of alerts: a POST of JSON for each that fires and each that is resolved, in their order.

The rule of this room: only the configured URL is ever asked, no redirect is followed, of an answer no more than a
little is read, and neither the token nor the URL's path is ever written anywhere. What cannot be delivered is tried
again with growing pauses; what nobody takes is given up and counted. Nothing waits for the webhook but the webhook.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from proxy.config.alerts import Webhook as Settings
from proxy.operations.alert_rules import SHIPPED, sentence
from proxy.operations.alerts import Rule, Transition
from proxy.version import __version__

MOST_WAITING = 100
MOST_READ = 4096
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
DRAIN = 2.0
"""Seconds that what still waits gets at the end."""

Result = Literal["delivered", "failed", "dropped"]
RESULTS: tuple[Result, ...] = ("delivered", "failed", "dropped")

_AGAIN = frozenset({408, 425, 429, *range(500, 600)})
_log = logging.getLogger("cachewire.alerts")


@dataclass(frozen=True, slots=True)
class Message:
    """What is told once. Moments are seconds since the epoch."""

    alert: str
    state: str
    severity: str
    value: float | None
    threshold: float | None
    since: float
    at: float
    text: str
    id: str

    def body(self) -> bytes:
        """The JSON document; the id is the same in every attempt."""
        document = {
            "alert": self.alert,
            "state": self.state,
            "severity": self.severity,
            "value": self.value,
            "threshold": self.threshold,
            "since": _moment(self.since),
            "at": _moment(self.at),
            "text": self.text,
            "id": self.id,
        }
        return json.dumps(document).encode()


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the last attempt went: of which alert, when, and what came of it, in words."""

    alert: str
    state: str
    at: float
    result: Literal["delivered", "retrying", "failed"]
    detail: str
    attempts: int


class Webhook:
    """One queue and one task that empties it. `now` is seconds since the epoch, `sleep` waits between attempts."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], float],
        rule: Callable[[str], Rule],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._now = now
        self._rule = rule
        self._sleep = sleep
        self._waiting: deque[Message] = deque()
        self._came = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when a message joins or leaves the queue."""
        self.kept: Callable[[], Awaitable[object]] = _at_once
        """Waits until what is told would not be forgotten with this process. Never raises."""
        self.results: Counter[Result] = Counter()
        self.last: Delivery | None = None

    @property
    def configured(self) -> bool:
        return self._settings.url is not None

    @property
    def host(self) -> str:
        """Where messages go, as far as it may be shown."""
        parts = urlsplit(self._settings.url or "")
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def untold(self) -> tuple[Message, ...]:
        """What waits, for `resume` of another process; tests apart, whose result nobody will wait for."""
        return tuple(message for message in self._waiting if message.state != "test")

    def resume(self, untold: Iterable[Message]) -> None:
        """Queue, ahead of all others, what another process could not deliver."""
        if self.configured:
            for message in untold:
                self._offer(message)

    def tell(self, transition: Transition) -> None:
        """Queue a message if this is news for others."""
        if not self.configured or transition.state not in ("firing", "resolved"):
            return
        self._offer(
            Message(
                transition.rule,
                transition.state,
                transition.severity,
                transition.value,
                transition.threshold if SHIPPED[transition.rule].has_threshold else None,
                transition.at if transition.since is None else transition.since,
                transition.at,
                self._text(transition),
                secrets.token_hex(8),
            )
        )

    def test(self) -> None:
        """Queue a message that says it is a test."""
        now = self._now()
        text = "A test of the webhook: nothing is wrong."
        self._offer(Message("test", "test", "warning", None, None, now, now, text, secrets.token_hex(8)))

    async def start(self) -> None:
        if self.configured:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="alert webhook")

    async def close(self) -> None:
        """Try what still waits once more, for DRAIN seconds at most; what then waits is `untold`."""
        if self._task is None:
            return
        self._closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                await self._idle.wait()
        if self._waiting:
            _log.warning("%d message(s) about alerts could not be delivered before the end", len(self._waiting))
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def _text(self, transition: Transition) -> str:
        meaning = SHIPPED[transition.rule]
        if transition.state == "resolved":
            why = f" ({transition.why})" if transition.why else ""
            return f"Resolved{why}: {meaning.title}"
        rule = replace(self._rule(transition.rule), threshold=transition.threshold)
        return f"{sentence(meaning, rule, transition.value)}. {meaning.advice}"

    def _offer(self, message: Message) -> None:
        if len(self._waiting) >= MOST_WAITING:
            # The newest says how it is now; the first of the queue is under way.
            del self._waiting[1]
            self.results["dropped"] += 1
        self._waiting.append(message)
        self._idle.clear()
        self._came.set()
        self.on_change()

    async def _run(self) -> None:
        settings = self._settings
        headers = {"Content-Type": "application/json", "User-Agent": f"cachewire/{__version__}"}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token}"
        async with aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=settings.timeout),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
            connector=aiohttp.TCPConnector(limit=1, force_close=True),
        ) as session:
            while True:
                await self._came.wait()
                while self._waiting:
                    await self.kept()
                    if not await self._deliver(session, self._waiting[0]):
                        self._idle.set()
                        return
                    self._waiting.popleft()
                    self.on_change()
                self._came.clear()
                self._idle.set()

    async def _deliver(self, session: aiohttp.ClientSession, message: Message) -> bool:
        """Whether that is settled, one way or the other; if not, the end has come first."""
        for attempt in range(1, self._settings.retries + 2):
            delivered, again, detail = await self._attempt(session, message)
            final = delivered or not again or attempt > self._settings.retries
            self.last = Delivery(
                message.alert,
                message.state,
                self._now(),
                "delivered" if delivered else "failed" if final else "retrying",
                detail,
                attempt,
            )
            if final:
                self.results["delivered" if delivered else "failed"] += 1
                if not delivered:
                    _log.warning("the webhook was not told that %s is %s: %s", message.alert, message.state, detail)
                return True
            if self._closing.is_set():
                return False
            await self._pause(attempt)
        raise AssertionError("the last attempt is final")

    async def _attempt(self, session: aiohttp.ClientSession, message: Message) -> tuple[bool, bool, str]:
        """Whether it was taken, whether to try again, and what happened."""
        assert self._settings.url is not None
        try:
            async with session.post(self._settings.url, data=message.body(), allow_redirects=False) as answer:
                await answer.content.read(MOST_READ)
                status = answer.status
        except TimeoutError:
            return False, True, f"no answer within {self._settings.timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The text of such an error may quote the URL.
            return False, True, f"no connection, or it broke ({type(error).__name__})"
        if 200 <= status < 300:
            return True, False, f"answered {status}"
        if 300 <= status < 400:
            return False, False, f"answered {status}; redirects are not followed, correct alerts.webhook.url"
        return False, status in _AGAIN, f"answered {status}"

    async def _pause(self, attempt: int) -> None:
        """Wait before the next attempt; not at all once the end has begun."""
        longest = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
        pause = asyncio.ensure_future(self._sleep(longest * random.uniform(0.5, 1.0)))  # noqa: S311 - no secret
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((pause, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (pause, closing):
                waiter.cancel()


async def _at_once() -> None:
    """For where nothing outlives the process."""


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
