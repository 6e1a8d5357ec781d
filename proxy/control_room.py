"""What operators have: figures, pages, and the levers behind them, put together around one running edge.

The composition root of the admin side: app.py builds the edge and hands its parts in; whatever watches or steers it
is made here. Besides the rooms of `dashboard` the only file that knows `webui`.
"""

from __future__ import annotations

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
from proxy.dashboard.realtime_room import RealtimeRoom
from proxy.operations.ledger import Ledger
from proxy.operations.metrics import KeptFigures, Metrics
from proxy.operations.process import process_series
from proxy.operations.pulse import Pulse
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
from webui.pages import cache, overview


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
                more=(
                    partial(process_series, self.pulse, tasks),
                    self.realtime_room.series,
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
            outbox=outbox,
            realtime=realtime,
        )

        def public_url() -> str:
            return f"http://{public_address()}"

        self._cache = CacheSource(store, purger, self.timeline, now=now, public_url=public_url)
        self._overview = OverviewSource(
            config,
            ledger=ledger,
            figures=self.figures,
            origin=origin,
            now=now,
            connections=connections,
            public_url=public_url,
            kept=kept,
        )

    async def start(self) -> None:
        """Begin to watch: to be called when the edge serves."""
        self.pulse.start()
        self.realtime_room.start()

    async def close(self) -> None:
        """Stop watching."""
        self.realtime_room.stop()
        self.pulse.stop()

    def application(self) -> web.Application:
        """The admin listener's application, with the API and all pages on it."""
        admin = self._config.admin
        app = web.Application(middlewares=security(admin.token, (admin.listen.host,)))
        self._api.setup(app)
        frame = Frame(app)
        overview.setup(frame, self._overview.overview)
        cache.setup(frame, self._cache.cache, self._cache)
        self.realtime_room.setup(app, frame)
        return app
