"""What operators see of the chat: who is there, how they fare, which conversations are lively.

The rule of this room: it only looks, and nobody who looks often may hold up the loop. One walk over all sessions
answers every question about all of them. A few are walked over whenever somebody asks; many in slices between which
everybody else has a turn, so that whoever asks gets the last whole walk, and it is a moment old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from realtime.chat import Chat
from realtime.connection import Handshake
from realtime.member import Member
from realtime.quality import Cause, ClientReport, Distribution, Grade, Trend
from realtime.reported import Reported, added_up

FEW = 250
"""Sessions that are walked over in one go; a slice of more."""

SETTLED = 3.0
"""Seconds for which one walk over many is good enough."""

TOO_OLD = 60.0
"""Seconds after which it is not, and whoever asks waits for a new one."""

BETWEEN_POLLS = 64 * 1024
"""Bytes that may wait for a client that polls without it being slow: a WebSocket's buffer holds as much."""

MOST_MEMBERS = 200
"""Sessions that are listed of one conversation."""

_END = object()


class SessionLine(NamedTuple):
    """One session among many. `since` is wall-clock time, `rtt` seconds, `queued` bytes that wait for it.

    `slow`: its client does not read what is sent. `users` are the ids of those authenticated on it; `joined` how many
    conversations and channels it is in; `reports` how often its client has reported, `messages` how many it has sent.
    `cause` is what the grade is of: `rtt`, the latency it `reported`, or that it is `silent_for` so long; in seconds.
    """

    sid: str
    transport: Literal["polling", "websocket"]
    since: float
    users: Collection[str]
    joined: int
    rtt: float | None
    grade: Grade
    queued: int
    slow: bool
    reports: int
    messages: int
    cause: Cause = "nothing"
    reported: float | None = None
    silent_for: float = 0.0
    failed: int = 0
    """Of its messages, those that failed."""


@dataclass(frozen=True, slots=True)
class Census:
    """All sessions of one moment. `slow` are those that do not read what is sent, `queued` the bytes that wait so."""

    sessions: Sequence[SessionLine] = ()
    quality: Distribution = field(default_factory=Distribution)
    websocket: int = 0
    polling: int = 0
    users: int = 0
    slow: int = 0
    queued: int = 0
    reported: Reported = field(default_factory=Reported)


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """One session. `report` was sent `reported_ago` seconds ago; `recovered`: it had been here before."""

    line: SessionLine
    handshake: Handshake
    recovered: bool
    conversations: Sequence[str]
    channels: Sequence[str]
    report: ClientReport | None
    reported_ago: float | None


class ConversationLine(NamedTuple):
    """One conversation. `rate` is messages per second, `fill` messages per batch, `quiet` seconds since the last one.

    `messages` and `quiet` count since somebody is there or the edge has begun, None when nothing was said.
    """

    id: str
    sessions: int
    users: int
    waiting: int
    rate: float
    messages: int
    fill: float | None
    quiet: float | None
    failed: int = 0
    """Messages that were not delivered, and whose senders were told; none of `messages`."""


@dataclass(frozen=True, slots=True)
class ConversationDetail:
    """One conversation and its members: at most MOST_MEMBERS sessions, and the users that are in it with them."""

    line: ConversationLine
    users: Sequence[str]
    sessions: Sequence[SessionLine]


class Lookout:
    """The views on one chat. `now` is monotonic, in seconds; each walk adds to `trend`."""

    def __init__(self, chat: Chat, trend: Trend, now: Callable[[], float]) -> None:
        self._chat = chat
        self._trend = trend
        self._now = now
        self._census = Census()
        self._census_at = float("-inf")
        self._walk: Iterator[None] | None = None
        self._conversations: Sequence[ConversationLine] = ()
        self._conversations_at = float("-inf")

    def census(self) -> Census:
        """All sessions: as they are when they are few, as they were a moment ago when they are many."""
        members, age = self._chat.members, self._now() - self._census_at
        if len(members) <= FEW or age >= TOO_OLD:
            for _ in self._walking():
                pass
            self._walk = None
        elif age >= SETTLED and self._walk is None:
            self._walk = self._walking()
            self._step(self._walk)
        return self._census

    def trend(self) -> list[Distribution]:
        """The grades seen in each of the last minutes, oldest first, the one under way last."""
        return self._trend.minutes(self._now())

    def known(self) -> int:
        """How many of the minutes of `trend`, the last ones, anything is known of."""
        return self._trend.known(self._now())

    def _step(self, walk: Iterator[None]) -> None:
        if self._walk is walk:  # else somebody could not wait for it
            if next(walk, _END) is _END:
                self._walk = None
            else:
                asyncio.get_running_loop().call_soon(self._step, walk)

    def _walking(self) -> Iterator[None]:
        """A walk over all sessions; each step is one slice."""
        members = list(self._chat.members.values())
        lines: list[SessionLine] = []
        for start in range(0, len(members), FEW):
            lines += [self._line(member) for member in members[start : start + FEW] if not member.gone]
            yield
        self._census = _counted(lines, (member.report for member in members if not member.gone))
        self._census_at = self._now()
        self._trend.observe(self._census.quality, self._census_at)

    def session(self, sid: str) -> SessionDetail | None:
        """The session of this name, as it is now; None when it is not there."""
        member = next((each for each in self._chat.members.values() if each.socket.connection.sid == sid), None)
        if member is None:
            return None
        return SessionDetail(
            self._line(member),
            member.socket.handshake,
            member.socket.recovered,
            member.conversations,
            member.channels,
            member.report,
            None if member.report is None else self._now() - member.reported_at,
        )

    def conversations(self) -> Sequence[ConversationLine]:
        """All with somebody in them, as they were at most SETTLED seconds ago where they are many."""
        now = self._now()
        if len(self._conversations) <= FEW or now - self._conversations_at >= SETTLED:
            there = self._chat.signs.conversations()
            self._conversations = [self._conversation(name, users, now) for name, users in there]
            self._conversations_at = now
        return self._conversations

    def conversation(self, name: str) -> ConversationDetail | None:
        """The conversation of this name, as it is now; None when nobody is in it."""
        online = next((users for each, users in self._chat.signs.conversations() if each == name), None)
        if online is None:
            return None
        members = self._chat.members_of(name, MOST_MEMBERS)
        users = dict.fromkeys(user for member in members for user in member.users_in(name))
        line = self._conversation(name, online, self._now())
        return ConversationDetail(line, list(users), [self._line(member) for member in members])

    def _line(self, member: Member) -> SessionLine:
        socket = member.socket
        connection = socket.connection
        users, transport, queued = member.users, connection.transport, connection.queued
        quality = self._chat.judged(member)
        return SessionLine(
            connection.sid,
            transport,
            connection.handshake.at,
            users.keys(),
            len(socket.rooms) - len(users),  # each user has a room, whatever else the socket has joined
            connection.round_trip,
            quality.grade,
            queued,
            queued > (0 if transport == "websocket" else BETWEEN_POLLS),
            member.reports,
            member.messages,
            quality.cause,
            quality.reported,
            quality.silent_for,
            member.failed,
        )

    def _conversation(self, name: str, users: int, now: float) -> ConversationLine:
        chat, activity = self._chat, self._chat.activities.find(name)
        sessions, waiting = chat.audience.size(name), chat.conversations.waiting(name)
        if activity is None:
            return ConversationLine(name, sessions, users, waiting, 0.0, 0, None, None)
        said, failed = activity.messages, activity.failed
        if not said:
            return ConversationLine(name, sessions, users, waiting, 0.0, 0, None, None, failed)
        rate, quiet = activity.rate(now), now - activity.last
        return ConversationLine(name, sessions, users, waiting, rate, said, activity.fill, quiet, failed)


def _counted(lines: Sequence[SessionLine], reports: Iterable[ClientReport | None]) -> Census:
    queues = [line.queued for line in lines if line.slow]
    websocket = sum([line.transport == "websocket" for line in lines])
    return Census(
        lines,
        Distribution.of([line.grade for line in lines]),
        websocket=websocket,
        polling=len(lines) - websocket,
        users=sum([len(line.users) for line in lines]),
        slow=len(queues),
        queued=sum(queues),
        reported=added_up(report for report in reports if report is not None),
    )
