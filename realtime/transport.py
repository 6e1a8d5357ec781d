"""The server of Engine.IO sessions: which request begins one, which belongs to one, which is refused; time and the end.

engine = EngineServer(settings, opened, stats)
... await engine.handle(request) for every request of its path ...
await engine.drain(10.0)
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from realtime.connection import Connection, Handshake, Opened, Receiver
from realtime.cross_site import is_same_host, may_connect
from realtime.engineio import PROTOCOL, Refusal, Session, State, open_packet
from realtime.frames import Outgoing
from realtime.polling import Ended, answer, answer_get, answer_post, refusal
from realtime.resting import Resting
from realtime.session import Carrier, EngineSession
from realtime.settings import EngineSettings
from realtime.stats import RealtimeStats, count
from realtime.timeouts import Timeouts
from realtime.websocket import TakenWebSocket, acceptance, deflate_accepted, is_websocket, take_over

__all__ = ["Connection", "EngineServer", "Handshake", "Opened", "Receiver"]

_RETRY_AFTER = "5"
_PARTING = 0.1
"""Seconds that a WebSocket may take to close when the server does: its successor waits, and all clients with it."""

_LINGER = 30.0
"""Seconds that last words wait for a client of long-polling."""

_PARTING_AT_ONCE = 1000
"""How many sessions wait so; beyond it the oldest is forgotten."""

INBOX = 2**13
"""Bytes that are read of one WebSocket before others have their turn; asyncio's 256 KiB may be 40,000 frames."""

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

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request of the path: a handshake, a session's GET or POST, a preflight, a WebSocket."""
        origin = request.headers.get("Origin")
        if not may_connect(origin, request.headers.get("Host", ""), self.settings.allowed_origins):
            return self._refused(Refusal.FORBIDDEN, status=403)
        if request.method == "OPTIONS":
            response: web.StreamResponse = web.Response(status=204)
        else:
            response = await self._answered(request, self._cross_origin(request))
        if not response.prepared and not isinstance(response, Ended):
            response.headers.update(self._cross_origin(request))
        return response

    async def _answered(self, request: web.BaseRequest, headers: dict[str, str]) -> web.StreamResponse:
        transport, sid = request.query.get("transport"), request.query.get("sid")
        websocket = is_websocket(request)
        if transport not in self.settings.transports:
            return self._refused(Refusal.TRANSPORT)
        if request.query.get("EIO") != PROTOCOL:
            return self._refused(Refusal.PROTOCOL)
        if request.method not in ("GET", "POST") or (request.method == "POST" and (sid is None or websocket)):
            return self._refused(Refusal.METHOD)
        if websocket is not (transport == "websocket"):
            return self._refused(Refusal.REQUEST)
        if sid is None:
            return self._open_websocket(request) if websocket else self._open_polling(request)
        session = self._found(sid)
        if session is None and request.method == "GET" and not websocket:
            session = self._parting(sid)
        if session is None:
            return self._refused(Refusal.SESSION)
        if websocket:
            return self._upgrade(request, session)
        if session.transport != "polling":
            return self._refused(Refusal.REQUEST)
        if request.method == "POST":
            return await answer_post(session, request, self.settings, self.stats)
        return await answer_get(session, request, headers)

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

    # Beginning

    def _open_polling(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._is_full:
            return _full()
        session = self._session(request, State.POLLING, None)
        upgrades = ("websocket",) if "websocket" in self.settings.transports else ()
        session.open(self._opened)
        return answer(self._open_packet(session, upgrades).payload)

    def _open_websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._is_full:
            return _full()
        websocket = self._taken(request)
        if not isinstance(websocket, TakenWebSocket):
            return websocket
        session = self._session(request, State.WEBSOCKET, websocket)
        websocket.begin(session, self._open_packet(session, ()))
        session.open(self._opened)
        websocket.feed_tail()
        return Ended()

    def _upgrade(self, request: web.BaseRequest, session: EngineSession) -> web.StreamResponse:
        websocket = self._taken(request)
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
        return Ended()

    def _taken(self, request: web.BaseRequest) -> TakenWebSocket | web.StreamResponse:
        accept = acceptance(request)
        if accept is None:
            response = self._refused(Refusal.REQUEST)
            response.headers["Sec-WebSocket-Version"] = "13"
            return response
        deflate = self.settings.compression is not None and deflate_accepted(
            request.headers.get("Sec-WebSocket-Extensions", "")
        )
        websocket = take_over(request, self, accept, deflate=deflate)
        return Ended() if websocket is None else websocket

    def _session(self, request: web.BaseRequest, state: State, socket: TakenWebSocket | None) -> EngineSession:
        settings = self.settings
        machine = Session(self._new_id(), state, settings.ping_interval, settings.ping_timeout, self.loop.time())
        session = EngineSession(self, machine, _handshake(request), socket)
        self._sessions[machine.sid] = session
        self.stats.sessions_opened += 1
        self.beat_changed(session)
        return session

    def _open_packet(self, session: EngineSession, upgrades: tuple[str, ...]) -> Outgoing:
        settings = self.settings
        return Outgoing.control(
            open_packet(session.sid, upgrades, settings.ping_interval, settings.ping_timeout, settings.max_payload)
        )

    @property
    def _is_full(self) -> bool:
        return self._draining or len(self._sessions) >= self.settings.max_sessions

    def _refused(self, reason: Refusal, *, status: int = 400) -> web.Response:
        count(self.stats.invalid, reason.name.lower())
        return refusal(reason, status=status)

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

    def ended(self, session: EngineSession) -> None:
        """A session has closed, for whatever reason."""
        self._sessions.pop(session.sid, None)
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


def _handshake(request: web.BaseRequest) -> Handshake:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        if lower not in _NOT_KEPT and not lower.startswith("sec-websocket-"):
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    query = {name: request.query[name] for name in request.query}
    return Handshake(request.path, query, headers, request.remote or "", request.secure, time.time())


def _preflight(request: web.BaseRequest) -> dict[str, str]:
    if request.method != "OPTIONS":
        return {}
    return {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "Content-Type"),
        "Access-Control-Max-Age": "600",
    }


def _full() -> web.Response:
    response = refusal(Refusal.REQUEST, status=503)
    response.headers["Retry-After"] = _RETRY_AFTER
    return response
