"""The library layer: any Socket.IO application on an Engine.IO server.

Ties the pure rooms to the loop. An application registers handlers on namespaces; `Hub.opened` is what the Engine.IO
server calls for every new session.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from itertools import count as counting
from typing import TYPE_CHECKING, Any

from realtime.namespace import Namespace, Refused
from realtime.peer import Peer
from realtime.settings import HubSettings
from realtime.socket import Disconnected, Socket
from realtime.stats import RealtimeStats

if TYPE_CHECKING:
    from realtime.sessions import Connection

__all__ = ["Disconnected", "Hub", "Namespace", "Refused", "Socket"]

log = logging.getLogger("cachewire.realtime")

LOG_PAUSE = 60.0
"""Seconds in which further errors of the same handler are only counted."""


class Hub:
    """Namespaces and their clients. `new_id` makes unguessable ids."""

    def __init__(
        self,
        settings: HubSettings,
        stats: RealtimeStats,
        *,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(15),
        now: Callable[[], float] | None = None,
    ) -> None:
        self.settings = settings
        self.stats = stats
        self.new_id = new_id
        self.namespaces: dict[str, Namespace] = {}
        self.peers: set[Peer] = set()
        self._now = now
        self._questions = counting(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._logged: dict[str, float] = {}

    def namespace(self, name: str = "/") -> Namespace:
        """The namespace of this name, made when there is none."""
        if not name.startswith("/") or "," in name:
            raise ValueError(f"no namespace can be called {name!r}")
        found = self.namespaces.get(name)
        if found is None:
            found = self.namespaces[name] = Namespace(name, self)
        return found

    def opened(self, connection: Connection) -> Peer:
        """A new Engine.IO session; what it receives goes to the answer."""
        peer = Peer(connection, self)
        self.peers.add(peer)
        return peer

    async def close(self) -> None:
        """End what the application still has under way. The connections are the Engine.IO server's to close, first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # For namespaces and peers

    def now(self) -> float:
        """Seconds, monotonic."""
        return asyncio.get_running_loop().time() if self._now is None else self._now()

    def next_question(self) -> int:
        """The id of the next event that wants an answer: never the same twice, or a late answer could be taken for
        that of a question asked over another connection.
        """
        return next(self._questions)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what must not hold up anybody; it catches its own exceptions."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def failed(self, event: str, error: Exception) -> None:
        """A handler has raised: count it, and say so once a minute for each event."""
        self.stats.handler_errors += 1
        now = self.now()
        if now >= self._logged.get(event, -LOG_PAUSE) + LOG_PAUSE:
            self._logged[event] = now
            log.error("the handler of %r failed", event, exc_info=error)
