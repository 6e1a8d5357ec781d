"""PURE What senders had delivered a short while ago, so that a message they repeat is answered and not sent again.

The rule of this room: nobody's repeats are forgotten because somebody else is busy, up to the bound of all together.
Times are seconds of any monotonic clock; records are what must survive a restart.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

WINDOW: Final = 300.0
"""Seconds for which a message is recognised."""
MOST_OF_A_SENDER: Final = 5_000
"""Messages of one sender that are recognised: the latest."""
MOST_BYTES: Final = 32 * 2**20
"""About what all of them may take in memory."""

KIND: Final = "delivered"
"""The first member of a record."""

Key = tuple[str, str, str]
"""Conversation, sender and the sender's own name for the message (client_id)."""
Record = tuple[Any, ...]

_AROUND = 400  # bytes, about, of a message beside its texts


class Repeats:
    """Delivered messages by `Key`. `wall` is what must be added to this clock's times to get seconds since 1970.

    `note` takes the record of each; it may be assigned later.
    """

    def __init__(self, *, wall: float = 0.0, most: int = MOST_OF_A_SENDER, most_bytes: int = MOST_BYTES) -> None:
        self.note: Callable[[Record], None] | None = None
        self._wall = wall
        self._most = most
        self._most_bytes = most_bytes
        self.clear()

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Know nothing."""
        # The oldest first. A plain dict would look through all that was deleted for its first.
        self._known: OrderedDict[Key, Record] = OrderedDict()
        self._of_sender: dict[str, deque[Key]] = {}
        self._bytes = 0

    def find(self, key: Key, now: float) -> Record | None:
        """The record of a message that was delivered within the window; its id is `id_of` it."""
        record = self._known.get(key)
        return None if record is None or self._over(record, now) else record

    def add(self, key: Key, id_: Any, now: float) -> None:
        """A message was delivered as `id_`."""
        record = (KIND, *key, id_, now + self._wall)
        self._keep(key, record, now)
        if self.note is not None:
            self.note(record)

    # Restarts

    def records(self, now: float) -> list[Record]:
        """With what a journal can begin anew."""
        self._expire(now)
        return list(self._known.values())

    def load(self, record: Sequence[Any], now: float) -> None:
        """Take in what an earlier life noted, in its order. Raises ValueError for what is no record."""
        match record:
            case (_, str(conversation), str(sender), str(client_id), id_, float(at)):
                key = (conversation, sender, client_id)
                known = self._known.get(key)
                if known is None or known[-1] < at:
                    # A clock that was put back must not make anything known for longer than the window.
                    self._keep(key, (KIND, *key, id_, min(at, now + self._wall)), now)
            case _:
                raise ValueError(f"not a record: {record!r}")

    # Details

    def _keep(self, key: Key, record: Record, now: float) -> None:
        self._expire(now)
        if key in self._known:
            self._forget(key)
        self._known[key] = record
        self._bytes += _size(record)
        keys = self._of_sender.setdefault(key[1], deque())
        keys.append(key)
        if len(keys) > self._most:
            self._forget(keys[0])
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._known)))

    def _expire(self, now: float) -> None:
        while self._known:
            key, record = next(iter(self._known.items()))
            if not self._over(record, now):
                return
            self._forget(key)

    def _over(self, record: Record, now: float) -> bool:
        at: float = record[-1]
        return at - self._wall + WINDOW <= now

    def _forget(self, key: Key) -> None:
        self._bytes -= _size(self._known.pop(key))
        keys = self._of_sender[key[1]]
        keys.remove(key)  # the oldest of its sender, nearly always
        if not keys:
            del self._of_sender[key[1]]


def key_of(record: Record) -> Key:
    """Which message it is of."""
    _, conversation, sender, client_id, *_ = record
    return conversation, sender, client_id


def id_of(record: Record) -> Any:
    """What the message was delivered as."""
    return record[-2]


def _size(record: Record) -> int:
    return _AROUND + sum(len(text) for text in record[1:5] if isinstance(text, str))
