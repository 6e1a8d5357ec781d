"""PURE Connection state recovery: what a client missed while it was away, exactly, or nothing.

Every packet that may be missed has a number, one sequence for a namespace, and waits for a while in the ring of each
room it was sent to. A client that returns tells the number of the last packet it has; it gets what has been sent since
to the rooms it was in at that moment. If a ring may have dropped something of this, it becomes a new client instead:
never a gap, never a packet twice. Times are seconds of any monotonic clock; `note` takes what must survive a restart.

An offset is "<epoch>.<number>". The epoch names one life of the process: numbers that were given to packets but not
yet written down when it was killed are given again, and only the epoch tells which is meant.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from realtime.absences import EVERYWHERE, Absences
from realtime.frames import Outgoing
from realtime.remembered import Record, Session
from realtime.rings import Kept, Ring, Shelf
from realtime.settings import RecoverySettings

MOST_LEFT: Final = 32
"""Memberships that ended are remembered for each client, as it may not yet have what it was sent during them."""

MOST_EPOCHS: Final = 100
"""Lives of the process that are remembered; whoever was here so many restarts ago does not return."""

Note = Callable[[Record], None]


class Recovery:
    """The recent past of one namespace.

    `epoch` is a short unique word without a dot. `wall` is what must be added to this clock's times to get seconds
    since the epoch (1970), for the journal.
    """

    def __init__(
        self, name: str, settings: RecoverySettings, epoch: str, *, wall: float = 0.0, note: Note | None = None
    ) -> None:
        self._name = name
        self._settings = settings
        self._epoch = epoch
        self._wall = wall
        self._note = note
        self.clear()

    def clear(self) -> None:
        """Have no past."""
        self._ended: dict[str, int] = {}
        self._number = 0
        self.shelf = Shelf(self._settings)
        self._everyone = Ring()
        self._rings: dict[str, Ring] = {}
        self._sessions: dict[str, Session] = {}
        self._away: Absences[Session] = Absences(self._settings.sessions, self._settings.share)
        self.changed: dict[str, Session] = {}
        """Those whose record is not up to date, if there is a journal."""
        self._blank: dict[str, Session] = {}
        """Those that came lately and have gained nothing yet: to begin anew would cost them nothing."""

    def __len__(self) -> int:
        """Clients that are here or may return."""
        return len(self._sessions)

    @property
    def away(self) -> int:
        """Clients that may return."""
        return len(self._away)

    # Clients

    def begin(self, id: str, secret: str) -> Session:  # noqa: A002 - the protocol's word
        """A new client."""
        session = self._sessions[id] = Session(id, secret, self._number)
        if self._note is not None:
            self._blank[id] = session
        return session

    def join(self, session: Session, room: str) -> None:
        session.rooms[room] = self._number
        self._ring(room).holders += 1
        self.touch(session)

    def leave(self, session: Session, room: str, before: float | None = None) -> None:
        """It is in this room no more, and of what was sent there gets only what was sent `before` that time."""
        joined, ring = session.rooms.pop(room), self._rings[room]
        last = self._number if before is None else ring.last_before(before)
        if min(ring.newest, last) > joined:
            self._remember_left(session, room, joined, last)
        else:
            self._release(room)
        self.touch(session)

    def touch(self, session: Session) -> None:
        """Its record is to be written anew."""
        if self._note is not None:
            self._blank.pop(session.id, None)
            self.changed[session.id] = session

    def touch_blank(self) -> None:
        """The records of those that have gained nothing yet are to be written, too."""
        for session in list(self._blank.values()):
            self.touch(session)

    @property
    def given_up(self) -> dict[str, int]:
        """How many that might have returned were forgotten for want of room, by why."""
        return self._away.forgotten

    def lose(self, session: Session, now: float, place: str = EVERYWHERE, *, has_data: bool = True) -> None:
        """It is gone, and may return. `place` is where it came from; `has_data`: the application knew it."""
        if self._sessions.get(session.id) is not session:
            return
        session.gone_at = now
        self.touch(session)
        self._remember(session, place, blank=not has_data and session.is_nowhere)

    def end(self, session: Session) -> None:
        """It is gone for good."""
        if self._sessions.get(session.id) is not session:
            return
        del self._sessions[session.id]
        self._away.discard(session)
        self.changed.pop(session.id, None)
        self._blank.pop(session.id, None)
        self.shelf.remove(session.ring)
        for room, _, _ in session.memberships():
            self._release(room)
        if self._note is not None:
            self._note(("ended", self._name, session.id))

    def find(self, pid: object, now: float) -> Session | None:
        """The client this secret belongs to, if it may still return."""
        if not isinstance(pid, str) or len(pid) > 200:
            return None
        name, _, secret = pid.rpartition(".")
        session = self._sessions.get(name)
        expected = session.secret if session else ""
        # Names are public, secrets are not: how long the comparison takes must tell nothing.
        right = hmac.compare_digest(expected.encode("utf-8", "replace"), secret.encode("utf-8", "replace"))
        if session is None or not right:
            return None
        if session.gone_at is not None and session.gone_at + self._settings.window < now:
            self.end(session)
            return None
        return session

    def is_away(self, session: Session) -> bool:
        """Whether this client is not here and may return."""
        return session.gone_at is not None and self._sessions.get(session.id) is session

    def away_in(self, room: str) -> list[Session]:
        """The clients that may return and were in this room."""
        return [it for it in self._sessions.values() if it.gone_at is not None and room in it.rooms]

    def lost_last(self, seconds: float) -> list[Session]:
        """The clients that may return and went at most so many seconds before the last of them."""
        gone = [(it.gone_at, it) for it in self._sessions.values() if it.gone_at is not None]
        latest = max((at for at, _ in gone), default=0.0)
        return [it for at, it in gone if at >= latest - seconds]

    def resume(self, session: Session, offset: object) -> list[Kept] | None:
        """The client is back and has everything up to `offset` (None: nothing yet). What it missed, in order.

        None: that is not known any more, and the session is ended.
        """
        position = self._position(session, offset)
        missed = None if position is None else self._missed(session, position)
        if position is None or missed is None:
            self.end(session)
            return None
        for room, _, left in session.left or ():
            if left <= position:
                self._release(room)
        session.left = [past for past in session.left or () if past[2] > position] or None
        session.gone_at = None
        self._away.discard(session)
        self.touch(session)
        return missed

    def settle(self, session: Session, data: str | None = None) -> None:
        """Write its record if it says anything new; `data` replaces what the application had."""
        self.changed.pop(session.id, None)
        if data is not None:
            session.data = data
        if self._note is None or self._sessions.get(session.id) is not session:
            return
        record = session.record(self._name, self._wall)
        said = hash(repr(record))
        if said != session.noted:
            session.noted = said
            session.recorded = True
            self._note(record)

    # Packets

    def next_offset(self) -> str:
        """The offset of the packet that is kept next."""
        return f"{self._epoch}.{self._number + 1}"

    def offset(self) -> str:
        """The offset of the packet that was kept last."""
        return f"{self._epoch}.{self._number}"

    def wanted(self, rooms: Iterable[str] | None) -> bool:
        """Whether anybody, here or away, is to get what is sent to these rooms (None: to everyone)."""
        if rooms is None:
            return bool(self._sessions)
        return any(room in self._rings or room in self._sessions for room in rooms)

    def keep(
        self,
        rooms: Sequence[str] | None,
        messages: Sequence[str | bytes],
        outgoing: Outgoing,
        now: float,
        skip: Collection[str] = (),
    ) -> None:
        """Remember a packet that is being sent to these rooms; it bears `next_offset()`. A client's id is a room too.

        `outgoing` are the same messages, encoded.
        """
        self._number += 1
        self._file(rooms, Kept(self._number, now, outgoing, skip))
        if self._note is not None:
            sent = (rooms, tuple(messages), tuple(skip), outgoing.conflate)
            self._note(("packet", self._name, self._epoch, self._number, now + self._wall, *sent))

    def sweep(self, now: float) -> None:
        """Forget what is too old. To be called now and then."""
        before = now - self._settings.window
        while too_old := [it for it in self._away.longest() if it.gone_at is not None and it.gone_at < before]:
            for session in too_old:
                self.end(session)
        self.shelf.expire(before)

    # Restarts

    def records(self) -> list[Record]:
        """With what a journal can begin anew: which packets it will not have, and who is here."""
        newest = {room: ring.newest for room, ring in self._rings.items() if ring.newest}
        newest.update({s.id: s.ring.newest for s in self._sessions.values() if s.ring is not None})
        epochs = {**self._ended, self._epoch: self._number}
        base: Record = ("base", self._name, self._number, epochs, self._everyone.newest, newest)
        for session in self._sessions.values():
            session.recorded = True
        return [base, *(session.record(self._name, self._wall) for session in self._sessions.values())]

    def load(self, record: Sequence[Any], now: float) -> None:
        """Take in what an earlier life noted, in its order. Raises ValueError and TypeError for what is no record."""
        match record:
            case ("base", _, int(number), dict(epochs), int(everyone), dict(newest)):
                self._load_base(number, epochs, everyone, newest)
            case ("packet", _, str(epoch), int(number), float(at), rooms, messages, skip, conflate):
                self._ended[epoch] = self._number = number
                outgoing = Outgoing(messages, conflate=conflate)
                kept = Kept(number, min(now, at - self._wall), outgoing, tuple(skip))
                self._file(None if rooms is None else tuple(rooms), kept, restoring=True)
            case ("epoch", _, str(epoch), int(number)):
                self._ended[epoch] = self._number = max(self._number, number)
            case ("session", _, str(name), str(), int(), int(), dict(), _, str(), _):
                self._sessions[name] = Session.from_record(record, self._wall)
            case ("ended", _, str(name)):
                self._sessions.pop(name, None)
            case _:
                raise ValueError(f"not a record: {record!r}")

    def start(self, now: float) -> None:
        """All that was noted is taken in: nobody is here yet, everybody may return."""
        for room in [room for room in self._rings if room in self._sessions]:
            self._sessions[room].ring = self._rings.pop(room)
        for session in self._sessions.values():
            for room, _, _ in session.memberships():
                self._ring(room).holders += 1
            session.gone_at = now if session.gone_at is None else min(now, session.gone_at)
        for room in [room for room, ring in self._rings.items() if not ring.holders]:
            self.shelf.remove(self._rings.pop(room))
        by_end = sorted(self._sessions.values(), key=lambda session: session.gone_at or 0.0)
        for session in by_end:
            self._remember(session, EVERYWHERE, blank=session.data == "{}" and session.is_nowhere)
        self.sweep(now)
        if self._note is not None:
            self._note(("epoch", self._name, self._epoch, self._number))

    # Details

    def _remember(self, session: Session, place: str, *, blank: bool) -> None:
        for forgotten in self._away.add(session, place, blank=blank):
            self.end(forgotten)

    def _missed(self, session: Session, position: int) -> list[Kept] | None:
        if position < session.known_from:
            return None
        missed: dict[int, Kept] = {}
        for ring, joined, left in self._rings_of(session):
            start = max(position, joined)
            if left is not None and left <= start:
                continue
            if ring.lost > start:
                return None
            for packet in ring.since(start, left):
                if session.id not in packet.skip:
                    missed[packet.number] = packet
        if sum(packet.outgoing.cost for packet in missed.values()) > self._settings.replay:
            return None
        return [missed[number] for number in sorted(missed)]

    def _rings_of(self, session: Session) -> Iterator[tuple[Ring, int, int | None]]:
        yield self._everyone, session.since, None
        if session.ring is not None:
            yield session.ring, session.since, None
        for room, joined, left in session.memberships():
            yield self._rings[room], joined, left

    def _position(self, session: Session, offset: object) -> int | None:
        """The number of the last packet the client has; None for an offset that nobody was given."""
        if offset is None:
            return session.since
        match = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
        if match is None:
            return None
        epoch, number = match[1], int(match[2])
        if epoch == self._epoch:
            return max(number, session.since) if number <= self._number else None
        if epoch in self._ended:
            # It may have got packets that were never written down: then it has all that were.
            return max(min(number, self._ended[epoch]), session.since)
        # Every epoch since this session began is known, so this is left over from an earlier session.
        return session.since

    def _file(self, rooms: Sequence[str] | None, packet: Kept, restoring: bool = False) -> None:
        if rooms is None:
            self.shelf.add(self._everyone, packet)
            return
        for room in rooms:
            ring = self._rings.get(room)
            if ring is None and (session := self._sessions.get(room)) is not None and not restoring:
                ring = session.ring = session.ring or Ring()
            elif ring is None and restoring:
                ring = self._ring(room)
            if ring is not None:
                self.shelf.add(ring, packet)

    def _ring(self, room: str) -> Ring:
        ring = self._rings.get(room)
        if ring is None:
            ring = self._rings[room] = Ring()
        return ring

    def _remember_left(self, session: Session, room: str, joined: int, last: int) -> None:
        if session.left is None:
            session.left = []
        session.left.append((room, joined, last))
        if len(session.left) > MOST_LEFT:
            oldest, _, left = session.left.pop(0)
            session.known_from = max(session.known_from, left)
            self._release(oldest)

    def _release(self, room: str) -> None:
        """One membership less that may ask for the ring; with the last it goes."""
        ring = self._rings[room]
        ring.holders -= 1
        if not ring.holders:
            self.shelf.remove(self._rings.pop(room))

    def _load_base(self, number: int, epochs: dict[str, int], everyone: int, newest: dict[str, int]) -> None:
        first = not self._ended
        self._number = max(self._number, number)
        self._ended.update(epochs)
        for epoch in list(self._ended)[:-MOST_EPOCHS]:
            del self._ended[epoch]
        if not first:
            return  # the beginning of a later part of the journal: what it counts as missing has been read
        self._everyone.lost = self._everyone.newest = everyone
        for room, last in newest.items():
            ring = self._ring(room)
            ring.lost = ring.newest = last


_OFFSET = re.compile(r"([A-Za-z0-9_-]{1,40})\.([0-9]{1,16})", re.ASCII)
