"""What is under way: messages, the event that each came with, and what may become of them.

The rule of this room: a sending is answered once, when the last of its messages is settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from realtime.later import Later
from realtime.payloads import Draft, Refusal
from realtime.repeats import Key

if TYPE_CHECKING:
    from realtime.socket import Socket

Told = dict[str, Any]


class Sending(Later[Told]):
    """What one event sends, a message or several; the answer is what its sender is told, once all are settled.

    `authors` are the users of its socket by id, which go along where the application says nothing better.
    """

    __slots__ = ("_failure", "_ids", "_missing", "authors", "socket")

    def __init__(self, socket: Socket, authors: Mapping[str, Any], count: int) -> None:
        super().__init__()
        self.socket = socket
        self.authors = authors
        self._ids: list[Any] = [None] * count
        self._failure: Told | None = None
        self._missing = count

    def settle(self, place: int, id_: Any, failure: Told | None) -> None:
        """The message at `place` was delivered as `id_`, or has failed."""
        self._ids[place] = id_
        self._failure = self._failure or failure
        self._missing -= 1
        if not self._missing:
            self.became_known()

    def answer(self) -> Told:
        if self._failure is None:
            return {"ok": True, "messages": self._ids}
        failure = self._failure
        if len(self._ids) > 1:  # of several messages none is meant alone
            failure = {name: value for name, value in failure.items() if name != "client_id"}
        return {"ok": False, "error": failure["message"], **failure, "messages": self._ids}


class Item(NamedTuple):
    """A draft on its way: one of the messages of a sending. It was taken at `since`."""

    draft: Draft
    sending: Sending
    place: int
    since: float


Settled = dict[str, Any] | Refusal
"""What became of one message: as it is delivered, or why not."""


def name_of(draft: Draft) -> Key:
    """Under which a message is known when its sender repeats it."""
    return draft.conversation, draft.sender, draft.client_id or ""


FAILED = Refusal("internal", "The message could not be delivered.")
AWAY = Refusal("origin-away", "The message could not be saved: the application does not answer. Try again.")
UNCONFIRMED = Refusal(
    "origin-away",
    "The message may have been saved, and was not sent: the application does not say. Look before you repeat it.",
    may_be_kept=True,
)
NO_ANSWER = (AWAY, UNCONFIRMED)
TOLD = Refusal("told", "Its sender knows already.")
SHUTTING_DOWN = Refusal(
    "shutting-down", "The message was not sent: the server is being restarted. Try again.", retry_after=2
)
UNKNOWN = Refusal(
    "origin-away",
    "The message may have been saved, and was not sent: the server is being restarted. Look before you repeat it.",
    may_be_kept=True,
)
