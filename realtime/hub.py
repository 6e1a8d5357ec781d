"""The library layer: any Socket.IO application on an Engine.IO server.

Ties the pure rooms to the loop. An application registers handlers on namespaces; `Hub.opened` is what the Engine.IO
server calls for every new session.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import count as counting
from typing import TYPE_CHECKING, Any, Protocol

from realtime.journal import Journal
from realtime.namespace import Namespace, Refused
from realtime.peer import Peer
from realtime.recovery import Note, Recovery
from realtime.remembered import Record
from realtime.settings import HubSettings
from realtime.socket import Disconnected, Socket
from realtime.stats import RealtimeStats

if TYPE_CHECKING:
    from realtime.connection import Connection

__all__ = ["Disconnected", "Hub", "Namespace", "Refused", "Socket"]

log = logging.getLogger("cachewire.realtime")

LOG_PAUSE = 60.0
"""Seconds in which further errors of the same handler are only counted."""

NOTE_WITHIN = 0.05
"""Seconds until it is written down that clients have come, or come into rooms, unless somebody waits for it: they
connect, authenticate and join in one go, and only the last record counts. What is taken from them is written at once.
"""

NEWCOMERS_WITHIN = 1.0
"""Seconds until those are written down that have come and gained nothing: to begin anew costs them nothing yet."""


class Memory(Protocol):
    """What an application knows and wants to know again after a restart (see `Hub.keep`)."""

    def records(self, now: float) -> list[Record]: ...
    def load(self, record: Record, now: float) -> None: ...
    def clear(self) -> None: ...


class Hub:
    """Namespaces and their clients. `new_id` makes unguessable ids."""

    def __init__(
        self,
        settings: HubSettings,
        stats: RealtimeStats,
        *,
        journal: Journal | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(15),
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.stats = stats
        self.new_id = new_id
        self.namespaces: dict[str, Namespace] = {}
        self.peers: set[Peer] = set()
        self.now = now
        self._wall = wall
        self._journal = journal
        self._epoch = secrets.token_urlsafe(6)
        self._recoveries: dict[str, Recovery] = {}
        self._memories: dict[str, Memory] = {}
        self._noting: asyncio.Handle | None = None
        self._noting_now = False
        self._noting_newcomers: asyncio.TimerHandle | None = None
        self._started = False
        self._sweeping: asyncio.TimerHandle | None = None
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
        if self._sweeping is None and self.settings.recovery is not None:
            self._sweep()
        return peer

    def keep(self, kind: str, memory: Memory) -> Note | None:
        """Keep an application's memory in the journal, before `start`: records that begin with `kind` are its own.

        What is returned takes each new record; None where nothing survives the process.
        """
        if self._journal is None or self.settings.recovery is None:
            return None
        self._memories[kind] = memory
        return self._journal.append

    async def start(self) -> None:
        """Read what the journal knows of former clients and their packets. Before the first client comes."""
        if self._journal is None or self.settings.recovery is None:
            return
        records, now = await self._journal.open(), self.now()
        try:
            for record in records:
                if (memory := self._memories.get(record[0])) is not None:
                    memory.load(record, now)
                else:
                    self._recoverable(record[1]).load(record, now)
        except (ValueError, TypeError, LookupError) as error:
            log.warning("the recovery journal is of another version and begun anew: %s", error)
            self._journal.discard()
            for recovery in self._recoveries.values():
                recovery.clear()
            for kept in self._memories.values():
                kept.clear()
        for recovery in self._recoveries.values():
            recovery.start(now)
        self._journal.begin(self._records)
        self._started = True
        if self._sweeping is None:
            self._sweep()

    async def settled(self) -> bool:
        """Wait until everything that was sent so far, and who is here, would survive the end of this process.

        False: it would not, because there is no journal or it cannot be written.
        """
        if self._journal is None or self.settings.recovery is None:
            return False
        self._note()
        return await self._journal.settled()

    def write_now(self) -> bool:
        """Write down what was kept so far before it is sent, so that no process forgets what its clients have; False
        where that cannot be done at once, as with a slow disk, or at all.
        """
        return self._journal is not None and self.settings.recovery is not None and self._journal.write_now()

    def note_now(self) -> None:
        """Bring the records of changed clients up to date before anything else is said, unless the disk is slow."""
        self._note()
        self.write_now()

    async def close(self) -> None:
        """End what the application still has under way. The connections are the Engine.IO server's to close, first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._journal is not None:
            self._note_newcomers()
            await self._journal.close()

    @property
    def journal_available(self) -> bool:
        """False while there is a journal that cannot be written: nobody would recover in another process."""
        return self._journal is None or self._journal.available

    @property
    def forgotten(self) -> int:
        """How often the past of a room was given up, as all of them took too much memory."""
        return sum(recovery.shelf.emptied for recovery in self._recoveries.values())

    @property
    def given_up(self) -> dict[str, int]:
        """How many clients that might have returned were forgotten for want of room, by why."""
        together: Counter[str] = Counter()
        for recovery in self._recoveries.values():
            together.update(recovery.given_up)
        return dict(together)

    # For namespaces and peers

    def recovery(self, name: str) -> Recovery | None:
        """The past of a namespace, which may be older than this process; None where nothing is kept."""
        if self.settings.recovery is None:
            return None
        return self._recoverable(name)

    def note_soon(self) -> None:
        """Clients have less than before: bring their records up to date in this turn of the loop."""
        if self._journal is None or (self._noting is not None and self._noting_now):
            return
        if self._noting is not None:
            self._noting.cancel()
        self._noting, self._noting_now = asyncio.get_running_loop().call_soon(self._note), True

    def note_within(self) -> None:
        """Clients have more than before: bring their records up to date once for all that they do in one go."""
        if self._journal is not None and self._noting is None:
            self._noting = asyncio.get_running_loop().call_later(NOTE_WITHIN, self._note)

    def note_newcomers(self) -> None:
        """Clients have come: write them down in a while, if they have not gained anything until then that is."""
        if self._journal is not None and self._noting_newcomers is None:
            self._noting_newcomers = asyncio.get_running_loop().call_later(NEWCOMERS_WITHIN, self._note_newcomers)

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

    def _recoverable(self, name: str) -> Recovery:
        found = self._recoveries.get(name)
        if found is None:
            assert self.settings.recovery is not None
            note = None if self._journal is None else self._journal.append
            wall = self._wall() - self.now()
            found = Recovery(name, self.settings.recovery, self._epoch, wall=wall, note=note)
            self._recoveries[name] = found
            if self._started:
                found.start(self.now())
        return found

    def _records(self) -> list[Record]:
        records = [record for recovery in self._recoveries.values() for record in recovery.records()]
        for memory in self._memories.values():
            records += memory.records(self.now())
        return records

    def _note(self) -> None:
        if self._noting is not None:
            self._noting.cancel()
            self._noting, self._noting_now = None, False
        for namespace in self.namespaces.values():
            namespace.note()

    def _note_newcomers(self) -> None:
        if self._noting_newcomers is not None:
            self._noting_newcomers.cancel()
            self._noting_newcomers = None
        for recovery in self._recoveries.values():
            recovery.touch_blank()
        self._note()

    def _sweep(self) -> None:
        """Forget what is too old, a few times in the window."""
        assert self.settings.recovery is not None
        for recovery in self._recoveries.values():
            recovery.sweep(self.now())
        if self._journal is not None:
            self._journal.tend()
        pause = max(self.settings.recovery.window / 8, 0.1)
        self._sweeping = asyncio.get_running_loop().call_later(pause, self._sweep)
