"""The reference application's events, as an application on the hub.

The rule of this room: every event is parsed, allowed or refused here, and whoever asked is told; what becomes of a
message afterwards is `conversations`' business. Nobody acts for a user who is not authenticated on the same socket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from realtime.activity import Activities
from realtime.alarm import Alarm
from realtime.audience import Audience
from realtime.authentication import Authentication
from realtime.confirmation import NO_PART
from realtime.consent import Consent
from realtime.conversations import Conversations, Settle
from realtime.deletion import Deletion
from realtime.limits import TokenBuckets
from realtime.member import CHANNEL, CONVERSATION, SHAPES, USER, Handle, Member
from realtime.namespace import Namespace
from realtime.origin import Origin
from realtime.participation import Participation
from realtime.payloads import (
    Draft,
    Refusal,
    named,
    parse_batch,
    parse_deletion,
    parse_id,
    parse_message,
    parse_place,
)
from realtime.proofs import Proofs
from realtime.publishing import Lookup, Publisher, PurgeTags, rule_for
from realtime.quality import Grade, ReportRefused, Verdict, judged, parse_client_report
from realtime.reception import Reception
from realtime.repeats import Repeats
from realtime.resting import Ears
from realtime.settings import ChatSettings
from realtime.signs import Signs
from realtime.socket import Absent, Socket
from realtime.stats import RealtimeStats
from realtime.tasks import Tasks

_MESSAGE_ERROR = "message_error"


class Chat:
    """Users, conversations and channels in one namespace.

    `now` is monotonic seconds, `wall` the time of day as text and `clock` in seconds, `new_id` makes ids for messages
    that the application gave none. Whoever is lost may return within `returns_within` seconds. `profiles` and `likes`
    look up what is known, and never raise; `own_profile` does so, with more patience, for a user who authenticates.
    `silence` tells for how many seconds an Engine.IO session has owed a sign of life, `ears`
    hear speakers who rest.
    """

    def __init__(
        self,
        namespace: Namespace,
        settings: ChatSettings,
        *,
        authentication: Authentication,
        origin: Origin | None,
        repeats: Repeats,
        profiles: Lookup | None,
        likes: Lookup | None,
        own_profile: Lookup | None,
        settled: Settle | None,
        write_now: Callable[[], bool],
        purge_tags: PurgeTags | None,
        silence: Callable[[str], float],
        ears: Ears,
        stats: RealtimeStats,
        now: Callable[[], float],
        wall: Callable[[], str],
        clock: Callable[[], float],
        returns_within: float,
        new_id: Callable[[], str],
    ) -> None:
        self.tasks = Tasks()
        self.alarm = Alarm(now)
        self.audience = Audience(namespace, settings.deliver)
        self.activities = Activities()
        self.reception = Reception(namespace, settings.limits.events, stats=stats, now=now)
        self.members: Mapping[str, Member] = self.reception.members
        self.signs = Signs(
            namespace,
            self.audience,
            self.members,
            settings.typing,
            settings.presence_grace,
            returns_within,
            now,
            self.alarm.nearer,
        )
        self._namespace = namespace
        self._settings = settings
        self._silence = silence
        self._settled = settled
        self._now = now
        self._messages: TokenBuckets[str] = TokenBuckets(settings.limits.messages)
        self._user_messages: TokenBuckets[str] = TokenBuckets(settings.limits.user_messages)
        self.conversations = Conversations(
            settings.batch,
            repeats=repeats,
            origin=origin,
            senders=profiles,
            deliver=self._deliver,
            failed=self._message_failed,
            settled=settled,
            write_now=write_now,
            stats=stats,
            tasks=self.tasks,
            wake=self.alarm.nearer,
            ears=ears,
            now=now,
            wall=wall,
            new_id=new_id,
        )
        self.publisher = Publisher(
            settings.channels,
            delay=settings.channel_delay,
            emit=self._emit,
            profiles=profiles,
            likes=likes,
            purge_tags=purge_tags,
            stats=stats,
            tasks=self.tasks,
            wake=self.alarm.nearer,
            now=now,
        )
        asks = origin is not None and origin.settings.authorize is not None
        self.participation = Participation(
            namespace,
            settings,
            authentication=authentication,
            consent=Consent(origin, now=now) if origin is not None and asks else None,
            own_profile=own_profile,
            signs=self.signs,
            members=self.members,
            leaves=self.conversations.leaves,
            window=returns_within,
            recheck=0.0 if origin is None else origin.settings.recheck,
            stats=stats,
            wake=self.alarm.nearer,
            now=now,
            clock=clock,
        )
        self._deletion = Deletion(origin, self.conversations.authorship, self.participation, self.audience)
        self.alarm.watch(self.conversations, self.publisher, self.signs, self.participation)
        self._register()

    def apply(self, settings: ChatSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings
        self.audience.default = settings.deliver
        self.participation.apply(settings)
        self.signs.apply(settings.typing)
        self.reception.apply(settings.limits.events)
        self._messages.rate, self._user_messages.rate = settings.limits.messages, settings.limits.user_messages
        self.conversations.apply(settings.batch)
        self.publisher.apply(settings.channels, settings.channel_delay)

    @property
    def settings(self) -> ChatSettings:
        """Those that hold now."""
        return self._settings

    async def drain(self) -> None:
        """Take no more messages, and see those under way to their end; channels tell what they hold."""
        self.publisher.flush()
        await self.conversations.drain()

    async def give_up(self) -> None:
        """After `drain`: refuse the messages that the application has not taken, and tell their senders."""
        await self.conversations.give_up()

    def remember(self) -> None:
        """Know what is known of before a restart."""
        self.conversations.remember()
        self.signs.restore(
            Member(socket, Proofs(), self.tasks) for socket in self._namespace.restored(self._settings.presence_grace)
        )

    async def close(self) -> None:
        """End what is under way; whoever waits for it is not told any more."""
        for member in self.members.values():
            member.leave()
        await self.participation.close()
        await self.tasks.close()
        self.alarm.stop()

    def grade(self, member: Member) -> Grade:
        """How good a client's connection is, by the worse of what was measured and what its users' browser reported."""
        return self.judged(member).grade

    def judged(self, member: Member) -> Verdict:
        """The same, with what it is of."""
        # Alerts and tuning go by the grades, so what somebody says whom nobody knows must not move them.
        believed = member.report if member.users else None
        connection, reported = member.socket.connection, None if believed is None else believed.latency
        return judged(connection.round_trip, reported, self._silence(connection.sid))

    def members_of(self, conversation: str, most: int) -> list[Member]:
        """Clients that are in a conversation, at most so many."""
        found = (self.members.get(socket.id) for socket in self.audience.sockets(conversation))
        return list(islice((member for member in found if member is not None), most))

    def subscribers(self, channel: str) -> int:
        """How many sockets a publication to `channel` concerns."""
        if channel.startswith(CONVERSATION):
            return self.audience.size(channel.removeprefix(CONVERSATION))
        room = channel if channel.startswith(USER) else CHANNEL + channel
        return len(self._namespace.members(room))

    def _register(self) -> None:
        self._namespace.returning(self._returning)
        self._namespace.on("connect")(self._connected)
        self._namespace.on("disconnect")(self._disconnected)
        self.reception.on("authenticate", self.participation.authenticate, "auth_error")
        events: dict[str, Handle] = {
            "join_conversation": self._join,
            "leave_conversation": self._leave,
            "send_message": self._send_message,
            "send_message_batch": self._send_message_batch,
            "delete_message": self._delete_message,
            "typing_start": self._typing_start,
            "typing_stop": self._typing_stop,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "client_metrics": self._client_metrics,
        }
        for event, handle in events.items():
            self.reception.on(event, handle, _MESSAGE_ERROR)

    # Coming and going

    def _member(self, socket: Socket, auth: object) -> Member:
        token = auth.get("token") if isinstance(auth, dict) else None
        proofs = self.participation.proofs(socket, token if isinstance(token, str) else None)
        return Member(socket, proofs, self.tasks)

    def _returning(self, socket: Absent, auth: object) -> Awaitable[None] | None:
        return self.participation.returning(self._member(socket, auth))

    def _connected(self, socket: Socket, auth: object) -> None:
        member = self._member(socket, auth)
        shape = auth.get("deliver") if isinstance(auth, dict) else None
        self.reception.members[socket.id] = member
        if socket.recovered:
            self.participation.returned(member)
        elif shape in SHAPES and shape != self._settings.deliver:
            member.choose(shape)

    def _disconnected(self, socket: Socket, reason: str) -> None:
        member = self.reception.members.pop(socket.id, None)
        if member is None:
            return
        member.leave()
        for_good = reason in ("client-disconnect", "server-disconnect")
        self.participation.lost(member, for_good=for_good)
        for conversation in member.conversations:
            self.conversations.leaves(member.socket, conversation)
            if for_good:
                self.signs.left(conversation, member.users_in(conversation), socket.id)
            else:
                self.signs.stops(conversation, member.users_in(conversation), socket.id)
        self.signs.lost(socket.id)

    # Conversations

    def _join(self, member: Member, payload: object) -> Any:
        conversation, _ = parse_place(payload, self._settings.limits)
        if member.until:
            self.participation.expire(member)
        return self.participation.join(member, conversation)

    def _leave(self, member: Member, payload: object) -> Any:
        conversation, _ = parse_place(payload, self._settings.limits)
        if member.joined(conversation):
            self.participation.leave(member, conversation)
        return self._once_settled({"ok": True, "conversation_id": conversation})

    def _once_settled(self, answer: dict[str, Any]) -> Any:
        """Tell who has given something up that it has when no restart gives it back."""
        settled = self._settled
        if settled is None:
            return answer

        async def later() -> dict[str, Any]:
            await settled()
            return answer

        return self.tasks.spawn(later(), "acknowledgement")

    def _send_message(self, member: Member, payload: object) -> Any:
        return self._send(member, [parse_message(payload, self._settings.limits)])

    def _send_message_batch(self, member: Member, payload: object) -> Any:
        return self._send(member, parse_batch(payload, self._settings.limits), is_batch=True)

    def _send(self, member: Member, drafts: list[Draft], *, is_batch: bool = False) -> Any:
        first = drafts[0]
        if member.until:
            self.participation.expire(member)
        try:
            self._check_senders(member, drafts, is_batch)
            self.reception.allow(self._messages, "messages", member.socket.id, len(drafts))
            senders = {first.sender: 1} if len(drafts) == 1 else Counter(draft.sender for draft in drafts)
            for sender, messages in senders.items():
                self.reception.allow(self._user_messages, "user-messages", sender, messages)
            sent = self.conversations.send(member.socket, member.users, drafts)
        except Refusal as refusal:
            refusal.details.setdefault("conversation_id", first.conversation)
            if len(drafts) == 1 and first.client_id is not None:
                refusal.details.setdefault("client_id", first.client_id)
            raise
        member.messages += len(drafts)
        self.signs.stops(first.conversation, senders, member.socket.id)
        return sent

    def _deliver(self, conversation: str, messages: list[dict[str, Any]], first: Callable[[], None]) -> int:
        self.activities.note(conversation, len(messages), self._now())
        return self.audience.deliver(conversation, messages, first)

    @staticmethod
    def _check_senders(member: Member, drafts: Sequence[Draft], is_batch: bool) -> None:
        conversation = drafts[0].conversation
        joined, outside = member.joined(conversation), member.outside.get(conversation, ())
        for index, draft in enumerate(drafts):
            if draft.sender not in member.users:
                message = "The sender is not authenticated on this connection."
                raise Refusal("not-authenticated", message, **named(draft, index if is_batch else None))
            if joined and draft.sender in outside:
                raise Refusal("not-allowed", NO_PART, **named(draft, index if is_batch else None))
        if not joined:
            raise Refusal("not-joined", "Join the conversation first.")

    def _delete_message(self, member: Member, payload: object) -> Any:
        conversation, message, named = parse_deletion(payload, self._settings.limits)
        if member.until:
            self.participation.expire(member)
        return self._deletion.delete(member, conversation, message, named)

    def _message_failed(self, socket: Socket, user: str, failure: dict[str, Any]) -> None:
        """A message that was taken has failed: tell the client it came from, or wherever its user is by now."""
        self.activities.fail(failure["conversation_id"], self._now())
        if (member := self.members.get(socket.id)) is not None:
            member.failed += 1
            member.socket.emit(_MESSAGE_ERROR, failure)  # another socket, if the client has recovered since
        else:
            self._namespace.emit((socket.id, USER + user), _MESSAGE_ERROR, failure)

    # Typing

    def _typing_start(self, member: Member, payload: object) -> dict[str, Any]:
        conversation, user = self._typing_place(member, payload)
        self.signs.starts(conversation, user, member.socket.id)
        return {"ok": True}

    def _typing_stop(self, member: Member, payload: object) -> dict[str, Any]:
        conversation, user = self._typing_place(member, payload)
        self.signs.stops(conversation, [user], member.socket.id)
        return {"ok": True}

    def _typing_place(self, member: Member, payload: object) -> tuple[str, str]:
        """The conversation and the user; where none is named, the one who authenticated last."""
        conversation, user = parse_place(payload, self._settings.limits)
        if member.until:
            self.participation.expire(member)
        user = user or next((each for each in reversed(member.users) if member.takes_part(conversation, each)), None)
        if user is None or user not in member.users:
            raise Refusal("not-authenticated", "Authenticate first.", conversation_id=conversation)
        if not member.joined(conversation):
            raise Refusal("not-joined", "Join the conversation first.", conversation_id=conversation)
        if not member.takes_part(conversation, user):
            raise Refusal("not-allowed", NO_PART, conversation_id=conversation)
        return conversation, user

    # Channels, and the rest

    def _subscribe(self, member: Member, payload: object) -> dict[str, Any]:
        channel = parse_id(payload, "channel", self._settings.limits)
        if member.until:
            self.participation.expire(member)
        rule = rule_for(self._settings.channels, channel, member.users)
        if rule is None:
            raise Refusal("not-allowed", "This channel is not open to you.", channel=channel)
        most, channels = self._settings.limits.channels_per_connection, member.channels
        if channel not in channels and len(channels) >= most:
            raise Refusal("too-many-channels", f"At most {most} channels can be subscribed to.", channel=channel)
        if not channel.startswith(USER):  # that is a room which an authenticated user is in anyway
            member.socket.join(CHANNEL + channel)
            member.socket.commit()
        return {"ok": True, "channel": channel, "mode": rule.mode}

    def _unsubscribe(self, member: Member, payload: object) -> Any:
        channel = parse_id(payload, "channel", self._settings.limits)
        member.socket.leave(CHANNEL + channel)
        return self._once_settled({"ok": True, "channel": channel})

    def _client_metrics(self, member: Member, payload: object) -> dict[str, Any]:
        try:
            member.report = parse_client_report(payload)
        except ReportRefused as refused:
            raise Refusal("invalid", f"client_metrics: {refused}") from None
        member.reports += 1
        member.reported_at = self._now()
        return {"ok": True, "quality": self.grade(member)}

    def _emit(self, room: str, event: str, data: Any, conflate: str | None = None) -> int:
        if room.startswith(CONVERSATION):
            return self.audience.tell(room.removeprefix(CONVERSATION), event, data)
        return self._namespace.emit(room, event, data, conflate=conflate)
