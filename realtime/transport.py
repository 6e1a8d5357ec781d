"""The server of Engine.IO sessions: which request begins one, which belongs to one, which is refused; time and the end.

engine = EngineServer(settings, opened, stats)
... await engine.handle(request) for every request of its path ...
await engine.drain(10.0)
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from aiohttp import web

from realtime.addresses import place_of
from realtime.admission import PATIENCE, Admission, Refused
from realtime.connection import Caller, Connection, Handshake, Opened, Receiver
from realtime.cross_site import is_same_host, may_connect
from realtime.engineio import PROTOCOL, Refusal, Session, State, open_packet
from realtime.frames import Outgoing
from realtime.polling import Bodies, Ended, answer, answer_get, answer_post, refusal
from realtime.refused import Newcomers
from realtime.resting import Resting
from realtime.session import Carrier, EngineSession
from realtime.settings import TRANSPORTS, EngineSettings
from realtime.stats import RealtimeStats, count
from realtime.timeouts import Timeouts
from realtime.upgrading import acceptance, deflate_accepted, is_websocket
from realtime.websocket import TakenWebSocket, take_over

__all__ = ["Connection", "EngineServer", "Handshake", "Opened", "Receiver"]

_RETRY_AFTER = 5
_PARTING = 0.1
"""Seconds that a WebSocket may take to close when the server does: its successor waits, and all clients with it."""

_LINGER = 30.0
"""Seconds that last words wait for a client of long-polling."""

_PARTING_AT_ONCE = 1000
"""How many sessions wait so; beyond it the oldest is forgotten."""

INBOX = 2**13
"""Bytes that are read of one WebSocket before others have their turn; asyncio's 256 KiB may be 40,000 frames."""

_FLOODS = ("flood", "ping-flood")

_NOT_KEPT = ("connection", "upgrade", "accept-encoding", "content-length", "content-type")


class EngineServer:
    """All sessions of one path. `opened` is called for each new one, and gives its receiver."""

    def __init__(
        self,
        settings: EngineSettings,
        opened: Opened,
        stats: RealtimeStats,
        *,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(15),
    ) -> None:
        self.settings = settings
        self.stats = stats
        self.inbox = memoryview(bytearray(INBOX))
        self._opened = opened
        self._new_id = new_id
        self._sessions: dict[str, EngineSession] = {}
        self._bodies = Bodies(settings.ping_timeout)
        self._admission: Admission[EngineSession] = Admission(settings)
        self.refused = Newcomers()
        self._lingering: dict[str, EngineSession] = {}
        self.resting = Resting(lambda: self.loop)
        self._carriers: set[Carrier] = set()
        self._carriers_gone = asyncio.Event()
        self._sessions_gone = asyncio.Event()
        self._pings: Timeouts[EngineSession] = Timeouts()
        self._pongs: Timeouts[EngineSession] = Timeouts()
        self._alarm: asyncio.TimerHandle | None = None
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sessions: Mapping[str, Connection] = MappingProxyType(self._sessions)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the first request came on."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    @property
    def connections(self) -> int:
        """WebSockets, whatever has become of their sessions; a session that polls has none of its own."""
        return len(self._carriers)

    def silence(self, sid: str) -> float:
        """Seconds for which this session's client has owed a sign of life; 0 when it owes none."""
        session = self._sessions.get(sid)
        return 0.0 if session is None else session.machine.silence(self.loop.time())

    async def handle(self, request: web.BaseRequest, caller: Caller | None = None) -> web.StreamResponse:
        """Answer any request of the path: a handshake, a session's GET or POST, a preflight, a WebSocket."""
        caller = caller or Caller()
        origin = request.headers.get("Origin")
        if not may_connect(origin, request.headers.get("Host", ""), self.settings.allowed_origins):
            return self._refused(Refusal.FORBIDDEN, status=403)
        if request.method == "OPTIONS":
            response: web.StreamResponse = web.Response(status=204)
        else:
            response = await self._answered(request, caller)
        if not response.prepared and not isinstance(response, Ended):
            response.headers.update(self._headers(request, caller))
        return response

    async def _answered(self, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        transport, sid = request.query.get("transport"), request.query.get("sid")
        websocket = is_websocket(request)
        if not self._is_allowed(transport, begins=sid is None or websocket):
            return self._refused(Refusal.TRANSPORT)
        if request.query.get("EIO") != PROTOCOL:
            return self._refused(Refusal.PROTOCOL)
        if request.method not in ("GET", "POST") or (request.method == "POST" and (sid is None or websocket)):
            return self._refused(Refusal.METHOD)
        if websocket is not (transport == "websocket"):
            return self._refused(Refusal.REQUEST)
        if sid is None:
            return await self._begin(request, caller, websocket=websocket)
        session = self._found(sid)
        if session is None and request.method == "GET" and not websocket:
            session = self._parting(sid)
        if session is None:
            return self._refused(Refusal.SESSION)
        if websocket:
            return self._upgrade(request, caller, session)
        if session.transport != "polling":
            return self._refused(Refusal.REQUEST)
        if request.method == "POST":
            return await answer_post(session, request, self._bodies, self.settings, self.stats)
        return await answer_get(session, request, self._headers(request, caller))

    def _found(self, sid: str) -> EngineSession | None:
        """The session of that name, unless its time is over, however late the timer that should have noticed."""
        session = self._sessions.get(sid)
        if session is not None:
            session.beat(self.loop.time())
        return session if session is not None and session.is_open else None

    def _parting(self, sid: str) -> EngineSession | None:
        """The session of that name that has ended and still has something to say."""
        session = self._lingering.get(sid)
        if session is not None and not session.has_last_words:
            del self._lingering[sid]
            return None
        return session

    def admit(self, *, transports: tuple[str, ...], compression: int | None) -> None:
        """Let other transports, and another threshold of compression, hold for connections that begin from now on.

        Sessions that poll go on polling, whatever newcomers may do.
        """
        self.settings = replace(self.settings, transports=transports, compression=compression)

    def _is_allowed(self, transport: str | None, *, begins: bool) -> bool:
        return transport in (self.settings.transports if begins else TRANSPORTS)

    # Beginning

    async def _begin(self, request: web.BaseRequest, caller: Caller, *, websocket: bool) -> web.StreamResponse:
        """A new session, when it is its turn and there is room."""
        handshake = _handshake(request, caller.address)
        place = place_of(handshake.peer)
        wait = self._admission.wait(place, self.loop.time())
        if wait is None:
            return self._turned_away("handshakes", place)
        if wait:
            await asyncio.sleep(wait)
            if request.transport is None:
                return Ended()
        why = "draining" if self._draining else self._admission.refusal(place, self.loop.time())
        if why is not None:
            return self._turned_away(why, place)
        while (silent := self._admission.in_the_way(place, self.loop.time())) is not None:
            silent.close("gave-way")
        return self._open_websocket(request, caller, handshake) if websocket else self._open_polling(handshake)

    def _turned_away(self, why: Refused, place: str) -> web.Response:
        count(self.stats.sessions_refused, why)
        self.refused.note(why, place, self.loop.time())
        too_fast = why == "handshakes"
        response = refusal(Refusal.REQUEST, status=429 if too_fast else 503, why=why)
        response.headers["Retry-After"] = str(math.ceil(PATIENCE) if too_fast else _RETRY_AFTER)
        return response

    def _open_polling(self, handshake: Handshake) -> web.StreamResponse:
        session = self._session(handshake, State.POLLING, None)
        upgrades = ("websocket",) if "websocket" in self.settings.transports else ()
        session.open(self._opened)
        return answer(self._open_packet(session, upgrades).payload)

    def _open_websocket(self, request: web.BaseRequest, caller: Caller, handshake: Handshake) -> web.StreamResponse:
        websocket = self._taken(request, caller)
        if not isinstance(websocket, TakenWebSocket):
            return websocket
        session = self._session(handshake, State.WEBSOCKET, websocket)
        websocket.begin(session, self._open_packet(session, ()))
        session.open(self._opened)
        websocket.feed_tail()
        return Ended(101)

    def _upgrade(self, request: web.BaseRequest, caller: Caller, session: EngineSession) -> web.StreamResponse:
        websocket = self._taken(request, caller)
        if not isinstance(websocket, TakenWebSocket):
            return websocket
        if session.probe(websocket):
            websocket.begin(session)
            self.loop.call_later(self.settings.upgrade_timeout, _give_up, session, websocket)
            websocket.feed_tail()
        else:
            count(self.stats.invalid, "second-upgrade")
            websocket.begin(None)
            websocket.close("session-taken")
        return Ended(101)

    def _taken(self, request: web.BaseRequest, caller: Caller) -> TakenWebSocket | web.StreamResponse:
        accept = acceptance(request)
        if accept is None:
            response = self._refused(Refusal.REQUEST)
            response.headers["Sec-WebSocket-Version"] = "13"
            return response
        deflate = self.settings.compression is not None and deflate_accepted(
            request.headers.get("Sec-WebSocket-Extensions", "")
        )
        websocket = take_over(request, self, caller, accept, deflate=deflate)
        return Ended() if websocket is None else websocket

    def _session(self, handshake: Handshake, state: State, socket: TakenWebSocket | None) -> EngineSession:
        settings = self.settings
        machine = Session(self._new_id(), state, settings.ping_interval, settings.ping_timeout, self.loop.time())
        session = EngineSession(self, machine, handshake, socket)
        self._sessions[machine.sid] = session
        place, now = place_of(handshake.peer), self.loop.time()
        self._admission.begun(session, place, now)
        if (burst := self._admission.burst(place, now)) < 1:
            session.spend((1 - burst) * settings.packets.burst)
        self.stats.sessions_opened += 1
        self.beat_changed(session)
        return session

    def _open_packet(self, session: EngineSession, upgrades: tuple[str, ...]) -> Outgoing:
        settings = self.settings
        return Outgoing.control(
            open_packet(session.sid, upgrades, settings.ping_interval, settings.ping_timeout, settings.max_payload)
        )

    def _refused(self, reason: Refusal, *, status: int = 400) -> web.Response:
        count(self.stats.invalid, reason.name.lower())
        return refusal(reason, status=status)

    def _headers(self, request: web.BaseRequest, caller: Caller) -> dict[str, str]:
        return {**self._cross_origin(request), **caller.fields}

    def _cross_origin(self, request: web.BaseRequest) -> dict[str, str]:
        """What lets a page of another, allowed, origin read the answer (the Fetch standard, "CORS protocol")."""
        origin = request.headers.get("Origin")
        if origin is None or is_same_host(origin, request.headers.get("Host", "")):
            return {}
        if "*" in self.settings.allowed_origins:
            return _preflight(request) | {"Access-Control-Allow-Origin": "*"}
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
        return _preflight(request) | allowed

    # Time

    def beat_changed(self, session: EngineSession) -> None:
        """The session's heart is due at another moment."""
        machine = session.machine
        now_in, before = (self._pongs, self._pings) if machine.awaits_pong else (self._pings, self._pongs)
        before.discard(session)
        now_in.add(session, machine.due)
        self._arm()

    def _arm(self) -> None:
        due = min((at for at in (self._pings.earliest, self._pongs.earliest) if at is not None), default=None)
        if due is None or (self._alarm is not None and self._alarm.when() <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self.loop.time()
        for deadlines in (self._pongs, self._pings):
            for session in deadlines.expired(now):
                session.beat(now)
        self._arm()

    # End

    def entered(self, session: EngineSession) -> None:
        """The layer above has let the session's client in."""
        self._admission.entered(session, place_of(session.handshake.peer))

    def ended(self, session: EngineSession, reason: str) -> None:
        """A session has closed."""
        del self._sessions[session.sid]
        place = place_of(session.handshake.peer)
        self._admission.ended(session, place)
        if reason in _FLOODS:
            self._admission.flooded(place, self.loop.time())
        if not self._sessions:
            self._sessions_gone.set()
        self._pings.discard(session)
        self._pongs.discard(session)
        if session.has_last_words:
            if len(self._lingering) >= _PARTING_AT_ONCE:
                del self._lingering[next(iter(self._lingering))]
            self._lingering[session.sid] = session
            self.loop.call_later(_LINGER, self._lingering.pop, session.sid, None)

    def connected(self, carrier: Carrier) -> None:
        self._carriers.add(carrier)

    def disconnected(self, carrier: Carrier) -> None:
        self._carriers.discard(carrier)
        if not self._carriers:
            self._carriers_gone.set()

    def hurry(self, patience: float = 0.5) -> None:
        """The end is near: wait no longer than this for the rest of what clients have begun to send in a POST."""
        self._bodies.hurry(patience)

    async def drain(self, over: float = 10.0) -> None:
        """Take no new session, and end the others one after the other within `over` seconds.

        Their connections close without a word of Socket.IO, so that clients come back, to another process or later;
        spread out, so that they do not come back all at once.
        """
        self._draining = True
        leaving = list(self._sessions.values())
        random.shuffle(leaving)
        for number, session in enumerate(leaving):
            share = (number + random.random()) / len(leaving)  # noqa: S311 - it spreads load
            self.loop.call_later(over * share, session.close, "drain")
        while self._sessions:
            self._sessions_gone.clear()
            await self._sessions_gone.wait()

    async def close(self) -> None:
        """End everything now, and return when every receiver knows and every WebSocket is closed."""
        self._draining = True
        for session in list(self._sessions.values()):
            session.close("drain")
        self.resting.end()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for carrier in self._carriers:
            self.loop.call_later(_PARTING, carrier.abort)
        while self._carriers:
            self._carriers_gone.clear()
            await self._carriers_gone.wait()
        await asyncio.sleep(0)


def _give_up(session: EngineSession, websocket: TakenWebSocket) -> None:
    if session.is_candidate(websocket):
        session.lost(websocket, "upgrade-timeout")
        websocket.close("upgrade-timeout")


def _handshake(request: web.BaseRequest, client: str | None) -> Handshake:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        if lower not in _NOT_KEPT and not lower.startswith("sec-websocket-"):
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    query = {name: request.query[name] for name in request.query}
    peer = (request.remote or "") if client is None else client
    return Handshake(request.path, query, headers, peer, request.secure, time.time())


def _preflight(request: web.BaseRequest) -> dict[str, str]:
    if request.method != "OPTIONS":
        return {}
    return {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "Content-Type"),
        "Access-Control-Max-Age": "600",
    }
