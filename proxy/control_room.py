"""What operators have: figures, pages, and the levers behind them, put together around one running edge.

The composition root of the admin side: app.py builds the edge and hands its parts in; whatever watches or steers it
is made here. Besides the rooms of `dashboard` the only file that knows `webui`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from aiohttp import web

from proxy.access_log.series import access_log_series
from proxy.access_log.writer import AccessLog
from proxy.admin import PUBLISH, REVOKE, AdminApi, Explain
from proxy.alerts_api import AlertsApi
from proxy.compression import Compression
from proxy.config.changes import Changes
from proxy.config.model import Config
from proxy.config.units import Address
from proxy.dashboard.access import login_of
from proxy.dashboard.alerts import AlertsSource
from proxy.dashboard.cache import CacheSource
from proxy.dashboard.cache_api import CacheApi
from proxy.dashboard.configuration import ConfigSource, Reload, in_words
from proxy.dashboard.figures import Figures
from proxy.dashboard.outbox import OutboxSource
from proxy.dashboard.overview import OverviewSource
from proxy.dashboard.realtime_room import RealtimeRoom
from proxy.dashboard.routes import OWN_ROUTES, RoutesSource
from proxy.dashboard.timeline import TimelineSource
from proxy.dashboard.traffic import TrafficSource
from proxy.dashboard.tuning import TuningSource
from proxy.operations import memory
from proxy.operations.alert_series import alert_series
from proxy.operations.alerting import AlertWatch
from proxy.operations.heap import Heap, malloc_trim
from proxy.operations.held import Held
from proxy.operations.history import History, Sample
from proxy.operations.kept_alerts import KeptAlerts
from proxy.operations.kept_changes import KeptChanges
from proxy.operations.ledger import Ledger
from proxy.operations.metrics import Expected, KeptFigures, Metrics
from proxy.operations.process import process_series
from proxy.operations.pulse import Pulse
from proxy.operations.readings import Grades, Reader
from proxy.operations.timeline import Timeline
from proxy.operations.webhook import Webhook
from proxy.outbox import Outbox
from proxy.outbox_api import OutboxApi
from proxy.policy.messages import Rules
from proxy.purge import Listed
from proxy.purging import Purger
from proxy.realtime_core import RealtimeCore
from proxy.realtime_settings import journal_directory
from proxy.routing import RouteTable
from proxy.storage.tiers import Tiers
from proxy.tuning.api import TuningApi
from proxy.tuning.control import Tuning
from proxy.tuning.figures import MEMORY_TIER, ORIGIN_SILENT
from proxy.tuning.kept import kept_at
from proxy.tuning.levers import EdgeLevers
from proxy.upstream import Origin
from proxy.version import __version__
from webui.auth import security
from webui.frame import Frame
from webui.pages import alerts, cache, history, login, overview, timeline, traffic, tuning
from webui.pages import config as config_page
from webui.pages import outbox as outbox_page
from webui.pages import routes as routes_page

PAGES_WITHIN = 60.0
"""Seconds after the start until pages are prepared if nobody looks at one: when an edge is restarted all its clients
return at once, and more of them than operators.
"""


class ControlRoom:
    """The admin side of one edge."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        store: Tiers,
        origin: Origin,
        purger: Purger,
        routes: RouteTable,
        compression: Compression | None,
        outbox: Outbox | None,
        realtime: RealtimeCore | None,
        timeline: Timeline,
        now: Callable[[], float],
        connections: Callable[[], int],
        public_address: Callable[[], Address],
        kept: Callable[[], KeptFigures],
        explain: Explain,
        performance: Callable[[], dict[str, int | float]],
        ready: Callable[[], bool],
        listed: Listed,
        tasks: Callable[[], int],
        access_log: AccessLog | None = None,
        sources: Mapping[str, str] = MappingProxyType({}),
        reload: Reload | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._now = now
        self.timeline = timeline
        self.pulse = Pulse()
        self.figures = Figures(store, origin)
        self._memory = partial(memory.look, config.alerts.memory_budget)
        self.readings = self._reader(ledger, kept if outbox is not None else None, realtime)
        steady = now() - time.monotonic()
        self.alerts = AlertWatch(
            config.alerts,
            self.readings.sample,
            self.timeline,
            now=lambda: steady + time.monotonic(),
            kept=KeptChanges.of_alerts(config.cache),
        )
        self.webhook = Webhook(config.alerts.webhook, now=now, rule=self.alerts.alerts.rule)
        self.alerts.subscribe(self.webhook.tell)
        self._kept_alerts = (
            KeptAlerts(config.cache.dir / "alert-history.json", self.alerts, self.webhook)
            if config.cache.disk
            else None
        )
        self._alerts_api = AlertsApi(self.alerts, self.webhook)
        self._alerts_page = AlertsSource(self.alerts, self.webhook, self.readings)
        self.realtime_room = RealtimeRoom(
            realtime,
            ledger=ledger,
            figures=self.figures,
            origin=origin,
            most_connections=config.origin.max_connections,
            timeline=self.timeline,
            pulse=self.pulse,
            now=now,
            uptime=lambda: performance()["uptime"],
            connections=connections,
            endpoint=lambda: f"http://{public_address()}{config.realtime.path}",
            memory=self._memory,
        )
        self._api = AdminApi(
            metrics=Metrics(
                ledger,
                store=self.figures.store,
                origin=self.figures.origin,
                connections=connections,
                version=__version__,
                kept=kept,
                realtime=lambda: None if realtime is None else realtime.figures(),
                expected=self._expected,
                more=(
                    partial(process_series, self.pulse, tasks, self._memory),
                    self.realtime_room.series,
                    partial(alert_series, self.alerts, self.webhook),
                    *(() if access_log is None else (partial(access_log_series, access_log),)),
                ),
            ),
            purger=purger,
            explain=explain,
            performance=performance,
            performance_detail=self.realtime_room.performance.report,
            ready=ready,
            public_host=lambda: str(public_address()),
            listed=listed,
            realtime=realtime,
            timeline=self.timeline,
        )

        def public_url() -> str:
            return f"http://{public_address()}"

        def rules() -> dict[str, Rules]:
            return {route.name: route.rules for route in routes.routes}

        self._cache = CacheSource(store, purger, self.timeline, now=now, public_url=public_url, rules=rules)
        self._outbox = OutboxSource(outbox, self.timeline, origin, now=now)
        self._outbox_api = OutboxApi(outbox, self._outbox)
        self._cache_api = CacheApi(self._cache)
        self.tuning = Tuning(
            config,
            EdgeLevers(config, store=store, routes=routes, purger=purger, compression=compression, realtime=realtime),
            figures=lambda: {
                **self.readings.sample().values(),
                MEMORY_TIER: float(store.stats().memory_bytes),
                ORIGIN_SILENT: None if (since := origin.health.unanswered_since) is None else now() - since,
            },
            timeline=self.timeline,
            now=now,
            path=kept_at(config.cache),
        )
        self.alerts.subscribe(self.tuning.alerted, resumed=True)
        self._configuration = ConfigSource(config, sources, self.tuning.overrides, reload)
        realtime_figures = Held(lambda: None if realtime is None else realtime.figures())

        def sample() -> Sample:
            figures, core = self.figures.store(), realtime_figures()
            return Sample(
                messages=0 if realtime is None else realtime.core.stats.messages,
                deliveries=0 if realtime is None else realtime.core.stats.deliveries,
                sessions=0 if core is None else core.websocket + core.polling,
                quality={} if core is None else core.quality,
                stored=figures.entries,
                in_flight=ledger.in_flight,
                connections=connections(),
                memory_share=self.readings.sample().memory,
            )

        self.history = History(ledger, sample, now)
        self._watching: list[asyncio.Task[None]] = []
        self._traffic = TrafficSource(ledger, explain, public_url=public_url, public_host=lambda: str(public_address()))
        self._routes = RoutesSource(lambda: self._config, ledger, store.entries, ledger.now)
        self._overview = OverviewSource(
            config,
            ledger=ledger,
            figures=self.figures,
            origin=origin,
            now=now,
            connections=connections,
            public_url=public_url,
            kept=kept,
            history=self.history,
            realtime=realtime_figures,
            refused=tuple if realtime is None else realtime.refused,
            failed=self.realtime_room.pages.failed_messages,
        )

    async def start(self) -> None:
        """Begin to watch: to be called when the edge serves."""
        self.pulse.start()
        self.realtime_room.start()
        self._watching.append(asyncio.create_task(self.history.keep(), name="history"))
        heap = Heap(lambda: self._store.stats().memory_bytes, malloc_trim())
        self._watching.append(asyncio.create_task(heap.keep(), name="heap"))
        self._watching.append(asyncio.create_task(self._frame.prepare(PAGES_WITHIN), name="templates"))
        self._watching.append(asyncio.create_task(self._cache.keep(), name="catalogue"))
        if self._kept_alerts is not None:
            await self._kept_alerts.start()
        await self.webhook.start()
        await self.alerts.start()
        await self.tuning.start()
        count = self._store.stats().entries
        self.timeline.add(
            "process",
            "automatic",
            f"Cachewire {__version__} started in front of {self._config.origin.url}",
            stored=count,
        )
        if notes := self._configuration.notes():
            text = "the configuration is right, but some of it may not be meant: see the page Config"
            self.timeline.add("config", "automatic", text, notes=len(notes))

    def reloaded(self, by: str, config: Config, sources: Mapping[str, str], found: Changes) -> None:
        """Show the configuration as it is from now on, and note what became of a reload."""
        self._config = config
        self._configuration.replace(config, sources, found)
        self.timeline.add("config", by, f"the configuration was read again: {in_words(found)}")

    def not_reloaded(self, by: str, report: str) -> None:
        """Note that the configuration could not be used, and is what it was."""
        first = report.partition("\n")[0]
        self.timeline.add("config", by, f"the configuration was not taken up, nothing has changed: {first}")

    def draining(self) -> None:
        """Note that the edge ends."""
        self.timeline.add("process", "automatic", "draining: what is under way may end, and nothing new is taken")

    async def close(self) -> None:
        """Stop watching."""
        self.realtime_room.stop()
        await self.tuning.close()
        await self.alerts.close()
        await self.webhook.close()
        if self._kept_alerts is not None:
            await self._kept_alerts.close()
        self.pulse.stop()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def application(self) -> web.Application:
        """The admin listener's application, with the API and all pages on it."""
        admin = self._config.admin
        access = login_of(admin, self.timeline)
        hosts = (admin.listen.host, *admin.allowed_hosts)
        guard = security(
            admin.token,
            hosts,
            login=access,
            read_only=admin.read_only,
            traffic=(PUBLISH, REVOKE),
            proxies=self._config.server.trusted_proxies,
        )
        app = web.Application(middlewares=guard)
        self._api.setup(app)
        self._alerts_api.setup(app)
        self._outbox_api.setup(app)
        self._cache_api.setup(app)
        frame = self._frame = Frame(app)
        self.streams = frame.streams
        overview.setup(frame, self._overview.overview)
        cache.setup(frame, self._cache, self._cache)
        outbox_page.setup(frame, self._outbox, self._outbox)
        self.realtime_room.setup(app, frame)
        alerts.setup(frame, self._alerts_page.shown, self._alerts_page.firing, self._alerts_page)
        TuningApi(self.tuning).setup(app)
        tuned = TuningSource(self.tuning, self._now)
        tuning.setup(frame, tuned.shown, tuned)
        timeline.setup(frame, TimelineSource(self.timeline, self._now))
        config_page.setup(frame, self._configuration)
        traffic.setup(frame, self._traffic.traffic, self._traffic)
        routes_page.setup(frame, self._routes.routes)
        history.setup(app, self.history.columns)
        if access is not None:
            login.setup(frame, access)
        return app

    def _expected(self) -> Expected:
        routes = self._config.routes
        return Expected(
            [*(route.name for route in routes), *OWN_ROUTES],
            {status for route in routes for status in route.fallback_on},
        )

    def _reader(self, ledger: Ledger, kept: Callable[[], KeptFigures] | None, realtime: RealtimeCore | None) -> Reader:
        def grades() -> Grades | None:
            if realtime is None:
                return None
            seen = realtime.core.quality()
            return Grades(seen.poor, seen.total)

        cache, journal = self._config.cache, journal_directory(self._config)
        return Reader(
            ledger,
            now=time.monotonic,
            store=self.figures.store,
            origin=self.figures.origin,
            kept=lambda: None if kept is None else kept(),
            grades=grades,
            messages=lambda: None if realtime is None else realtime.core.stats.messages,
            journal=lambda: realtime is None or realtime.core.hub.journal_available,
            memory=self._memory,
            directories=[
                *([cache.dir] if cache.disk else []),
                *([self._config.outbox.dir] if kept is not None else []),
                *([journal] if realtime is not None and journal is not None else []),
            ],
        )
