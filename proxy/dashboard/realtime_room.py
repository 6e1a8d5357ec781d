"""All that operators have of the realtime core and of the performance report, put together: pages, API, series.

The trend and the rates are looked at every few seconds whether or not anybody asks, so that whoever opens the page
after an incident sees it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client.core import Metric

from proxy.dashboard.figures import Figures
from proxy.dashboard.realtime import RealtimePages
from proxy.dashboard.realtime_api import RealtimeApi
from proxy.operations.client_series import client_series
from proxy.operations.failed_messages import PREFIX
from proxy.operations.flow import Flow
from proxy.operations.ledger import Ledger
from proxy.operations.memory import Memory
from proxy.operations.performance_detail import Lag, Live, PerformanceDetail
from proxy.operations.pulse import Pulse
from proxy.operations.rounds import Rounds
from proxy.operations.timeline import Timeline
from proxy.realtime_core import RealtimeCore
from proxy.upstream import Origin
from webui.frame import Frame
from webui.pages import realtime as page


class RealtimeRoom:
    """`realtime` is None where the core is switched off."""

    def __init__(
        self,
        realtime: RealtimeCore | None,
        *,
        ledger: Ledger,
        figures: Figures,
        origin: Origin,
        most_connections: int,
        timeline: Timeline,
        pulse: Pulse,
        now: Callable[[], float],
        uptime: Callable[[], float],
        connections: Callable[[], int],
        endpoint: Callable[[], str],
        memory: Callable[[], Memory],
    ) -> None:
        self._realtime = realtime
        self._flow = Flow(self._totals, time.monotonic)
        self.pages = RealtimePages(realtime, timeline, self._flow, now=now, endpoint=endpoint)
        self._api = RealtimeApi(self.pages)
        self.performance = PerformanceDetail(
            ledger,
            uptime=uptime,
            connections=connections,
            store=figures.store,
            origin=lambda: origin.health,
            most_connections=most_connections,
            flow=self._flow,
            live=self._live,
            lag=lambda: Lag(pulse.lag, pulse.largest),
            memory=memory,
        )
        look = () if realtime is None else (realtime.core.lookout.census,)
        self._rounds = Rounds(self._flow.note, *look)

    def start(self) -> None:
        """Begin to look around: when the edge serves."""
        self._rounds.start()

    def stop(self) -> None:
        self._rounds.stop()

    def series(self) -> Iterable[Metric]:
        """What browsers report, and who is slow; nothing where the core is switched off."""
        return () if self._realtime is None else client_series(self._realtime.core.lookout.census())

    def setup(self, app: web.Application, frame: Frame) -> None:
        """Register API and pages."""
        self._api.setup(app)
        page.setup(frame, self.pages, self.pages)

    def _live(self) -> Live | None:
        if self._realtime is None:
            return None
        core = self._realtime.core
        conversations = sum(1 for _ in core.chat.signs.conversations())
        return Live(core.lookout.census(), core.figures(), conversations, core.lookout.trend())

    def _totals(self) -> dict[str, float]:
        totals = {"cpu": time.process_time()}
        if self._realtime is not None:
            stats = self._realtime.core.stats
            for name in ("messages", "deliveries", "batches", "batch_messages"):
                totals[name] = getattr(stats, name)
            totals |= {f"{PREFIX}{reason}": count for reason, count in stats.messages_failed.items()}
        return totals
