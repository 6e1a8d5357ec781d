"""A message's way: it waits for its window, is kept by the application, is delivered, and its sender is told.

The rule of this room: every message that is taken ends in exactly one of two ways, delivered or refused, and its
sender hears which. Within a conversation nothing overtakes; conversations do not wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from realtime.alarm import Wake
from realtime.authorship import Authorship
from realtime.batching import Windows
from realtime.deadlines import soonest
from realtime.member import CONVERSATION_ROOMS
from realtime.origin import Origin
from realtime.patience import Patience
from realtime.payloads import Draft, Refusal
from realtime.persistence import Persistence
from realtime.repeats import Key, Repeats, id_of, key_of
from realtime.resting import Ears
from realtime.sending import (
    AWAY,
    FAILED,
    NO_ANSWER,
    TOLD,
    UNCONFIRMED,
    Item,
    Sending,
    Settled,
    Told,
    name_of,
)
from realtime.settings import BatchSettings
from realtime.stats import RealtimeStats, count
from realtime.stopping import Stop, Stopped
from realtime.tasks import Tasks

if TYPE_CHECKING:
    from realtime.socket import Socket

Delivered = Callable[[str, list[dict[str, Any]], Callable[[], None]], int]
"""Hands a batch to the members of a conversation; how many sessions got it. Calls the last argument before any does."""
Senders = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]]]
"""The profiles of users, as far as they are to be had. Never raises."""

Settle = Callable[[], Awaitable[object]]
"""Waits until what was delivered so far would survive the end of this process."""


_log = logging.getLogger("cachewire.realtime")


class Conversations:
    """The messages under way in all conversations.

    `repeats` knows what was delivered a short while ago; `senders` loads profiles, None where there are none;
    `failed` hears of every message that was taken and failed, with the socket and the user it came from, whether or
    not an ack was asked for; `wake` hears of deadlines; `ears` hear those who rest; `wall` is the time as text.
    `write_now` writes down what was kept and says whether it could; where not, senders are told once it is `settled`.
    """

    def __init__(
        self,
        settings: BatchSettings,
        *,
        repeats: Repeats,
        origin: Origin | None,
        senders: Senders | None,
        deliver: Delivered,
        failed: Callable[[Socket, str, Told], None],
        settled: Settle | None,
        write_now: Callable[[], bool],
        stats: RealtimeStats,
        tasks: Tasks,
        wake: Wake,
        ears: Ears,
        now: Callable[[], float],
        wall: Callable[[], str],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._senders = senders
        self._deliver = deliver
        self._failed = failed
        self._settle = settled
        self._write_now = write_now
        self._stats = stats
        self._tasks = tasks
        self._wake = wake
        self._ears = ears
        self._now = now
        self._wall = wall
        self._new_id = new_id
        self._windows: Windows[Item] = Windows(settings.mode, settings.delay, settings.max_messages, settings.max_bytes)
        self._waiting: dict[str, tuple[int, int]] = {}  # messages and bytes taken and not settled, by conversation
        self._bytes = 0
        self._repeats = repeats
        self._under_way: dict[Key, list[tuple[Sending, int]]] = {}  # and who has repeated it meanwhile
        self.authorship = Authorship()
        self._closed = False
        self._stop = Stop()
        self._unsettled: set[asyncio.Task[None]] = set()
        asked = origin if origin is not None and origin.settings.persist is not None else None
        self._patience: Patience[Item] = Patience(0.0 if asked is None else asked.settings.patience)
        self._persistence = None if asked is None else Persistence(asked, self._patience.end, stats)

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return soonest(self._windows.deadline, self._patience.deadline)

    def waiting(self, conversation: str) -> int:
        """How many messages were taken and are not settled."""
        return self._waiting.get(conversation, (0, 0))[0]

    def remember(self) -> None:
        """After a restart: know the senders of those messages whose repetitions are recognised."""
        for record in self._repeats.records(self._now()):
            (conversation, sender, _), id_ = key_of(record), id_of(record)
            self.authorship.note(conversation, sender, id_)

    def apply(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._windows.change(settings.mode, settings.delay, settings.max_messages, settings.max_bytes)

    def send(self, socket: Socket, authors: Mapping[str, Any], drafts: Sequence[Draft]) -> Sending:
        """Take the drafts of one event, all of one conversation and sender. Raises Refusal when there is no room.

        A draft whose client_id this sender used in the conversation a short while ago is not sent again: it is
        what a client repeats when an answer did not come through.
        """
        now = self._now()
        if fresh := self._fresh(drafts, now):
            self._make_room(fresh)
        sending, conversation = Sending(socket, authors, len(drafts)), drafts[0].conversation
        items = []
        for place, draft in enumerate(drafts):
            item = Item(draft, sending, place, now)
            if draft.client_id is None or not self._answered_before(name_of(draft), item, now):
                items.append((item, draft.size))
        if items and (batch := self._windows.add_all(conversation, items, now)) is not None:
            self._leave(conversation, batch)
        self._wake(self._windows.deadline)
        if (until := self._windows.unheard_until(conversation, now)) is not None:
            _rest(socket, until)
        return sending

    def due(self, now: float) -> None:
        """Send the batches whose windows have ended, with what their speakers have said while they rested, and refuse
        what has waited for too long.
        """
        for conversation, item in self._patience.due(now):
            self._tell([item], [UNCONFIRMED if self._may_be_kept(conversation) else AWAY])
            if item.draft.client_id is not None:
                self._under_way[name_of(item.draft)] = []  # still: who repeats it now waits for the same answer
        deadline = self._windows.deadline
        if deadline is None or now < deadline:
            return
        try:
            self._ears.hear()
            for conversation, batch in self._windows.due(now):
                self._leave(conversation, batch)
        finally:
            self._ears.release()

    def leaves(self, socket: Socket, conversation: str) -> None:
        """Somebody leaves a conversation: if it has said anything that waits, nothing of it waits any longer."""
        if any(item.sending.socket is socket for item in self._windows.collected(conversation)):
            self._flush(conversation)

    def _flush(self, conversation: str) -> None:
        if (batch := self._windows.flush(conversation, self._now())) is not None:
            self._leave(conversation, batch)

    async def drain(self) -> None:
        """Take nothing more, and see everything under way to its end."""
        self._closed = True
        for conversation in list(self._waiting):
            self._flush(conversation)
        while self._tasks:
            await self._tasks.settled()

    async def give_up(self) -> None:
        """After `drain`: refuse what the application has not taken yet, and wait until its senders have been told."""
        self._stop.now()
        if self._persistence is not None:
            self._persistence.give_up()
        while self._unsettled:
            await asyncio.wait(list(self._unsettled))

    def _make_room(self, drafts: Sequence[Draft]) -> None:
        """Count them as waiting. Raises Refusal when too much waits already."""
        conversation, settings = drafts[0].conversation, self._settings
        messages, bytes_ = self._waiting.get(conversation, (0, 0))
        size = drafts[0].size if len(drafts) == 1 else sum(draft.size for draft in drafts)
        messages, bytes_, in_all = messages + len(drafts), bytes_ + size, self._bytes + size
        if self._closed:
            raise Refusal(
                "shutting-down", "The server is being restarted.", conversation_id=conversation, retry_after=2
            )
        full = messages > settings.queued_messages or bytes_ > settings.queued_bytes
        if full or in_all > settings.queued_bytes_in_all:
            for _ in drafts:
                count(self._stats.messages_failed, "queue-full")
            raise Refusal("queue-full", "Too many messages are waiting.", conversation_id=conversation, retry_after=1)
        self._waiting[conversation] = messages, bytes_
        self._bytes = in_all

    def _fresh(self, drafts: Sequence[Draft], now: float) -> Sequence[Draft]:
        """Those that were not sent before, each name once."""
        for draft in drafts:
            if draft.client_id is not None:
                break
        else:
            return drafts
        fresh, names = [], set()
        for draft in drafts:
            if draft.client_id is not None:
                key = name_of(draft)
                if key in names or key in self._under_way or self._repeats.find(key, now) is not None:
                    continue
                names.add(key)
            fresh.append(draft)
        return fresh

    def _answered_before(self, key: Key, item: Item, now: float) -> bool:
        """Whether a message was sent before: then its answer is that of the first time. Otherwise it is under way."""
        if (repeated := self._under_way.get(key)) is not None:
            repeated.append((item.sending, item.place))
            return True
        if (record := self._repeats.find(key, now)) is not None:
            item.sending.settle(item.place, id_of(record), None)
            return True
        self._under_way[key] = []
        return False

    def _leave(self, conversation: str, batch: list[Item] | None) -> None:
        if self._persistence is not None or self._senders is not None:
            self._spawn(self._carry(conversation, batch), "batch")
            return
        while batch is not None:  # nobody has to be asked: it is delivered before this returns
            since, now = self._now(), self._wall()
            self._hand_over(conversation, batch, [self._finished(item, {}, None, now) for item in batch])
            batch = self._done(conversation, batch, since)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._tasks.spawn(work, name)
        self._unsettled.add(task)
        task.add_done_callback(self._unsettled.discard)

    async def _carry(self, conversation: str, batch: list[Item] | None) -> None:
        """See a batch, and those that become ready meanwhile, through persistence and delivery."""
        given_up = False
        while batch is not None:
            since = self._now()
            if hopeless := self._patience.hopeless(batch, since, away=given_up):
                self._hand_over(conversation, batch[:hopeless], [AWAY] * hopeless)
            if batch := batch[hopeless:]:
                batch, settled = await self._carried(conversation, batch)
                given_up = settled[-1] in NO_ANSWER
                since = self._now()
                self._hand_over(conversation, batch, settled)
            batch = self._done(conversation, batch, since)
        self._wake(self._windows.deadline)

    async def _carried(self, conversation: str, batch: list[Item]) -> tuple[list[Item], Sequence[Settled]]:
        """What became of each message. Whoever has lost patience meanwhile has been told so; if the message was
        repeated since, what became of it is for the repetition.
        """
        self._patience.begin(conversation, batch)
        self._wake(self._patience.deadline)
        try:
            settled = await self._settled(conversation, batch)
        except Exception:
            _log.exception("a batch of %d messages could not be persisted", len(batch))
            settled = [FAILED] * len(batch)
        if self._persistence is not None:
            self._persistence.finish(conversation)
        if told := self._patience.finish(conversation):
            heirs = [self._repeated(item) if id(item) in told else item for item in batch]
            settled = [TOLD if heir is None else outcome for heir, outcome in zip(heirs, settled, strict=True)]
            batch = [heir or item for heir, item in zip(heirs, batch, strict=True)]
        return batch, settled

    def _repeated(self, item: Item) -> Item | None:
        """The same message for whoever was the first to repeat it after its sender was told that it may be lost."""
        if item.draft.client_id is None:
            return None
        if not (waiting := self._under_way[name_of(item.draft)]):
            del self._under_way[name_of(item.draft)]
            return None
        sending, place = waiting.pop(0)
        return item._replace(sending=sending, place=place)

    def _done(self, conversation: str, batch: Sequence[Item], since: float) -> list[Item] | None:
        """A batch, handed over since then, is settled: the next one, or its senders may rest until there is one."""
        now = self._now()
        following = self._windows.done(conversation, now, now - since)
        if following is None and (until := self._windows.unheard_until(conversation, now)) is not None:
            for socket in {item.sending.socket for item in batch}:
                _rest(socket, until)
        return following

    async def _settled(self, conversation: str, batch: Sequence[Item]) -> Sequence[Settled]:
        """Ask the application to keep the batch and, at the same time, who its senders are."""
        persisted, profiles = await asyncio.gather(self._kept(conversation, batch), self._authors(batch))
        now = self._wall()
        return [
            said if isinstance(said, Refusal) else self._finished(item, said, profiles.get(item.draft.sender), now)
            for item, said in zip(batch, persisted, strict=True)
        ]

    async def _kept(self, conversation: str, batch: Sequence[Item]) -> Sequence[Settled]:
        return [{} for _ in batch] if self._persistence is None else await self._persistence.keep(conversation, batch)

    def _may_be_kept(self, conversation: str) -> bool:
        return self._persistence is not None and self._persistence.may_have_kept(conversation)

    async def _authors(self, batch: Sequence[Item]) -> Mapping[str, Any]:
        if self._senders is None:
            return {}
        try:
            with self._stop.watching():
                return await self._senders(list({item.draft.sender: None for item in batch}))
        except Stopped:
            return {}

    def _finished(
        self, item: Item, said: Mapping[str, Any], profile: Mapping[str, Any] | None, now: str
    ) -> dict[str, Any]:
        """The message as it is delivered: what the application says of it comes before what we know."""
        return {
            "id": said["id"] if "id" in said else self._new_id(),
            "conversation_id": item.draft.conversation,
            **item.draft.message,
            "created_at": said.get("created_at") or now,
            **said,
            "sender": said.get("sender") or profile or item.sending.authors.get(item.draft.sender),
        }

    def _hand_over(self, conversation: str, batch: Sequence[Item], settled: Sequence[Settled]) -> None:
        """Deliver what went well in one piece, then tell the senders.

        What is delivered is written down first, with the names under which it may be repeated: after a kill -9 those
        who have it do not get it again, neither as what they missed nor because a sender had no answer.
        """
        written = False

        def write() -> None:
            nonlocal written
            self._note_delivered(batch, settled)
            written = self._write_now()

        messages = [message for message in settled if not isinstance(message, Refusal)]
        if messages and not self._delivered(conversation, messages, write):
            messages, settled = [], [FAILED] * len(batch)
        self._release(conversation, batch)
        settle = None if written or not messages else self._settle
        if settle is None or not any(self._is_awaited(item) for item in batch):
            self._tell(batch, settled)
        else:
            self._spawn(self._tell_when_settled(settle, batch, settled), "acknowledgement")

    def _is_awaited(self, item: Item) -> bool:
        """Whether somebody wants to know, or may come to: what bears a name of its sender's can be repeated, and the
        repetition is answered from what is noted here.
        """
        return item.sending.wanted or item.draft.client_id is not None

    def _delivered(self, conversation: str, messages: list[dict[str, Any]], write: Callable[[], None]) -> bool:
        try:
            sessions = self._deliver(conversation, messages, write)
        except Exception:
            # What the application answered may be more than JSON can say. The next batch must go on all the same.
            _log.exception("a batch of %d messages could not be delivered", len(messages))
            return False
        self._stats.batch(len(messages))
        self._stats.messages += len(messages)
        self._stats.deliveries += sessions * len(messages)
        return True

    async def _tell_when_settled(self, settle: Settle, batch: Sequence[Item], settled: Sequence[Settled]) -> None:
        await settle()
        self._tell(batch, settled)

    def _tell(self, batch: Sequence[Item], settled: Sequence[Settled]) -> None:
        for item, outcome in zip(batch, settled, strict=True):
            if outcome is TOLD:
                continue
            if isinstance(outcome, Refusal):
                failure = {**outcome.told(), "conversation_id": item.draft.conversation}
                if item.draft.client_id is not None:
                    failure["client_id"] = item.draft.client_id
                self._stats.persist_failures += 1
                count(self._stats.messages_failed, outcome.reason)
                self._failed(item.sending.socket, item.draft.sender, failure)
                self._end(item, None, failure)
            else:
                self.authorship.note(item.draft.conversation, item.draft.sender, outcome["id"])
                self._end(item, outcome["id"], None)

    def _end(self, item: Item, id_: Any, failure: Told | None) -> None:
        """Tell the sending, and those that have repeated the message since."""
        item.sending.settle(item.place, id_, failure)
        if item.draft.client_id is not None:
            for sending, place in self._under_way.pop(name_of(item.draft)):
                sending.settle(place, id_, failure)

    def _note_delivered(self, batch: Sequence[Item], settled: Sequence[Settled]) -> None:
        """Before anybody is told: an acknowledgement that gets lost is asked for again, of the next process as well."""
        now = self._now()
        for item, outcome in zip(batch, settled, strict=True):
            if item.draft.client_id is not None and not isinstance(outcome, Refusal):
                self._repeats.add(name_of(item.draft), outcome["id"], now)

    def _release(self, conversation: str, batch: Sequence[Item]) -> None:
        size = sum([item.draft.size for item in batch])
        messages, bytes_ = self._waiting[conversation]
        self._bytes -= size
        if messages == len(batch):
            del self._waiting[conversation]
        else:
            self._waiting[conversation] = (messages - len(batch), bytes_ - size)


def _rest(socket: Socket, until: float) -> None:
    """Let a speaker of a busy conversation rest, unless it is in another one as well: that may be a quiet one, in
    which nothing waits for anything."""
    if sum(room.startswith(CONVERSATION_ROOMS) for room in socket.rooms) == 1:
        socket.connection.rest(until)
