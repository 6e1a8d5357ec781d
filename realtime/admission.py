"""PURE: who may begin a session, and who has to give way, so that no host takes what is there for all.

The rule of this room: a newcomer is refused only for what its own place (an address) has taken, or when everything is
taken by clients that are in, or have just come. Whoever has had time to enter something and has not gives way, the
longest silent first. Offices and carriers share an address: limits for one place are made for hundreds of clients.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Literal, TypeVar

from realtime.limits import Turns
from realtime.settings import EngineSettings

T = TypeVar("T")

Refused = Literal["full", "address", "handshakes", "draining"]
"""Why a newcomer is: no room, none for its address, too many handshakes of its address, or the server ends."""

PATIENCE = 2.0
"""Seconds that a handshake waits for its turn at most; clients give one up after ten times as many."""

GRACE = 1.0
"""Seconds that every newcomer has before it gives way: a round trip, also of a phone."""

DISTRUST = 60.0
"""Seconds after a flood until its place may send bursts as before."""

LEAST = 0.1
"""The share of a burst that is granted however bad the place: enough to authenticate and join."""

_MOST_DISTRUSTED = 10_000


class _Place(Generic[T]):
    """The sessions of one place: how many there are, and those that have entered nothing, since when."""

    __slots__ = ("entering", "sessions")

    def __init__(self) -> None:
        self.sessions = 0
        self.entering: OrderedDict[T, float] = OrderedDict()


class Admission(Generic[T]):
    """The sessions of a server by their place."""

    __slots__ = ("_distrusted", "_entering", "_places", "_sessions", "_settings", "_turns")

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._sessions = 0
        self._places: dict[str, _Place[T]] = {}
        self._entering: OrderedDict[T, float] = OrderedDict()
        self._turns: Turns[str] = Turns(settings.handshakes, PATIENCE)
        self._distrusted: OrderedDict[str, float] = OrderedDict()  # until when, the longest untouched first

    def wait(self, place: str, now: float) -> float | None:
        """Seconds until it is the turn of a handshake from there; None: there are too many before it."""
        return self._turns.wait(place, now)

    def refusal(self, place: str, now: float) -> Refused | None:
        """Why no session may begin there now; None: it may, once what is `in_the_way` has gone."""
        here = self._places.get(place)
        if here is not None and self._is_too_much(here):
            return "address" if _silent(here.entering, now) is None else None
        return "full" if self._is_full and _silent(self._entering, now) is None else None

    def in_the_way(self, place: str, now: float) -> T | None:
        """A session that has to end before another one may begin there."""
        here = self._places.get(place)
        if here is not None and self._is_too_much(here):
            return _silent(here.entering, now)
        return _silent(self._entering, now) if self._is_full else None

    def begun(self, session: T, place: str, now: float) -> None:
        here = self._places.setdefault(place, _Place())
        here.sessions += 1
        here.entering[session] = now
        self._sessions += 1
        self._entering[session] = now

    def entered(self, session: T, place: str) -> None:
        """It is no newcomer any more."""
        if self._entering.pop(session, None) is not None:
            del self._places[place].entering[session]

    def ended(self, session: T, place: str) -> None:
        self.entered(session, place)
        here = self._places[place]
        here.sessions -= 1
        self._sessions -= 1
        if not here.sessions:
            del self._places[place]

    @property
    def _is_full(self) -> bool:
        settings = self._settings
        return self._sessions >= settings.max_sessions or len(self._entering) >= settings.entering

    def _is_too_much(self, here: _Place[T]) -> bool:
        settings, share = self._settings, self._settings.address_share
        return here.sessions >= max(int(settings.max_sessions * share), 1) or len(here.entering) >= max(
            int(settings.entering * share), 1
        )

    # After a flood

    def flooded(self, place: str, now: float) -> None:
        """A session was ended because it sent too much: coming again must not be worth another burst."""
        self._distrust(place, now + DISTRUST)

    def burst(self, place: str, now: float) -> float:
        """The share of a burst that a new session may begin with: what its place has left, of which it is taken."""
        until = self._distrusted.get(place, now)
        if until <= now:
            self._distrusted.pop(place, None)
            return 1.0
        share = max(1.0 - (until - now) / DISTRUST, LEAST)
        self._distrust(place, min(until + share * DISTRUST, now + DISTRUST))
        return share

    def _distrust(self, place: str, until: float) -> None:
        self._distrusted[place] = until
        self._distrusted.move_to_end(place)
        if len(self._distrusted) > _MOST_DISTRUSTED:
            self._distrusted.popitem(last=False)


def _silent(entering: OrderedDict[T, float], now: float) -> T | None:
    """The one longest silent, if it has had its time to speak."""
    oldest = next(iter(entering.items()), None)
    return None if oldest is None or now - oldest[1] < GRACE else oldest[0]
