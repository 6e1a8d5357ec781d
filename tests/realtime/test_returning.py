"""Clients of a hub that lose their connections, seen and unseen, while it is sent to and restarted: whoever is told
that it has recovered has heard everything, once and in order.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.hub import Hub, Socket
from realtime.journal import Journal
from realtime.settings import HubSettings, RecoverySettings
from realtime.stats import RealtimeStats
from tests.realtime.wire import Wire, turns

ROOMS = ("cars", "boats")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from((*ROOMS, "both", "all"))),
        st.tuples(st.just("toggle"), st.integers(0, 2), st.sampled_from(ROOMS)),
        st.tuples(st.sampled_from(("drop", "cut off", "hear", "return")), st.integers(0, 2)),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


class Browser:
    """A client as its user sees it. `due` is what was sent to it since it was last told that it is new."""

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.auth: dict[str, Any] = {}
        self.rooms: set[str] = set()
        self.due: list[int] = []
        self.heard: list[int] = []
        self.recoveries = 0

    def connect(self, hub: Hub) -> None:
        self.wire = Wire(hub)
        known = self.wire.enter(**self.auth)
        if known["pid"] == self.auth.get("pid"):
            self.recoveries += 1
        else:
            self.auth["pid"] = known["pid"]
            self.rooms, self.due, self.heard = set(), [], []

    def hear(self) -> None:
        """Take what has arrived, and remember its offset."""
        for message in self.wire.taken() if self.wire else ():
            _, number, offset = Wire.event(message)
            self.heard.append(number)
            self.auth["offset"] = offset

    @property
    def id(self) -> str:
        return str(self.auth["pid"]).partition(".")[0]


class World:
    """A hub that is restarted now and then, and three browsers."""

    def __init__(self, directory: Path, recovery: RecoverySettings) -> None:
        self.directory = directory
        self.recovery = recovery
        self.browsers = [Browser() for _ in range(3)]
        self.sent = 0

    async def start(self) -> None:
        self.hub = Hub(HubSettings(recovery=self.recovery), RealtimeStats(), journal=Journal(self.directory))
        self.root = self.hub.namespace()
        await self.hub.start()

    async def do(self, what: str, *args: Any) -> None:
        match what, args:
            case "send", (str(where),):
                self.send(where)
            case "toggle", (int(who), str(room)):
                self.toggle(self.browsers[who], room)
            case "restart", ():
                await self.restart()
            case _, (int(who),):
                await self.move(self.browsers[who], what)

    def send(self, where: str) -> None:
        self.sent += 1
        rooms = {"both": ROOMS, "all": None}.get(where, (where,))
        self.root.emit(rooms, "number", self.sent)
        for browser in self.browsers:
            if browser.auth and (rooms is None or not browser.rooms.isdisjoint(rooms)):
                browser.due.append(self.sent)

    def toggle(self, browser: Browser, room: str) -> None:
        socket: Socket | None = self.root.sockets.get(browser.id) if browser.auth else None
        if socket is None:
            return
        (socket.leave if room in browser.rooms else socket.join)(room)
        browser.rooms ^= {room}

    async def move(self, browser: Browser, what: str) -> None:
        match what:
            case "drop" if browser.wire is not None:
                browser.wire.drop()
                browser.wire = None
                await turns()
            case "cut off":
                browser.wire = None  # nobody tells the server
            case "hear":
                browser.hear()
            case "return" if browser.wire is None:
                browser.connect(self.hub)
                await turns()

    async def restart(self) -> None:
        for browser in self.browsers:
            browser.wire = None
        await self.hub.close()
        await self.start()


async def live(world: World, what_happens: list[tuple[Any, ...]]) -> None:
    await world.start()
    for step in what_happens:
        await world.do(*step)
    for browser in world.browsers:
        if browser.wire is None:
            browser.connect(world.hub)
        browser.hear()
        assert browser.heard == browser.due
    await world.hub.close()


@given(steps)
@settings(max_examples=100, deadline=None)
def test_who_recovers_has_missed_nothing_and_hears_nothing_twice(what_happens: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), RecoverySettings())
        asyncio.run(live(world, what_happens))
        returns = sum(browser.recoveries for browser in world.browsers)
        assert world.hub.stats.recovery_failed == 0
        assert returns >= world.hub.stats.recovered


@given(steps)
@settings(max_examples=50, deadline=None)
def test_also_when_little_is_kept(what_happens: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(World(Path(directory), RecoverySettings(packets=2, sessions=2)), what_happens))
