"""The composition root: build the edge from its configuration, run it, drain it, close it in reverse.

The only file that knows all the others; they do not know each other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from aiohttp import web

from proxy.access_log.writer import AccessLog, access_log
from proxy.background import Background
from proxy.compression import TASK, Compression, can_compress
from proxy.config.changes import Changes, changes, taken_up
from proxy.config.loading import Loaded
from proxy.config.model import Config, PrecacheEntry
from proxy.config.units import Address
from proxy.control_room import ControlRoom
from proxy.dashboard.outbox import note_given_up
from proxy.edge import Edge
from proxy.errors import CachewireError, ConfigurationError
from proxy.exchange import HttpExchange
from proxy.explain import explain
from proxy.fetching import Fetcher, Landing
from proxy.flight import Flights
from proxy.listening import listen
from proxy.operations.ledger import Ledger
from proxy.operations.metrics import KeptFigures
from proxy.operations.performance import performance
from proxy.operations.timeline import Timeline
from proxy.outbox import Outbox
from proxy.outbox_delivery import Delivery, Sleep
from proxy.outbox_store import Counts, OutboxStore, Write
from proxy.partition_key import partition_key
from proxy.policy.messages import Fields, Request
from proxy.precache import PINNED, Precacher, Progress, items, read_manifest
from proxy.purging import PurgeMethod, Purger
from proxy.realtime_core import RealtimeCore
from proxy.routing import RouteTable
from proxy.server import Server
from proxy.storage.index import RouteLimits
from proxy.storage.tiers import Tiers
from proxy.updates import Updates
from proxy.upstream import Origin
from proxy.variances import Variances

_log = logging.getLogger("cachewire")

SWEEP_EVERY = 30.0


class App:
    """One edge: build, start, drain, close. `now` is the wall clock that caching policy goes by, `sleep` what the
    outbox and the precache wait with between their attempts; `early` listens at `server.listen` already; `sources`
    says where each setting came from, and `read_again` reads them anew."""

    def __init__(
        self,
        config: Config,
        *,
        now: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        early: socket.socket | None = None,
        sources: Mapping[str, str] = MappingProxyType({}),
        read_again: Callable[[], Loaded] | None = None,
    ) -> None:
        self.config = config
        self._sources = sources
        self._read_again = read_again
        self._early = early
        self._now = now
        self._sleep = sleep
        self.ready = False
        self.background = Background()
        self.ledger = Ledger(time.monotonic)
        self._limits = _limits(config)
        self.store = _store(config, self._limits, now)
        self.origin = Origin(config.origin, now=now)
        self.flights: Flights[Landing] = Flights(self.background, time.monotonic)
        self.routes = RouteTable(config)
        self.variances = Variances()
        self.updates = Updates()
        self.purger = Purger(self.store, self.flights, now, self.updates)
        self.outbox: Outbox | None = None
        self.timeline = Timeline(self._now)
        self.precacher: Precacher | None = None
        self.realtime: RealtimeCore | None = None
        self.access_log: AccessLog | None = None
        self.public_address = config.server.listen
        self.admin_address = config.admin.listen
        self._open = AsyncExitStack()
        self._listening: list[asyncio.Server] = []
        self._started = time.monotonic()

    async def start(self) -> None:
        """Open the store, then listen. Raises CachewireError when a port or directory cannot be had."""
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        config = self.config
        manifest = read_manifest(config.precache.manifest)
        await self.store.open()
        self._open.push_async_callback(self.store.close)
        self._open.push_async_callback(self.origin.close)
        self.variances.recall((entry.key, entry.url) for entry in self.store.entries())
        edge = Edge(
            origin=self.origin,
            store=self.store,
            flights=self.flights,
            fetcher=Fetcher(self.origin, self.store, self.variances, self.updates),
            background=self.background,
            now=self._now,
            secret=partition_key(config.cache.dir if config.cache.disk else None),
            origin_host=None if config.origin.preserve_host else config.origin.url.partition("://")[2],
            name=f"cachewire-{secrets.token_hex(4)}",
            variances=self.variances,
            compression=self._compression(),
        )
        access_log = self._access_log()  # before the core, so that it is still there when that closes its WebSockets
        if config.realtime.enabled:
            self.realtime = await self._realtime(edge)
        if any(route.offline_queue for route in config.routes) or (config.outbox.dir / "outbox.db").exists():
            # Writes that wait are sent even if no route queues any more.
            self.outbox = await self._outbox(edge)
            edge = replace(edge, outbox=self.outbox)
        report = {"/api/performance": lambda: json.dumps(self.performance()).encode()}
        token = config.admin.purge_token
        self.server = Server(
            config,
            edge,
            self.routes,
            self.ledger,
            report if config.server.performance_report else {},
            None if token is None else PurgeMethod(self.purger, token, self._listed),
            public_url=lambda: config.precache.public_url or self.public_url,
            realtime=self.realtime,
            access_log=access_log,
        )
        self.public_address = await self._listen(
            self.server.listener, config.server.listen, "server.listen", self._early
        )
        self.control_room = self._control_room(edge)
        # A head that never ends, and an idle connection, are cut by this one deadline.
        admin = web.AppRunner(
            self.control_room.application(), access_log=None, handle_signals=False, keepalive_timeout=15
        )
        await admin.setup()
        self._open.push_async_callback(admin.cleanup)
        assert admin.server is not None
        self.admin_address = await self._listen(admin.server, config.admin.listen, "admin.listen")
        self.background.spawn(self._sweep(), "sweep")
        self.background.spawn(self.origin.watch(), "probe")
        self._edge = edge
        self._precache(edge, manifest)
        self._open.push_async_callback(self.control_room.close)
        await self.control_room.start()
        self._started = time.monotonic()
        self.ready = True

    def reopen_logs(self) -> None:
        """Log files have been moved away: open them anew."""
        if self.access_log is not None:
            self.access_log.reopen()

    async def reload(self, by: str) -> Changes:
        """Read the configuration again and take up what a running edge can, all of it or nothing.

        Raises ConfigurationError, and nothing has changed, when it cannot be used.
        """
        if self._read_again is None:
            raise ConfigurationError("this edge was not started from a configuration that could be read again")
        try:
            loaded = await asyncio.to_thread(self._read_again)
            manifest = await asyncio.to_thread(read_manifest, loaded.config.precache.manifest)
        except CachewireError as error:
            self.control_room.not_reloaded(by, str(error))
            raise
        found = changes(self.config, loaded.config, queues=self.outbox is not None)
        running = taken_up(self.config, loaded.config)
        if found.live:
            self._take_up(running, manifest)
        self.control_room.reloaded(by, running, loaded.sources, found)
        return found

    def _take_up(self, config: Config, manifest: Sequence[PrecacheEntry]) -> None:
        self.config = config
        self.routes.replace(config)
        self._limits.clear()
        self._limits.update(_limits(config))
        logging.getLogger().setLevel(config.log.level.upper())
        self.background.cancel("precache")
        self._precache(self._edge, manifest)

    async def drain(self) -> None:
        """Let what is under way end within `server.drain_timeout`, then close the realtime sessions, last of all.

        A session's client makes few attempts to come back, so nothing slow may lie between its end and that of the
        process: sessions are served, and newcomers taken, while everything else ends.
        """
        self.ready = False
        self.background.cancel("probe")
        self.control_room.draining()
        began, within = time.monotonic(), self.config.server.drain_timeout
        if self.outbox is not None:
            self.outbox.drain()
        self.server.listener.drain()
        if self.realtime is not None:
            self.realtime.hurry()
        before = self.server.busy
        await self._quiet(lambda: not before & self.server.busy, until=began + within * 0.5)
        if self.realtime is not None:
            await self.realtime.settle(began + within * 0.8 - time.monotonic())
        await self._stop_listening(until=began + within * 0.9)
        if self.realtime is not None:
            await self.realtime.leave()
        await self._quiet(lambda: not self.server.listener.connections, until=began + within)
        if self.server.listener.connections:
            _log.warning("%d connection(s) cut off after server.drain_timeout", len(self.server.listener.connections))
        await self.server.listener.shutdown(0.1)
        await self.background.drain(0)

    async def _stop_listening(self, until: float) -> None:
        """Accept nothing more, and let what has come meanwhile end, and what was left to do behind it."""
        for listening in self._listening:
            listening.close()
        self.server.listener.drain()
        await self._quiet(lambda: not self.server.busy, until)
        self.background.cancel("sweep")
        self.background.cancel(TASK)  # copies can be made again, and a busy store would hold up the shutdown
        self.background.cancel("precache")
        await self._quiet(lambda: not self.background and not self.store.stats().write_behind_bytes, until)

    async def _quiet(self, is_quiet: Callable[[], bool], until: float) -> None:
        """Wait for a condition that nobody tells of."""
        while not is_quiet() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Release everything; the write-behind is flushed first."""
        for listening in self._listening:
            listening.close()
        await self.background.drain(0)
        await self._open.aclose()

    async def _outbox(self, edge: Edge) -> Outbox:
        settings = self.config.outbox

        async def delivered(request: Request, status: int, fields: Fields) -> None:
            await HttpExchange(edge, request, self.routes.find(request)).invalidate(status, fields)

        store = OutboxStore(settings.dir, max_writes=settings.max_writes, max_bytes=settings.max_bytes)
        delivery = Delivery(
            self.origin,
            store,
            self.background,
            delivered=delivered,
            settled=self._write_settled,
            now=self._now,
            sleep=self._sleep,
        )
        outbox = Outbox(self.origin, store, delivery, self._now)
        self._open.push_async_callback(outbox.close)
        await outbox.open()
        self.origin.on_up = outbox.wake
        return outbox

    def _write_settled(self, write: Write) -> None:
        note_given_up(self.timeline, write)
        if self.realtime is not None:
            self.realtime.write_settled(write)

    async def _realtime(self, edge: Edge) -> RealtimeCore:
        public_url = self.config.precache.public_url
        core = RealtimeCore(
            self.config,
            edge,
            self.routes,
            self.purger,
            public_url=lambda: public_url or self.public_url,
            monotonic=time.monotonic,
        )
        self._open.push_async_callback(core.close)
        await core.start()
        self.updates.subscribe(core.cache_updated, core.watches)
        return core

    def _precache(self, edge: Edge, manifest: Sequence[PrecacheEntry]) -> None:
        wanted = items(self.config, manifest, self.config.precache.public_url or self.public_url)
        self.precacher = Precacher(edge, self.routes.find, wanted, sleep=self._sleep)
        if wanted or any(True for entry in self.store.entries() if PINNED in entry.tags):
            self.background.spawn(self.precacher.keep(), "precache")

    def _kept(self) -> KeptFigures:
        counts = Counts() if self.outbox is None else self.outbox.counts
        progress = Progress() if self.precacher is None else self.precacher.progress
        return KeptFigures(
            queued_writes=counts.queued,
            dead_writes=counts.dead,
            oldest_write=None if counts.oldest is None else self._now() - counts.oldest,
            precache_total=progress.total,
            precache_stored=progress.stored,
        )

    def performance(self) -> dict[str, int | float]:
        """The report of /api/performance: connections are of HTTP and WebSocket, messages those of the chat."""
        messages = 0 if self.realtime is None else self.realtime.core.stats.messages
        return performance(self.ledger, self._started, time.monotonic(), self._connections(), messages)

    def _connections(self) -> int:
        websockets = 0 if self.realtime is None else self.realtime.connections
        return len(self.server.listener.connections) + websockets

    async def _explained(self, edge: Edge, request: Request) -> dict[str, object]:
        if self.realtime is not None and self.realtime.takes(request.path):
            line = f"{request.method} {request.url} is the realtime core's (realtime.path), ahead of all routes."
            return {"route": "(realtime)", "next": "local", "lines": [line, *self.realtime.explained()]}
        if self.server.is_local(request.path):
            return {"route": "(edge)", "next": "local", "lines": [f"{request.url} is answered by the edge itself."]}
        return await explain(edge, self.routes, request)

    def _listed(self, request: Request) -> tuple[str, tuple[str, ...]]:
        return self.routes.url_of(request), self.variances.keys(request, self.routes.find(request).key)

    @property
    def public_url(self) -> str:
        return f"http://{self.public_address}"

    def _access_log(self) -> AccessLog | None:
        self.access_log = access_log(self.config.log.access)
        if self.access_log is not None:
            self.access_log.start()
            self._open.push_async_callback(self.access_log.close)
        return self.access_log

    def _compression(self) -> Compression | None:
        settings = self.config.cache.compression
        if not can_compress(settings.codings):
            return None
        compression = Compression(self.store, self.background, settings.codings, settings.minimum)
        compression.enabled = settings.enabled
        return compression

    def _control_room(self, edge: Edge) -> ControlRoom:
        return ControlRoom(
            self.config,
            ledger=self.ledger,
            store=self.store,
            origin=self.origin,
            purger=self.purger,
            routes=self.routes,
            compression=edge.compression,
            outbox=self.outbox,
            realtime=self.realtime,
            timeline=self.timeline,
            now=self._now,
            connections=self._connections,
            public_address=lambda: self.public_address,
            kept=self._kept,
            explain=partial(self._explained, edge),
            performance=self.performance,
            ready=lambda: self.ready,
            listed=self._listed,
            tasks=lambda: len(self.background),
            access_log=self.access_log,
            sources=self._sources,
            reload=None if self._read_again is None else self.reload,
        )

    async def _listen(
        self, factory: Callable[[], asyncio.Protocol], address: Address, key: str, early: socket.socket | None = None
    ) -> Address:
        listening, where = await listen(factory, address, key, early)
        self._listening.append(listening)
        return where

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self.store.sweep()
            if self.outbox is not None:
                await self.outbox.sweep()


def _limits(config: Config) -> dict[str, RouteLimits]:
    return {route.name: RouteLimits(route.expiration.max_entries, route.expiration.max_age) for route in config.routes}


def _store(config: Config, bounds: Mapping[str, RouteLimits], now: Callable[[], float]) -> Tiers:
    cache, unbounded = config.cache, RouteLimits(None, None)
    return Tiers(
        memory=cache.memory,
        disk=cache.disk,
        directory=cache.dir,
        memory_object=cache.memory_object,
        max_object=cache.max_object,
        max_entries=cache.max_entries,
        max_variants=cache.max_variants,
        max_index=cache.max_index,
        write_behind=cache.write_behind,
        limits=lambda route: bounds.get(route, unbounded),
        now=now,
    )
