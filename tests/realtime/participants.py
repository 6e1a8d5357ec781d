"""A core whose clients may return, with an application that knows users by their tokens and says who takes part."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from realtime.core import Core
from realtime.origin import OriginAway
from realtime.settings import AuthenticationSettings, ChannelRule, ChatSettings, CoreSettings, OriginSettings
from tests.realtime.talking import Answer, Talker, Talking, answer
from tests.realtime.wire import turns

SECRET = "a shared secret that is long enough for every algorithm, SHA-512 included"
WALL = 1_800_000_000.0


class Application:
    """Knows users by tokens `for-<user>` (and what follows a dot). `parts` are those who have one, by conversation."""

    def __init__(self) -> None:
        self.parts: dict[str, set[str]] = {"7": {"anna", "ben", "bob"}, "A": {"anna"}, "B": {"ben"}}
        self.away = False
        self.redirects = False
        """Whether every question is answered with the way to a login page."""
        self.logged_out: set[str] = set()
        """Users whose session has ended, and with it every consent."""
        self.ended: set[str] = set()
        """Tokens that are no good any more."""
        self.silence: asyncio.Event | None = None
        """While it is not set, nothing is answered."""
        self.holding: dict[str, asyncio.Event] = {}
        """Tokens that are no good any more, and when it is said."""
        self.asked: list[tuple[str, str, str]] = []

    async def __call__(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, *_: object
    ) -> Answer:
        token = dict(fields).get("Authorization", "").removeprefix("Bearer ")
        self.asked.append((method, target, token))
        if self.away:
            raise OriginAway("away")
        if self.redirects:
            return answer(status=302)
        if self.silence is not None:
            await self.silence.wait()
        if token in self.holding and target.startswith("/may/"):
            await self.holding[token].wait()
            return answer(status=401)
        user = token.removeprefix("for-").partition(".")[0]
        if user in self.logged_out or token in self.ended:
            return answer(status=401)
        if target == "/session":
            return answer({"user": {"id": user} if user else None})
        conversation = target.split("/")[2]
        return answer(status=200 if user in self.parts.get(conversation, ()) else 403)

    def consents(self) -> list[tuple[str, str]]:
        """Which conversations were asked about, and with which tokens, since the last look."""
        asked = [(target.split("/")[2], token) for _, target, token in self.asked if target.startswith("/may/")]
        self.asked.clear()
        return asked


class Slow(Application):
    """Lets everybody in, once `may` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def __call__(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, *_: object
    ) -> Answer:
        await self.may.wait()
        return answer()


class World:
    """A core with recovery, and its clients."""

    def __init__(
        self, application: Application, settings: CoreSettings, journal: Path | None, after: float = 0.0
    ) -> None:
        self.application = application
        self.ahead = 0.0  # seconds by which the time of day was put forward
        self.talking = Talking(settings, application)
        begun = self.talking.seconds
        self.talking.seconds += after
        self.talking.core = Core(
            settings,
            ask=application,
            now=lambda: self.talking.seconds,
            wall=lambda: WALL + self.ahead + self.talking.seconds - begun,
            journal_path=journal,
        )
        self.core = self.talking.core
        self._count = 0

    def arrive(self, **auth: Any) -> Talker:
        self._count += 1
        talker = Talker(self.core.hub, f"engine-{self._count}", {})
        talker.welcome = talker.enter(**auth)  # type: ignore[attr-defined]
        return talker

    async def come(self, *users: str, joins: str = "", **auth: Any) -> Talker:
        talker = self.arrive(**auth)
        for user in users:
            assert (await talker.ask("authenticate", {"token": f"for-{user}"}))["ok"]
        for conversation in joins:
            assert (await talker.ask("join_conversation", conversation))["ok"]
        return talker

    async def back(self, talker: Talker, *, drop: bool = True, waits: bool = False, **auth: Any) -> Talker:
        """The same client on another connection, with all that it has heard; `waits` for an answer that is not yet
        given.
        """
        if drop:
            talker.drop()
            await turns()
        welcome: dict[str, Any] = talker.welcome  # type: ignore[attr-defined]
        offsets = [m[-1] for m in map(talker.event, self._events(talker)) if isinstance(m[-1], str) and "." in m[-1]]
        self._count += 1
        again = Talker(self.core.hub, f"engine-{self._count}", {})
        again.say("0" + json.dumps({"pid": welcome["pid"], **({"offset": offsets[-1]} if offsets else {}), **auth}))
        if waits:
            return again
        await turns(20)
        again.welcome = again.welcomed()  # type: ignore[attr-defined]
        assert again.welcome["sid"] == welcome["sid"], "it has recovered"  # type: ignore[attr-defined]
        await turns(20)
        return again

    @staticmethod
    def _events(talker: Talker) -> list[str]:
        return [m for m in talker.sent if isinstance(m, str) and m.startswith("2")]


@asynccontextmanager
async def world(
    application: Application | None = None,
    journal: Path | None = None,
    auth: str = "origin",
    after: float = 0.0,
    **origin: Any,
) -> AsyncIterator[World]:
    asks = {"session": "/session", "authorize": "/may/{conversation}", **origin}
    signed = {"key": SECRET, "algorithms": ("HS256",)} if auth == "jwt" else {}
    settings = CoreSettings(
        chat=ChatSettings(channels=(ChannelRule("news"), ChannelRule("user:{user}"), ChannelRule("of:{user}"))),
        origin=OriginSettings(**asks),
        authentication=AuthenticationSettings(kind=auth, **signed),  # type: ignore[arg-type]
    )
    found = World(application or Application(), settings, journal, after)
    await found.core.start()
    try:
        yield found
    finally:
        await found.core.close()
