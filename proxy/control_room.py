"""What operators have: figures, pages, and the levers behind them, put together around one running edge.

The composition root of the admin side: app.py builds the edge and hands its parts in; whatever watches or steers it
is made here. Besides the rooms of `dashboard` the only file that knows `webui`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from aiohttp import web

from proxy.access_log.series import access_log_series
from proxy.access_log.writer import AccessLog
from proxy.admin import AdminApi, Explain
from proxy.config.model import Config
from proxy.config.units import Address
from proxy.dashboard.cache import CacheSource
from proxy.dashboard.figures import Figures
from proxy.dashboard.overview import OverviewSource
from proxy.dashboard.routes import RoutesSource
from proxy.dashboard.traffic import TrafficSource
from proxy.operations.history import History, Sample
from proxy.operations.ledger import Ledger
from proxy.operations.metrics import KeptFigures, Metrics
from proxy.operations.process import process_series
from proxy.operations.pulse import Pulse
from proxy.operations.realtime import RealtimeFigures
from proxy.operations.timeline import Timeline
from proxy.outbox import Outbox
from proxy.purge import Listed
from proxy.purging import Purger
from proxy.realtime_core import RealtimeCore
from proxy.storage.tiers import Tiers
from proxy.upstream import Origin
from proxy.version import __version__
from webui.auth import security
from webui.frame import Frame
from webui.pages import cache, history, overview, routes, traffic


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
        outbox: Outbox | None,
        realtime: RealtimeCore | None,
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
    ) -> None:
        self._config = config
        self.timeline = Timeline(now)
        self.pulse = Pulse()
        self.figures = Figures(store, origin)
        self._api = AdminApi(
            metrics=Metrics(
                ledger,
                store=self.figures.store,
                origin=self.figures.origin,
                connections=connections,
                version=__version__,
                kept=kept,
                realtime=lambda: None if realtime is None else realtime.figures(),
                more=(
                    partial(process_series, self.pulse, tasks),
                    *(() if access_log is None else (partial(access_log_series, access_log),)),
                ),
            ),
            purger=purger,
            explain=explain,
            performance=performance,
            ready=ready,
            public_host=lambda: str(public_address()),
            listed=listed,
            outbox=outbox,
            realtime=realtime,
        )

        def public_url() -> str:
            return f"http://{public_address()}"

        self._cache = CacheSource(store, purger, self.timeline, now=now, public_url=public_url)
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
            )

        self.history = History(ledger, sample, now)
        self._watching: list[asyncio.Task[None]] = []
        self._traffic = TrafficSource(ledger, explain, public_url=public_url, public_host=lambda: str(public_address()))
        self._routes = RoutesSource(lambda: config, ledger, store.entries, ledger.now)
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
        )

    async def start(self) -> None:
        """Begin to watch: to be called when the edge serves."""
        self.pulse.start()
        self._watching.append(asyncio.create_task(self.history.keep(), name="history"))

    async def close(self) -> None:
        """Stop watching."""
        self.pulse.stop()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def application(self) -> web.Application:
        """The admin listener's application, with the API and all pages on it."""
        admin = self._config.admin
        app = web.Application(middlewares=security(admin.token, (admin.listen.host,)))
        self._api.setup(app)
        frame = Frame(app)
        self.streams = frame.streams
        overview.setup(frame, self._overview.overview)
        cache.setup(frame, self._cache.cache, self._cache)
        traffic.setup(frame, self._traffic.traffic, self._traffic)
        routes.setup(frame, self._routes.routes)
        history.setup(app, self.history.columns)
        return app


class Held:
    """The realtime figures, taken at most every two seconds: with thousands of sessions a look is no small thing."""

    EVERY = 2.0

    def __init__(self, figures: Callable[[], RealtimeFigures | None]) -> None:
        self._figures = figures
        self._held: RealtimeFigures | None = None
        self._until = float("-inf")

    def __call__(self) -> RealtimeFigures | None:
        if time.monotonic() >= self._until:
            self._held, self._until = self._figures(), time.monotonic() + self.EVERY
        return self._held
