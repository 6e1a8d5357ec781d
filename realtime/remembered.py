"""PURE A client as recovery remembers it: where it was when, and what a journal keeps of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.rings import Ring

Record = tuple[Any, ...]
"""What a journal keeps: JSON values, and bytes."""


class Session:
    """A client that is here, or was and may return. `rooms` maps each room to the number after which it was joined.

    `since` is the number after which it began: it has nothing from before. `gone_at` is None while it is here. `data`
    is the application's, as JSON.
    """

    __slots__ = ("data", "gone_at", "id", "known_from", "left", "noted", "recorded", "ring", "rooms", "secret", "since")

    def __init__(self, id: str, secret: str, since: int) -> None:  # noqa: A002 - the protocol's word
        self.id = id
        self.secret = secret
        self.since = since
        self.known_from = since
        self.rooms: dict[str, int] = {}
        self.left: list[tuple[str, int, int]] | None = None
        self.ring: Ring | None = None
        self.data = "{}"
        self.gone_at: float | None = None
        self.noted = 0
        self.recorded = False
        """A journal knows it, though maybe not as it is now."""

    @property
    def pid(self) -> str:
        """What the client must show: the secret, and whose it is."""
        return f"{self.id}.{self.secret}"

    @property
    def is_nowhere(self) -> bool:
        """It is in no room, and has missed nothing that was for it alone."""
        return not (self.rooms or self.left or self.ring)

    def record(self, namespace: str, wall: float) -> Record:
        """What a journal needs to know of it. `wall` is what must be added to its times to get seconds since 1970."""
        gone_at = None if self.gone_at is None else self.gone_at + wall
        rooms, left = dict(self.rooms), tuple(self.left or ())
        return (
            "session",
            namespace,
            self.id,
            self.secret,
            self.since,
            self.known_from,
            rooms,
            left,
            self.data,
            gone_at,
        )

    @classmethod
    def from_record(cls, record: Sequence[Any], wall: float) -> Session:
        """Its like, from what `record` gave to a journal. Raises ValueError and TypeError for what is none."""
        name, secret, since, known_from, rooms, left, data, gone_at = record[2:]
        session = cls(name, secret, since)
        session.known_from = known_from
        session.rooms.update(rooms)
        session.left = [(room, joined, until) for room, joined, until in left] or None
        session.data = data
        session.gone_at = None if gone_at is None else gone_at - wall
        session.recorded = True
        return session

    def memberships(self) -> Iterator[tuple[str, int, int | None]]:
        """Rooms with the numbers after which they were joined and up to which they were left (None: not yet)."""
        for room, joined in self.rooms.items():
            yield room, joined, None
        yield from self.left or ()
