"""The connections to the origin: at most so many, the most recently used first, a fair queue when all are busy."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from proxy.errors import BodyIncomplete, OriginTimeout, OriginUnreachable
from proxy.origin_connection import OriginConnection, Owner
from proxy.tunnel import Tunnel


class OriginPool:
    """Keeps connections alive between exchanges and bounds how many there are.

    A slot is taken from the moment a connection is being made until it is retired. Tunnels hold no slot, or a
    hundred open WebSockets would leave none for requests; the server's own limit bounds them.
    """

    def __init__(
        self,
        connect: Callable[[Owner], Awaitable[OriginConnection]],
        limit: int,
        body_broke_off: Callable[[BodyIncomplete], None],
    ) -> None:
        self._connect = connect
        self._limit = limit
        self._report = body_broke_off
        self._taken = 0
        self._idle: list[OriginConnection] = []
        self._connections: set[OriginConnection] = set()
        self._tunnels: set[Tunnel] = set()
        self._waiters: deque[asyncio.Future[OriginConnection | None]] = deque()
        self._emptied: asyncio.Event | None = None
        self._closing = False

    @property
    def taken(self) -> int:
        """Slots in use: connections open or being made."""
        return self._taken

    @property
    def idle_connections(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiters)

    @property
    def tunnels(self) -> int:
        return len(self._tunnels)

    async def acquire(self, deadline: float) -> OriginConnection:
        """A connection for one exchange; first come, first served.

        Raises OriginTimeout when none was free by the loop time `deadline`, and what connecting raises.
        """
        while True:
            if self._closing:
                raise OriginUnreachable("the origin client is closed")
            if self._waiters:
                connection = await self._turn(deadline)
            elif (connection := self._quiet_one()) is None:
                if self._taken >= self._limit:
                    connection = await self._turn(deadline)
                else:
                    self._taken += 1
            if connection is None:
                return await self._open()
            if connection.quiet():
                return connection
            connection.retire()

    def retire_idle(self) -> None:
        """Close every idle connection: the last used has proved stale, and the others have idled longer."""
        while self._idle:
            self._idle.pop().retire()

    async def close(self) -> None:
        """Close every connection and tunnel, and wait until their transports are gone."""
        self._closing = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(OriginUnreachable("the origin client was closed"))
        uploads = [task for c in self._connections if (task := c.upload_task) is not None and not task.done()]
        self._idle.clear()
        for connection in list(self._connections):
            connection.close()
        for tunnel in list(self._tunnels):
            tunnel.abort()
        self._emptied = asyncio.Event()
        if self._connections or self._tunnels:
            await self._emptied.wait()
        await asyncio.gather(*uploads, return_exceptions=True)

    # -- Owner

    def idle(self, connection: OriginConnection) -> None:
        if self._closing:
            connection.retire()
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def retired(self, connection: OriginConnection) -> None:
        if connection not in self._connections:
            return  # it broke while it was being made: the slot is still with whoever makes it
        if connection in self._idle:
            self._idle.remove(connection)
        self._free_slot()

    def closed(self, connection: OriginConnection) -> None:
        self._connections.discard(connection)
        self._signal_when_empty()

    def upgraded(self, connection: OriginConnection, tunnel: Tunnel) -> None:
        self._connections.discard(connection)
        self._tunnels.add(tunnel)
        self._free_slot()

    def tunnel_closed(self, tunnel: Tunnel) -> None:
        self._tunnels.discard(tunnel)
        self._signal_when_empty()

    def body_broke_off(self, error: BodyIncomplete) -> None:
        self._report(error)

    # -- details

    def _quiet_one(self) -> OriginConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet():
                return connection
            connection.retire()
        return None

    async def _open(self) -> OriginConnection:
        """A new connection in the slot that the caller has taken."""
        try:
            connection = await self._connect(self)
        except BaseException:
            self._free_slot()
            raise
        if connection.gone:
            self._free_slot()
            raise OriginUnreachable("the origin closed the connection as soon as it was made")
        self._connections.add(connection)
        if self._closing:
            connection.retire()
            raise OriginUnreachable("the origin client was closed")
        return connection

    async def _turn(self, deadline: float) -> OriginConnection | None:
        """Queue up; a connection that another request has done with, or None: a slot to connect in."""
        waiter: asyncio.Future[OriginConnection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except BaseException as error:
            self._leave(waiter)
            if isinstance(error, TimeoutError):
                raise OriginTimeout(f"all {self._limit} connections to the origin stayed busy") from None
            raise

    def _leave(self, waiter: asyncio.Future[OriginConnection | None]) -> None:
        """Pass on what was handed to a waiter that no longer wants it."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            connection = waiter.result()
            if connection is None:
                self._free_slot()
            elif connection.quiet():
                self.idle(connection)
            else:
                connection.retire()

    def _free_slot(self) -> None:
        if not self._hand_over(None):
            self._taken -= 1

    def _hand_over(self, connection: OriginConnection | None) -> bool:
        """Give a connection or a slot to the first in the queue, if there is one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _signal_when_empty(self) -> None:
        if self._emptied is not None and not self._connections and not self._tunnels:
            self._emptied.set()
