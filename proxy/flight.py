"""One fetch per key, however many wait.

A flight begins with the first request that needs a key and lasts until the response is stored. Those who come
while it is under way wait for its landing (the response head and a place to read the body) instead of asking the
origin again. What may be shared is decided by the landing, not here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from proxy.background import Background
from proxy.policy.messages import Fields

Landing = TypeVar("Landing")

Interim = Callable[[int, Fields], None]
"""Takes interim responses (1xx) on their way to a client."""


class Flight(Generic[Landing]):
    """A fetch under way. Set `landing` once, as soon as the response head is known.

    `waiters` counts the requests that joined and have not yet taken or refused the landing; `keep` says that
    the work is wanted even when no reader is left (a background refresh, a late answer). `led` is False once
    the request that began the flight has gone.
    """

    __slots__ = ("_heard", "_listeners", "keep", "key", "landing", "led", "task", "waiters")

    def __init__(self, key: str, landing: asyncio.Future[Landing]) -> None:
        self.key = key
        self.landing = landing
        self.waiters = 0
        self.keep = False
        self.led = True
        self.task: asyncio.Task[None] | None = None
        self._heard: list[tuple[int, Fields]] = []
        self._listeners: list[Interim] = []

    def tell(self, status: int, fields: Fields) -> None:
        """An interim response has come: pass it on to all who wait, now and later."""
        self._heard.append((status, fields))
        for listener in self._listeners:
            listener(status, fields)

    def _give_up_if_alone(self) -> None:
        """The last one who waited is leaving, and there is no answer yet that somebody else could use."""
        if self.waiters == 1 and not self.keep and not self.landing.done() and self.task is not None:
            self.task.cancel()

    async def land(self, timeout: float | None, interim: Interim | None = None) -> Landing:
        """Wait for the landing. Raises TimeoutError after `timeout` seconds; the flight goes on regardless.

        `interim` gets every interim response of this flight in order, while it waits and not a moment longer:
        after that the final response may be on the wire.
        """
        self.waiters += 1
        if interim is not None and not self.landing.done():
            for status, fields in self._heard:
                interim(status, fields)
            self._listeners.append(interim)
        try:
            if self.landing.done():
                return self.landing.result()
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self.landing)
        except asyncio.CancelledError:
            self._give_up_if_alone()
            raise
        finally:
            self.waiters -= 1
            if interim is not None and interim in self._listeners:
                self._listeners.remove(interim)


class Flights(Generic[Landing]):
    """The flights under way, by key, and a bounded memory of keys whose landings could not be shared."""

    def __init__(self, background: Background, now: Callable[[], float]) -> None:
        self._background = background
        self._now = now
        self._by_key: dict[str, Flight[Landing]] = {}
        # By hash: clients choose how long keys are.
        self._unshareable: OrderedDict[int, tuple[float, str]] = OrderedDict()

    def current(self, key: str) -> Flight[Landing] | None:
        return self._by_key.get(key)

    def begin(self, key: str, fetch: Callable[[Flight[Landing]], Coroutine[Any, Any, None]]) -> Flight[Landing]:
        """Start `fetch` as the flight of `key`, in place of one that is there.

        `fetch` sets the landing; an exception it raises before becomes the landing's.
        """
        landing: asyncio.Future[Landing] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting when it fails: that is not an error of the loop's.
        landing.add_done_callback(lambda future: future.cancelled() or future.exception())
        flight = Flight(key, landing)
        self._by_key[key] = flight
        flight.task = self._background.spawn(self._fly(flight, fetch), f"fetch {key}")
        return flight

    def forget(self) -> None:
        """Let later requests begin flights of their own: what is under way began before a purge."""
        self._by_key.clear()

    def remember_unshareable(self, key: str, reason: str, seconds: float = 30.0, most: int = 10_000) -> None:
        """Note why the answers of `key` are not for sharing, so that the next requests do not queue up for one."""
        self._unshareable[hash(key)] = (self._now() + seconds, reason)
        self._unshareable.move_to_end(hash(key))
        if len(self._unshareable) > most:
            self._unshareable.popitem(last=False)

    def unshareable(self, key: str) -> str | None:
        """Why the last answer of `key` was not for sharing, as long as that is remembered."""
        until, reason = self._unshareable.get(hash(key), (0.0, ""))
        if not reason:
            return None
        if until > self._now():
            return reason
        del self._unshareable[hash(key)]
        return None

    def shareable_again(self, key: str) -> None:
        self._unshareable.pop(hash(key), None)

    def __len__(self) -> int:
        return len(self._by_key)

    async def _fly(
        self, flight: Flight[Landing], fetch: Callable[[Flight[Landing]], Coroutine[Any, Any, None]]
    ) -> None:
        try:
            await fetch(flight)
        except BaseException as error:
            if not flight.landing.done():
                if isinstance(error, Exception):
                    flight.landing.set_exception(error)
                    return
                flight.landing.cancel()
            raise
        finally:
            if self._by_key.get(flight.key) is flight:
                del self._by_key[flight.key]
