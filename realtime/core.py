"""The realtime core as one object: what an edge builds, starts, asks, drains and closes.

The rule of this room: it puts the parts together and translates; what happens in a conversation is in `chat`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from realtime.authentication import authentication
from realtime.chat import Chat
from realtime.hub import Hub
from realtime.origin import Ask, Origin
from realtime.publishing import Publication
from realtime.settings import ChatSettings, CoreSettings
from realtime.stats import RealtimeStats
from realtime.transport import EngineServer

PurgeTags = Callable[[Sequence[str]], Awaitable[int]]


class Core:
    """One hub with its chat. `ask` reaches the application; without it nothing is asked.

    `now` is monotonic, `wall` the time of day, both in seconds. `journal_path` keeps what may have to be replayed
    across a restart; without it recovery ends with the process. `purge_tags` takes the tags of a publication and
    returns how many stored responses it touched.
    """

    def __init__(
        self,
        settings: CoreSettings,
        *,
        ask: Ask | None = None,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        journal_path: Path | None = None,
        purge_tags: PurgeTags | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(12),
    ) -> None:
        """Raises AuthenticationUnavailable when the settings ask for what is not installed."""
        raise NotImplementedError

    engine: EngineServer
    hub: Hub
    chat: Chat
    stats: RealtimeStats

    async def start(self) -> None:
        """Read the journal and begin to serve. Raises OSError when the journal cannot be had."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Everything below the core's path."""
        return await self.engine.handle(request)

    async def publish(self, publication: Publication | Mapping[str, Any]) -> dict[str, Any]:
        """Tell the subscribers of a channel: `{channel, event?, data?, key?, purge_tags?}`.

        Returns `{"sessions": n, "purged": n}`. Raises BadPublication (a ValueError) with a sentence for its author.
        """
        raise NotImplementedError

    async def drain(self, seconds: float) -> None:
        """Take no new sessions, finish the batches under way, and send everybody elsewhere within `seconds`."""

    async def close(self) -> None:
        """End at once what is left; what recovery knows is on disk afterwards."""

    def apply(self, settings: ChatSettings) -> None:
        """Use other settings from now on, as a preset does: batching, typing, channels, limits."""

    def forget_profiles(self) -> None:
        """Load every profile anew when it is next needed."""

    def sessions(self, most: int = 200) -> list[dict[str, Any]]:
        """The sessions for a dashboard: sid, transport, peer, users, rooms, rtt (seconds), quality, queued (bytes)."""
        raise NotImplementedError

    def conversations(self, most: int = 200) -> list[dict[str, Any]]:
        """The conversations for a dashboard: id, members, online, waiting, batches, messages."""
        raise NotImplementedError

    def disconnect(self, sid: str) -> bool:
        """End one session for good (its client does not come back by itself); whether it was there."""
        raise NotImplementedError
