"""PURE What the users of a connection have proved themselves with: in memory, and nowhere else.

The rule of this room: a token is never written, logged or shown, and when its connection is lost it is kept for no
longer than that may return. `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

MOST_BYTES: Final = 32 * 2**20
"""About what the tokens of all lost connections may take; beyond it the longest lost are forgotten."""

How = Literal["own", "greeting"]
"""By which token a user is known: one that came with its `authenticate`, or that of the connection's CONNECT packet."""

MOST_BROUGHT: Final = 10
"""Tokens of one connection that wait for the application to answer; of more the oldest is forgotten."""

_AROUND = 300  # bytes, about, of a connection's proofs beside their texts


class ProofLost(LookupError):
    """A user is known by a token that is not here any more: the process that had it has ended."""


class Proofs:
    """The tokens of one connection: `greeting` came with its CONNECT packet, `own` are its users' by their ids.

    `brought` are those that came while the application was away, with the users whose each may be: they prove nothing
    until it has said whose they are.
    """

    __slots__ = ("brought", "greeting", "own")

    def __init__(
        self,
        greeting: str | None = None,
        own: dict[str, str] | None = None,
        brought: dict[str, set[str]] | None = None,
    ) -> None:
        self.greeting = greeting
        self.own: dict[str, str] = own or {}
        self.brought: dict[str, set[str]] = brought or {}

    def __bool__(self) -> bool:
        return self.greeting is not None or bool(self.own or self.brought)

    def __repr__(self) -> str:
        return f"Proofs({len(self.own)} own)"

    def of(self, user: str, how: How | None) -> str | None:
        """The token by which this user is known; None when it is by the handshake's cookies. Raises ProofLost."""
        token = None if how is None else self.own.get(user) if how == "own" else self.greeting
        if how is not None and token is None:
            raise ProofLost(user)
        return token

    def bring(self, token: str, users: set[str]) -> None:
        """Keep a token of one of these users until the application can be asked whose it is."""
        self.brought.pop(token, None)
        self.brought[token] = users
        if len(self.brought) > MOST_BROUGHT:
            del self.brought[next(iter(self.brought))]

    def settle(self, user: str) -> None:
        """What was brought is not this user's: it has ended, or is known by another token that came later."""
        for token, users in list(self.brought.items()):
            users.discard(user)
            if not users:
                del self.brought[token]

    @property
    def size(self) -> int:
        """What they take in memory, about, in bytes."""
        texts = (self.greeting or "", *self.own, *self.own.values(), *self.brought)
        return _AROUND + sum(len(text) for text in texts)


class Cloakroom:
    """The proofs of lost connections, for `window` seconds, by the connections' ids."""

    __slots__ = ("_bytes", "_kept", "_most", "_window")

    def __init__(self, window: float, *, most_bytes: int = MOST_BYTES) -> None:
        self._window = window
        self._most = most_bytes
        self._kept: OrderedDict[str, tuple[float, Proofs, int]] = OrderedDict()  # until when; the longest lost first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return next((until for until, _, _ in self._kept.values()), None)

    def leave(self, connection: str, proofs: Proofs, now: float) -> None:
        """A connection is lost, and may return."""
        if not proofs or not self._window:
            return
        self.take(connection)
        self._kept[connection] = (now + self._window, proofs, proofs.size)
        self._bytes += proofs.size
        while self._bytes > self._most:
            self.take(next(iter(self._kept)))

    def take(self, connection: str) -> Proofs | None:
        """What a connection had that is back, or will not be."""
        if connection not in self._kept:
            return None
        _, proofs, size = self._kept.pop(connection)
        self._bytes -= size  # that of its coming: a user may have ended since
        return proofs

    def look(self, connection: str) -> Proofs | None:
        """What a connection has that is away."""
        _, proofs, _ = self._kept.get(connection, (0.0, None, 0))
        return proofs

    def due(self, now: float) -> None:
        """Forget what is too old."""
        while (until := self.deadline) is not None and until <= now:
            self.take(next(iter(self._kept)))
