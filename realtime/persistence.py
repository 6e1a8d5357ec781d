"""The application is asked to keep what was said: a batch in one request, and what it says of each message.

The rule of this room: whatever comes back, every message of a batch has an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from realtime.asking import Asked
from realtime.origin import GivenUp, Origin, OriginAway, OriginRefused, Unconfirmed
from realtime.payloads import Refusal
from realtime.sending import AWAY, NO_ANSWER, SHUTTING_DOWN, UNCONFIRMED, UNKNOWN, Item, Settled
from realtime.stats import RealtimeStats

_OF_A_MESSAGE = frozenset({400, 409, 413, 415, 422})
"""Statuses that may be said because of one message among others."""


class Persistence:
    """Asks until `end` of a batch at most, a moment of the origin's clock."""

    def __init__(self, origin: Origin, end: Callable[[Sequence[Item]], float], stats: RealtimeStats) -> None:
        self._origin = origin
        self._end = end
        self._stats = stats
        self._asked: dict[str, list[Asked]] = {}

    async def keep(self, conversation: str, batch: Sequence[Item]) -> list[Settled]:
        """What the application says about each message, or why it did not take it.

        It takes a batch as a whole or not at all, so one that it refuses because of what is in it is offered again in
        halves: one bad message must not take the others with it. In halves the order stays. Any other refusal is of
        the asking, and would be the same for every half.
        """
        try:
            named = all(item.draft.client_id is not None for item in batch)
            drafts = [item.draft.encoded for item in batch]
            end = self._end(batch)
            asked = Asked()
            self._asked.setdefault(conversation, []).append(asked)
            return list(await self._origin.persist(conversation, drafts, named=named, until=end, asked=asked))
        except Unconfirmed:
            return [UNCONFIRMED] * len(batch)
        except OriginAway:
            return [AWAY] * len(batch)
        except GivenUp as error:
            return [UNKNOWN if error.unconfirmed else SHUTTING_DOWN] * len(batch)
        except OriginRefused as error:
            if len(batch) == 1 or error.status not in _OF_A_MESSAGE:
                self._stats.persist_status = error.status
                return [Refusal("origin-refused", str(error), status=error.status)] * len(batch)
        half = len(batch) // 2
        first = await self.keep(conversation, batch[:half])
        if first[-1] in NO_ANSWER:
            return [*first, *[AWAY] * (len(batch) - half)]
        return [*first, *await self.keep(conversation, batch[half:])]

    def may_have_kept(self, conversation: str) -> bool:
        """Whether the application may have kept something of the batch that is under way."""
        return any(asked.unconfirmed for asked in self._asked.get(conversation, ()))

    def finish(self, conversation: str) -> None:
        """The batch is settled: nobody asks about it any more."""
        self._asked.pop(conversation, None)

    def give_up(self) -> None:
        """Try nothing again from now on."""
        self._origin.give_up()
