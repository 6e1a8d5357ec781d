"""Sessions as the realtime core lists them, and a core full of them."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from proxy.dashboard.realtime import RealtimePages
from proxy.dashboard.realtime_api import RealtimeApi
from proxy.operations.failed_messages import PREFIX
from proxy.operations.flow import Flow
from proxy.operations.refusals import RefusedSessions
from proxy.operations.timeline import Timeline
from realtime.lookout import SessionLine
from realtime.quality import Grade
from tests.realtime.talking import Talking
from webui.auth import security
from webui.frame import Frame
from webui.pages import realtime

NOW = 1_800_000_000.0


def line(sid: str, *, users: Collection[str] = (), grade: Grade = "good", **changes: Any) -> SessionLine:
    """One session; what is not said is ordinary."""
    usual = {"transport": "websocket", "since": NOW - 60, "joined": 2, "rtt": None, "queued": 0, "slow": False}
    return SessionLine(sid=sid, users=users, grade=grade, **{**usual, "reports": 0, "messages": 0, **changes})


class RoomUnderView:
    """The realtime pages over a core without a network; `talking` None: without a core."""

    def __init__(self, talking: Talking | None) -> None:
        self.timeline = Timeline(lambda: NOW)
        self.refused: list[RefusedSessions] = []
        stand_in: Any = SimpleNamespace(
            core=talking and talking.core, disconnect=self._disconnect, refused=lambda: self.refused
        )
        self._talking = talking
        self.pages = RealtimePages(
            None if talking is None else stand_in,
            self.timeline,
            Flow(self._totals, lambda: 0.0 if talking is None else talking.seconds),
            now=lambda: NOW,
            endpoint=lambda: "http://127.0.0.1:8080/socket.io/",
        )

    def application(self) -> web.Application:
        app = web.Application(middlewares=security(None, ()))
        frame = Frame(app)
        RealtimeApi(self.pages).setup(app)
        realtime.setup(frame, self.pages, self.pages)
        return app

    def _disconnect(self, sid: str) -> bool:
        assert self._talking is not None
        return self._talking.core.disconnect(sid)

    def _totals(self) -> dict[str, float]:
        names = ("messages", "deliveries", "batches", "batch_messages")
        if self._talking is None:
            return dict.fromkeys(names, 0)
        stats = self._talking.core.stats
        failed = {f"{PREFIX}{why}": count for why, count in stats.messages_failed.items()}
        return {name: getattr(stats, name) for name in names} | failed
