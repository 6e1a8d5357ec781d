"""Minutes of disorder: clients killed, readers stalled, the application away. Was anything lost, doubled, reordered?

Every message bears a number. In each conversation one member is left in peace: what it received is the order. What any
other received between joining and leaving must be a slice of that order without holes, as long as its session lasted
or was recovered, and must hold every message that was acknowledged meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.realtime.fan_out import message
from bench.realtime.servers import Contestant, Server, running
from bench.realtime.wire import Lost, Session, connect, number_and_age

CONVERSATIONS = 6
MEMBERS = 20
SENDERS = 5  # of each conversation
RATE = 20.0  # messages a second in each conversation
OUTAGE_EVERY, OUTAGE = 12.0, 3.0


class Application:
    """What persists batches, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.outages = 0
        self.batches = 0
        self._seen: set[str] = set()

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/messages", self._persist)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def outages_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() + OUTAGE_EVERY < ends:
            await asyncio.sleep(OUTAGE_EVERY - OUTAGE)
            self.away, self.outages = True, self.outages + 1
            await asyncio.sleep(OUTAGE)
            self.away = False

    async def _persist(self, request: web.Request) -> web.Response:
        batch = await request.json()
        if self.away:
            if random.random() < 0.5 and request.transport is not None:
                request.transport.abort()
            raise web.HTTPServiceUnavailable
        self.batches += 1
        key = request.headers.get("Idempotency-Key", "")
        return web.json_response({"messages": [{"id": f"{key}{place}"} for place in range(len(batch["messages"]))]})


@dataclass
class Stay:
    """One session's life in its conversation, recoveries included."""

    joined: float
    received: list[int] = field(default_factory=list)
    ended: bool = False


@dataclass
class Book:
    """What one conversation's senders know: when each message was sent, and which were acknowledged."""

    sent: dict[int, float] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    refused: int = 0


class Member:
    """A client that comes back whenever it is lost, as socket.io-client does."""

    def __init__(self, port: int, user: int, conversation: str, book: Book) -> None:
        self.stays: list[Stay] = []
        self.recovered = self.afresh = 0
        self.session: Session | None = None
        self.stalled = False
        self._port = port
        self._user = user
        self._conversation = conversation
        self._book = book
        self._pid: str | None = None
        self._offset: str | None = None
        self._closing = False

    async def live(self) -> None:
        while not self._closing:
            try:
                session = await self._come()
            except (Lost, OSError, TimeoutError):
                await asyncio.sleep(0.2)
                continue
            self.session = session
            await session.lost
            self.session = None
            await asyncio.sleep(random.uniform(0, 1.0))

    async def say(self, number: int) -> None:
        """One message; whether it is acknowledged goes into the book."""
        session = self.session
        if session is None or session.lost.done():
            return
        self._book.sent[number] = time.monotonic()
        try:
            await session.call("send_message", message(self._user, self._conversation, number), timeout=40)
        except (Lost, TimeoutError) as error:
            self._book.refused += "send_message" in str(error)
        else:
            self._book.acknowledged.add(number)

    async def stall(self, seconds: float) -> None:
        session = self.session
        if session is not None:
            session.pause()
            self.stalled = True
            await asyncio.sleep(seconds)
            self.stalled = False
            session.resume()

    def leave(self) -> None:
        self._closing = True
        if self.session is not None:
            self.session.kill()

    async def _come(self) -> Session:
        auth = None if self._pid is None else {"pid": self._pid} | ({"offset": self._offset} if self._offset else {})
        session = await asyncio.wait_for(connect(self._port, auth=auth, heard=self._heard), 15)
        if self._pid is not None and session.greeting.get("pid") == self._pid:
            self.recovered += 1
            return session
        if self.stays:
            self.stays[-1].ended = True
            self.afresh += 1
        self._pid = session.greeting.get("pid")
        # Like socket.io-client, which keeps the offset of its former session until it hears of a new one.
        await session.call("authenticate", f"u{self._user}")
        stay = Stay(float("inf"))
        self.stays.append(stay)
        try:
            await session.call("join_conversation", self._conversation)
        except (Lost, TimeoutError):
            stay.ended = True
            raise
        stay.joined = time.monotonic()
        return session

    def _heard(self, session: Session, event: str, args: list[Any]) -> None:
        self._offset = session.offset or self._offset
        if event in ("new_message", "new_messages_batch"):
            messages = args[0] if isinstance(args[0], list) else [args[0]]
            self.stays[-1].received += [number_and_age(found["content"])[0] for found in messages]


@dataclass
class Churn:
    """What became of it all. `faults` are sentences; there should be none."""

    minutes: float
    sent: int
    acknowledged: int
    refused: int
    deliveries: int
    kills: int
    stalls: int
    outages: int
    recovered: int
    afresh: int
    faults: Sequence[str]
    resident: Sequence[int]

    @property
    def growth(self) -> float:
        """Resident memory of the last quarter against the second one, as a share."""
        quarter = max(1, len(self.resident) // 4)
        early, late = self.resident[quarter : 2 * quarter], self.resident[-quarter:]
        return sum(late) / len(late) / (sum(early) / len(early)) - 1 if early else 0.0


async def churn(contestant: Contestant, application: Application, minutes: float) -> Churn:
    books = [Book() for _ in range(CONVERSATIONS)]
    async with running(contestant) as server:
        members = [
            Member(server.port, conversation * MEMBERS + place, f"c{conversation}", books[conversation])
            for conversation in range(CONVERSATIONS)
            for place in range(MEMBERS)
        ]
        living = [asyncio.create_task(member.live()) for member in members]
        while not all(member.session for member in members):  # noqa: ASYNC110 - there is nothing to await for all of them
            await asyncio.sleep(0.05)
        seconds = minutes * 60
        resident: list[int] = []
        (kills, stalls), sent, *_ = await asyncio.gather(
            _disorder(members, seconds),
            _talk(members, seconds),
            application.outages_for(seconds),
            _watch(server, resident, seconds),
        )
        await _quiet(members)
        faults = [fault for place, book in enumerate(books) for fault in _faults(_of(members, place), book)]
        for member in members:
            member.leave()
        await asyncio.gather(*living)
    return Churn(
        minutes,
        sent,
        sum(len(book.acknowledged) for book in books),
        sum(book.refused for book in books),
        sum(len(stay.received) for member in members for stay in member.stays),
        kills,
        stalls,
        application.outages,
        sum(member.recovered for member in members),
        sum(member.afresh for member in members),
        faults,
        resident,
    )


def _of(members: Sequence[Member], conversation: int) -> Sequence[Member]:
    return members[conversation * MEMBERS : (conversation + 1) * MEMBERS]


async def _talk(members: Sequence[Member], seconds: float) -> int:
    """Every conversation's first senders in turn; returns how many messages left, with all answers awaited."""
    loop = asyncio.get_running_loop()
    began, number, saying = loop.time(), 0, set[asyncio.Task[None]]()
    pace = RATE * CONVERSATIONS
    while loop.time() < began + seconds:
        await asyncio.sleep(max(0.0, began + number / pace - loop.time()))
        turn, conversation = divmod(number, CONVERSATIONS)
        number += 1
        task = asyncio.create_task(members[conversation * MEMBERS + turn % SENDERS].say(number))
        saying.add(task)
        task.add_done_callback(saying.discard)
    await asyncio.gather(*saying)
    return number


async def _disorder(members: Sequence[Member], seconds: float) -> tuple[int, int]:
    """Kills and stalls of anybody but the last member of each conversation, who keeps the order."""
    victims = [member for place, member in enumerate(members) if place % MEMBERS != MEMBERS - 1]
    ends, kills, stalls = time.monotonic() + seconds, 0, 0
    stalling: set[asyncio.Task[None]] = set()
    while time.monotonic() < ends:
        await asyncio.sleep(0.1)
        victim = random.choice(victims)
        if victim.session is None or victim.stalled:
            continue
        if random.random() < 0.7:
            victim.session.kill()
            kills += 1
        else:
            stalling.add(asyncio.create_task(victim.stall(random.uniform(0.5, 4.0))))
            stalls += 1
    await asyncio.gather(*stalling)
    return kills, stalls


async def _watch(server: Server, resident: list[int], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        resident.append(server.resident())
        await asyncio.sleep(0.5)


async def _quiet(members: Sequence[Member], *, patience: float = 30.0) -> None:
    """Until all are back and nothing has come for two seconds."""
    ends, before, calm = time.monotonic() + patience, -1, 0
    while time.monotonic() < ends and calm < 20:
        await asyncio.sleep(0.1)
        now = sum(len(stay.received) for member in members for stay in member.stays)
        calm = calm + 1 if now == before and all(member.session for member in members) else 0
        before = now


def _faults(members: Sequence[Member], book: Book) -> list[str]:
    """What was lost, doubled or out of order in one conversation."""
    order = members[-1].stays[0].received
    place = {number: index for index, number in enumerate(order)}
    faults = []
    if len(members[-1].stays) > 1:
        faults.append("the member that was left in peace lost its session")
    if len(place) != len(order):
        faults.append(f"{len(order) - len(place)} messages came twice to the member that was left in peace")
    if lost := book.acknowledged - place.keys():
        faults.append(f"{len(lost)} acknowledged messages never came, as {min(lost)}")
    for member in members[:-1]:
        for stay in member.stays:
            faults += _stay_faults(stay, order, place, book)
    return faults


def _stay_faults(stay: Stay, order: Sequence[int], place: dict[int, int], book: Book) -> list[str]:
    due = [place[number] for number in book.acknowledged if number in place and book.sent[number] > stay.joined]
    if not stay.received:
        return [f"a session heard nothing of {len(due)} messages"] if due and not stay.ended else []
    first = place.get(stay.received[0])
    if first is None:
        return [f"{stay.received[0]} came to one session and not to the one in peace"]
    faults = []
    if stay.received != order[first : first + len(stay.received)]:
        doubled = len(stay.received) - len(set(stay.received))
        missed = len(set(order[first : place.get(stay.received[-1], first) + 1]) - set(stay.received))
        faults.append(f"a session's messages are no slice of the order: {doubled} doubled, {missed} missed")
    if not stay.ended and stay.received[-1] != order[-1]:
        faults.append(f"a session that stayed lacks the last {len(order) - 1 - place.get(stay.received[-1], -1)}")
    if due and min(due) < first:
        faults.append(f"a session lacks {first - min(due)} messages after it had joined")
    return faults
