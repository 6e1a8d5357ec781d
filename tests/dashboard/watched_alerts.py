"""A real watch over alerts with its page, and readings that a test sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from proxy.config.alerts import Alerts as Settings
from proxy.dashboard.alerts import AlertsSource
from proxy.operations.alerting import AlertWatch
from proxy.operations.kept_changes import KeptChanges
from proxy.operations.ledger import Ledger
from proxy.operations.memory import Budget, Memory
from proxy.operations.metrics import OriginFigures, StoreFigures
from proxy.operations.readings import Reader, Readings
from proxy.operations.timeline import Timeline
from proxy.operations.webhook import Webhook
from webui.auth import security
from webui.frame import Frame
from webui.login import Login
from webui.pages import alerts, cache, overview
from webui.pages import login as login_page

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

QUICK = {"rules": {"memory": {"for": "2s", "resolve_after": "2s"}, "origin_down": {"for": "2s"}}}


class Watched:
    """A watch, its page, and the readings that a test sets."""

    def __init__(self, edge: EdgeUnderView, settings: dict[str, Any], file: Path | None) -> None:
        self._edge = edge
        self.now = 1_800_000_000.0
        self.readings = Readings(memory=0.2, error_ratio=0.0, origin_down=0.0)
        self.timeline = Timeline(lambda: self.now)
        configured = Settings.model_validate(settings)
        self.watch = AlertWatch(
            configured,
            lambda: self.readings,
            self.timeline,
            now=lambda: self.now,
            kept=None if file is None else KeptChanges(file),
        )
        self.webhook = Webhook(configured.webhook, now=lambda: self.now, rule=self.watch.alerts.rule)
        self.watch.subscribe(self.webhook.tell)
        reader = Reader(
            Ledger(lambda: self.now),
            now=lambda: self.now,
            store=StoreFigures,
            origin=OriginFigures,
            memory=lambda: Memory(400 * 2**20, Budget(2**29, "cgroup")),
        )
        reader.sample()
        self.source = AlertsSource(self.watch, self.webhook, reader)
        self.see()

    def see(self, seconds: int = 1, **readings: float | None) -> None:
        self.readings = replace(self.readings, **readings)
        for _ in range(seconds):
            self.watch.look()
            self.now += 1

    def application(self, *allowed_hosts: str, login: Login | None = None) -> web.Application:
        app = web.Application(middlewares=security(None, allowed_hosts, login=login))
        frame = Frame(app)
        if login is not None:
            login_page.setup(frame, login)
        overview.setup(frame, self._edge.overview)
        cache.setup(frame, self._edge.cache, self._edge)
        alerts.setup(frame, self.source.shown, self.source.firing, self.source)
        return app
