"""The realtime core as one object: what an edge builds, starts, asks, drains and closes.

The rule of this room: it puts the parts together and translates; what happens in a conversation is in `chat`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from aiohttp import web

from realtime.authentication import authentication
from realtime.chat import Chat
from realtime.connection import Caller
from realtime.hub import Hub
from realtime.journal import Journal
from realtime.lookout import Lookout
from realtime.member import CHANNEL, Member
from realtime.names import Names
from realtime.origin import Ask, Origin, OriginAway
from realtime.profiles import Fetch, Profiles
from realtime.publishing import Lookup, Publication, PurgeTags, parse_publication
from realtime.quality import Distribution, Trend
from realtime.repeats import KIND, Repeats
from realtime.revocation import parse_revocation
from realtime.settings import ChatSettings, CoreSettings
from realtime.stats import RealtimeStats
from realtime.transport import EngineServer

LOG_PAUSE = 60.0
"""Seconds in which further failures to load profiles, or likes, are not logged."""

_log = logging.getLogger("cachewire.realtime")


class Core:
    """One hub with its chat. `ask` reaches the application; without it nothing is asked.

    `now` is the loop's clock, `wall` the time of day, both in seconds. `journal_path` is a directory for what may have
    to be replayed after a restart; without it recovery ends with the process. `purge_tags` takes the tags of a
    publication and returns how many stored responses it touched.
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
        new_id: Callable[[], str] | None = None,
    ) -> None:
        """Raises AuthenticationUnavailable when the settings ask for what is not installed."""
        self.settings = settings
        self.stats = RealtimeStats()
        self.trend = Trend()
        recovery = settings.hub.recovery
        journal = None
        if journal_path is not None and recovery is not None:
            journal = Journal(journal_path, keep=recovery.window)
        self.hub = Hub(settings.hub, self.stats, journal=journal, now=now, wall=wall)
        self.engine = EngineServer(settings.engine, self.hub.opened, self.stats)
        self._now = now
        repeats = Repeats(wall=wall() - now())
        repeats.note = self.hub.keep(KIND, repeats)
        origin = None if ask is None else Origin(ask, settings.origin, stats=self.stats, now=now)
        asked = settings.origin
        self._profiles = self._loader(origin.profiles if origin is not None and asked.profiles else None, "profiles")
        self._likes = self._loader(origin.likes if origin is not None and asked.likes else None, "likes")
        self.chat = Chat(
            self.hub.namespace("/"),
            settings.chat,
            authentication=authentication(settings.authentication, origin, now=now, wall=wall),
            origin=origin,
            repeats=repeats,
            profiles=_forgiving(self._profiles, asked.wait_for_profiles),
            likes=_forgiving(self._likes, asked.wait_for_profiles, anew=True),
            own_profile=_forgiving(self._profiles, asked.wait_for_own_profile),
            settled=None if journal is None else self.hub.settled,
            write_now=self.hub.write_now,
            purge_tags=purge_tags,
            silence=self.engine.silence,
            ears=self.engine.resting,
            stats=self.stats,
            now=now,
            wall=lambda: _timestamp(wall()),
            clock=wall,
            returns_within=0.0 if recovery is None else recovery.window,
            new_id=new_id or Names(),
        )
        self.lookout = Lookout(self.chat, self.trend, now)

    async def start(self) -> None:
        """Read the journal. Raises OSError when it cannot be had."""
        await self.hub.start()
        self.chat.remember()

    async def handle(self, request: web.BaseRequest, caller: Caller | None = None) -> web.StreamResponse:
        """Everything below the core's path."""
        return await self.engine.handle(request, caller)

    async def publish(self, publication: Publication | Mapping[str, Any]) -> dict[str, Any]:
        """Tell the subscribers of a channel: `{channel, event, data, key?, purge_tags?}`.

        Returns `{"sessions": n, "purged": n, "durable": bool}`; what is durable, who is away gets even if the process
        is killed now. Raises BadPublication (a ValueError) with a sentence for its author.
        """
        if not isinstance(publication, Publication):
            publication = parse_publication(publication)
        purged = await self.chat.publisher.publish(publication)
        durable = await self.hub.settled()
        return {"sessions": self.chat.subscribers(publication.channel), "purged": purged, "durable": durable}

    async def revoke(self, document: object) -> int:
        """End a user, or its part in a conversation: `{user, conversation?}`. Returns how many sessions lose it, those
        that may return included, when no restart gives it back. Raises BadRevocation (a ValueError) with a sentence for
        its author.
        """
        sessions = self.chat.participation.revoke(parse_revocation(document, self.chat.settings.limits))
        await self.hub.settled()
        return sessions

    def tell(self, publication: Publication) -> None:
        """Publish without waiting and without tags to purge: what the edge itself has to say."""
        self.chat.publisher.tell(publication)

    def reaches(self, channel: str) -> bool:
        """Whether anybody who subscribed, here or away, would hear what is published on a channel now."""
        return self.hub.namespace("/").reaches(CHANNEL + channel)

    async def settle(self, patience: float = 5.0) -> None:
        """Finish the batches under way; the sessions, and new ones, are served meanwhile and afterwards.

        Messages that come from now on are refused. What the application has not taken after `patience` seconds is
        refused as well. Whoever does not hear of it any more will when it recovers.
        """
        try:
            async with asyncio.timeout(patience):
                await self.chat.drain()
        except TimeoutError:
            _log.warning("messages still wait for the application: they are refused, and their senders told so")
            await self.chat.give_up()
        await self.hub.settled()

    async def drain(self, seconds: float, *, patience: float = 5.0) -> None:
        """`settle`, then take no new sessions and send everybody elsewhere within `seconds`."""
        await self.settle(patience)
        await self.engine.drain(seconds)

    async def close(self) -> None:
        """End at once what is left; what recovery knows is on disk afterwards."""
        await self.engine.close()
        await self.chat.close()
        for loader in (self._profiles, self._likes):
            if loader is not None:
                await loader.close()
        await self.hub.close()

    def apply(self, settings: ChatSettings) -> None:
        """Use other settings from now on, as a preset does: batching, typing, channels, limits."""
        self.chat.apply(settings)

    def admit(self, *, transports: tuple[str, ...], compression: int | None) -> None:
        """Let other transports and another threshold of compression hold for connections that begin from now on."""
        self.engine.admit(transports=transports, compression=compression)

    def remember_profiles(self, seconds: float) -> None:
        """Use profiles for so long, those that are at hand already included."""
        if self._profiles is not None:
            self._profiles.ttl = seconds

    def forget_profiles(self) -> None:
        """Load every profile, and all likes, anew when they are next needed."""
        for loader in (self._profiles, self._likes):
            if loader is not None:
                loader.clear()

    def figures(self) -> RealtimeStats:
        """The statistics, with what others count brought in."""
        loaders = [loader for loader in (self._profiles, self._likes) if loader is not None]
        self.stats.profiles_hits = sum(loader.hits for loader in loaders)
        self.stats.profiles_misses = sum(loader.misses for loader in loaders)
        self.stats.profile_requests = sum(loader.requests for loader in loaders)
        self.stats.recovery_forgotten = self.hub.forgotten
        self.stats.recovery_given_up = self.hub.given_up
        return self.stats

    def quality(self) -> Distribution:
        """How many sessions are excellent, good and poor now; the look is added to `trend`."""
        return self.lookout.census().quality

    def users(self) -> int:
        """How many users are authenticated, counted once for each connection."""
        return self.lookout.census().users

    def sessions(self, most: int = 200) -> list[dict[str, Any]]:
        """The sessions for a dashboard: sid, transport, peer, users, what they joined, rtt (seconds), quality."""
        return [self._session(member) for member in islice(self.chat.members.values(), most)]

    def conversations(self, most: int = 200) -> list[dict[str, Any]]:
        """The conversations for a dashboard, the largest first: id, sessions, online, waiting."""
        online = sorted(self.chat.signs.conversations(), key=lambda each: -each[1])[:most]
        return [
            {
                "id": conversation,
                "sessions": self.chat.audience.size(conversation),
                "online": users,
                "waiting": self.chat.conversations.waiting(conversation),
            }
            for conversation, users in online
        ]

    def disconnect(self, sid: str) -> bool:
        """End one session for good: its client is told not to come back by itself. Whether it was there."""
        members = [member for member in self.chat.members.values() if member.socket.connection.sid == sid]
        for member in members:
            member.socket.disconnect(close=True)
        connection = self.engine.sessions.get(sid)
        if connection is not None and not members:
            connection.close("server-disconnect")
        return connection is not None or bool(members)

    def reconnect(self, sid: str) -> bool:
        """Close one session's connection so that its client comes back, and gets what it misses meanwhile. Whether it
        was there.
        """
        connection = self.engine.sessions.get(sid)
        if connection is not None:
            connection.close("reconnect")
        return connection is not None

    def _session(self, member: Member) -> dict[str, Any]:
        connection = member.socket.connection
        return {
            "sid": connection.sid,
            "transport": connection.transport,
            "peer": connection.handshake.peer,
            "since": connection.handshake.at,
            "users": list(member.users),
            "conversations": len(member.conversations),
            "channels": len(member.channels),
            "rtt": connection.round_trip,
            "quality": self.chat.grade(member),
            "recovered": member.socket.recovered,
            "reported": None if member.report is None else asdict(member.report),
        }

    def _loader(self, fetch: Fetch | None, what: str) -> Profiles | None:
        if fetch is None:
            return None
        return Profiles(_telling(fetch, what, self._now), now=self._now, ttl=self.settings.origin.remember_profiles)


def _forgiving(loader: Profiles | None, patience: float, *, anew: bool = False) -> Lookup | None:
    """A lookup that gives what it has when the application is slow: no message waits for a picture of its sender.

    With `anew` it asks for each: a publication about a thing says that its likes may have changed.
    """
    if loader is None:
        return None

    async def look_up(ids: Sequence[str]) -> Mapping[str, Any]:
        return await loader.at_hand(ids, patience, anew=anew)

    return look_up


def _telling(fetch: Fetch, what: str, now: Callable[[], float]) -> Fetch:
    """The same, telling the log of a failure now and then."""
    told = float("-inf")

    async def ask(ids: Sequence[str]) -> Mapping[str, Any]:
        nonlocal told
        try:
            return await fetch(ids)
        except Exception as error:
            if now() >= told + LOG_PAUSE:
                told = now()
                trace = None if isinstance(error, OriginAway) else error
                _log.warning("%s could not be loaded: %s", what, error, exc_info=trace)
            raise

    return ask


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
