"""How often somebody may try a password: a bounded memory of failures, by address and in all.

PURE: `now` is an argument, any clock that only goes forward. An attempt counts as failed from its beginning until it
is known to have succeeded, so that many at once gain nothing. After FREE of them an address waits, each time twice
as long. All addresses together have a bound as well, because one attacker may have many. That one does not hold for
addresses from which somebody has logged in, nor for this machine itself: a flood must not keep the operators out.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

FREE = 5
FIRST_WAIT = 30.0
LONGEST_WAIT = 3600.0
FORGOTTEN_AFTER = 3600.0
"""Seconds after the last attempt, or after the end of a wait, until an address starts anew."""

FREE_IN_ALL = 60
LONGEST_WAIT_IN_ALL = 60.0
MOST_ADDRESSES = 4096


@dataclass(slots=True)
class _Tries:
    failures: int = 0
    last: float = 0.0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait`: seconds until an attempt is looked at again; 0: this one is. If this one fails, the address waits
    `locked` seconds, and all strange addresses `locked_all`."""

    wait: float = 0.0
    locked: float = 0.0
    locked_all: float = 0.0


class Attempts:
    """The failures that count, of at most MOST_ADDRESSES addresses; the one that was quiet for longest is forgotten."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, _Tries] = OrderedDict()
        self._in_all = _Tries()
        self._known: OrderedDict[str, None] = OrderedDict()

    def begin(self, address: str, now: float) -> Verdict:
        """Whether an attempt may be made now. If so it counts as failed until `succeeded`."""
        name = source(address)
        tries, everybody = self._tries(name, now), _current(self._in_all, now)
        strange = name not in self._known and not _is_loopback(name)
        wait = max(tries.until, everybody.until if strange else 0.0) - now
        if wait > 0:
            return Verdict(wait=wait)
        locked = _failed(tries, now, FREE, LONGEST_WAIT)
        return Verdict(0.0, locked, _failed(everybody, now, FREE_IN_ALL, LONGEST_WAIT_IN_ALL) if strange else 0.0)

    def succeeded(self, address: str) -> None:
        """The attempt that began was right: what the address failed before is forgiven."""
        name = source(address)
        tries = self._by_address.pop(name, None)
        if name not in self._known and not _is_loopback(name):
            self._in_all.failures = max(self._in_all.failures - (1 if tries is None else tries.failures), 0)
            if self._in_all.failures < FREE_IN_ALL:
                self._in_all.until = 0.0
        self._known[name] = None
        self._known.move_to_end(name)
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)

    def _tries(self, address: str, now: float) -> _Tries:
        tries = self._by_address.setdefault(address, _Tries(last=now))
        self._by_address.move_to_end(address)
        if len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        return _current(tries, now)


def source(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which one person may have."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::/64"


def _current(tries: _Tries, now: float) -> _Tries:
    if now - max(tries.last, tries.until) > FORGOTTEN_AFTER:
        tries.failures = 0
    return tries


def _failed(tries: _Tries, now: float, free: int, longest: float) -> float:
    """Count one; how long is to be waited after it."""
    tries.failures += 1
    tries.last = now
    beyond = tries.failures - free
    wait = 0.0 if beyond < 0 else min(FIRST_WAIT * 2.0 ** min(beyond, 16), longest)
    tries.until = now + wait
    return wait
