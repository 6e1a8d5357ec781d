"""Who is let in: users on a connection, and connections into conversations; and who must leave again.

The rule of this room: each user is asked about with a proof of its own, and what was granted holds for as long as the
configuration says. A token that has expired puts its user out then, or on its return. Consent that is older than
`origin.remember` is asked for again when its connection returns or joins again.

Who returns gets what it missed first and is asked about afterwards. Holding its messages back until the application
answers would make a slow application everybody's silence, and a second backlog of what recovery has just kept in
order; this way nobody who stays loses anything, and who must go has heard no more than one whose consent was still
remembered. Without an answer it stays, and the question is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from realtime.alarm import Wake
from realtime.authentication import Authentication, AuthenticationRefused, Claim, bounded_user, public_user
from realtime.consent import Consent
from realtime.deadlines import Deadlines, soonest
from realtime.member import CHANNEL, USER, Member
from realtime.namespace import Namespace
from realtime.origin import Credentials, OriginAway
from realtime.payloads import Refusal, parse_claim
from realtime.proofs import Cloakroom, ProofLost, Proofs
from realtime.publishing import Lookup, rule_for
from realtime.settings import ChatSettings
from realtime.signs import Signs
from realtime.socket import Socket
from realtime.stats import RealtimeStats, count
from realtime.tasks import Tasks

NO_PART: Final = "You do not take part in this conversation."

AGAIN: Final = 5.0
"""Seconds until the application is asked once more about those who have returned, when it has not answered."""

GRACE: Final = 10.0
"""Seconds in which those who have returned and are known by a token that is not here any more may bring it again."""

_AT_ONCE = 16  # connections that are asked about after their return
_EXPIRED_AT_ONCE = 50  # connections that are rid of expired users before anything else has its turn
_SOONEST = 0.01  # seconds: two clocks that differ by a hair must not have the same question asked over and over
_LOOK_AGAIN = 60.0  # seconds after which the time of day, which can be set, may have come closer than it seemed


class Participation:
    """Lets users in, and connections into conversations.

    `members` are the connections by id, `flush` sends what waits in a conversation, `clock` is the time of day in
    seconds, which tokens expire by; `window` is for how long a lost connection may return.
    """

    def __init__(
        self,
        namespace: Namespace,
        settings: ChatSettings,
        *,
        authentication: Authentication,
        consent: Consent | None,
        own_profile: Lookup | None,
        signs: Signs,
        members: Mapping[str, Member],
        flush: Callable[[str], None],
        window: float,
        stats: RealtimeStats,
        wake: Wake,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._namespace = namespace
        self._settings = settings
        self._authentication = authentication
        self._consent = consent
        self._own_profile = own_profile
        self._signs = signs
        self._members = members
        self._flush = flush
        self._stats = stats
        self._wake = wake
        self._now = now
        self._clock = clock
        self._cloakroom = Cloakroom(window)
        self._asked_again: Deadlines[str] = Deadlines()
        self._expiring: Deadlines[str] = Deadlines()
        self._grace: dict[str, float] = {}  # of those about whom not everything is known yet
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks = Tasks()

    def apply(self, settings: ChatSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return soonest(self._cloakroom.deadline, self._asked_again.earliest, self._expiring.earliest)

    def due(self, now: float) -> None:
        """Forget the proofs of those who can no longer return, put out those whose tokens have expired, and repeat
        questions that were not answered.
        """
        self._cloakroom.due(now)
        for id_ in self._expiring.due(now, _EXPIRED_AT_ONCE):
            if (member := self._members.get(id_)) is not None:
                self.expire(member)
                self._watch(member)
        for id_ in self._asked_again.due(now):
            if (member := self._members.get(id_)) is not None:
                self._tasks.spawn(self._ask_again(member), "consent")

    async def close(self) -> None:
        await self._tasks.close()

    # Connections

    def proofs(self, socket: Socket, token: str | None) -> Proofs:
        """What a connection has that comes, or comes back, with this token in its CONNECT packet."""
        former = self._cloakroom.take(socket.id) if socket.recovered else None
        if former is None:
            return Proofs(token)
        return Proofs(former.greeting if token is None else token, former.own)

    def returned(self, member: Member) -> None:
        """A connection has recovered: those of its users who still may are where they were."""
        self.expire(member)
        self._watch(member)
        for conversation in member.conversations:
            presence = self._signs.joined(conversation, member.users_in(conversation), member.socket.id)
            member.socket.emit("presence_update", presence, volatile=True)
        if self._consent is not None and member.conversations:
            self._grace[member.socket.id] = self._now() + GRACE
            self._tasks.spawn(self._ask_again(member), "consent")

    def lost(self, member: Member, *, for_good: bool) -> None:
        """A connection has ended."""
        id_ = member.socket.id
        self._asked_again.drop(id_)
        self._expiring.drop(id_)
        self._grace.pop(id_, None)
        if not for_good:
            self._cloakroom.leave(id_, member.proofs, self._now())
            self._wake(self._cloakroom.deadline)

    # Users

    async def authenticate(self, member: Member, payload: object) -> dict[str, Any] | None:
        claimed, token = parse_claim(payload, self._settings.limits)
        if claimed is not None:
            self._check_users(member, claimed)
        token, how = member.proof_for(claimed, token)
        try:
            identity = await self._authentication.identify(Claim(claimed, token), member.socket.handshake.headers)
        except AuthenticationRefused as refused:
            raise Refusal(refused.reason, str(refused)) from None
        user = identity.user
        if self._own_profile is not None:
            profile = (await self._own_profile([user["id"]])).get(user["id"])
            user = bounded_user({**user, **profile, "id": user["id"]} if isinstance(profile, Mapping) else user)
        outside = await self._outside(member, user["id"], token)
        if member.gone:
            return None
        self._check_users(member, user["id"])
        self._admit(member, user["id"], outside)
        member.admit(public_user(user), how, token, identity.until)
        self._watch(member)
        member.socket.join(USER + user["id"])
        if member.socket.id in self._grace:  # what could not be asked without its token
            self._asked_again.set(member.socket.id, self._now())
            self._wake(self._asked_again.earliest)
        member.socket.emit("authenticated", {"user": user})
        return {"ok": True, "user": user, **({"not_in": outside} if outside else {})}

    def expire(self, member: Member) -> None:
        """Drop those users whose tokens have expired, from everything that is theirs alone."""
        now = self._clock()
        for user in [user for user, until in member.until.items() if until <= now]:
            left = [name for name in member.conversations if member.takes_part(name, user)]
            for conversation in left:
                self._put_out(member, conversation, [user])
            member.drop(user)
            member.socket.leave(USER + user)
            for channel in member.channels:
                if rule_for(self._settings.channels, channel, member.users) is None:
                    member.socket.leave(CHANNEL + channel)
            self._namespace.touch(member.socket)
            count(self._stats.auth_refused, "expired")
            gone = [name for name in left if not member.joined(name)]
            told = Refusal("expired", "The token has expired. Authenticate again.", user=user, left=gone)
            member.socket.emit("auth_error", told.told())

    def _watch(self, member: Member) -> None:
        """Look at a connection when the first of its users' tokens expires."""
        if not member.until:
            self._expiring.drop(member.socket.id)
            return
        left = min(member.until.values()) - self._clock()
        self._expiring.set(member.socket.id, self._now() + min(max(left, _SOONEST), _LOOK_AGAIN))
        self._wake(self._expiring.earliest)

    def by_proof(self, member: Member, users: Iterable[str]) -> tuple[dict[Credentials, list[str]], list[str]]:
        """Those of these users who can be asked about, by what they are known by; and those who cannot any more."""
        groups: dict[Credentials, list[str]] = {}
        lost: list[str] = []
        for user in users:
            try:
                credentials = Credentials.of(member.socket.handshake.headers, member.token_of(user))
            except ProofLost:
                lost.append(user)
            except ValueError:
                continue  # no token at all: nothing can be asked with it, and the answer would be no
            else:
                groups.setdefault(credentials, []).append(user)
        return groups, lost

    def _check_users(self, member: Member, user: str) -> None:
        most = self._settings.users_per_connection
        if user not in member.users and len(member.users) >= most and member.until:
            self.expire(member)
        if user not in member.users and len(member.users) >= most:
            raise Refusal("too-many-users", f"At most {most} users can share a connection.")

    async def _outside(self, member: Member, user: str, token: str | None) -> list[str]:
        """The conversations of this socket in which the user has no part: whoever joins them is asked about."""
        unasked = [name for name in member.conversations if not member.takes_part(name, user)]
        if self._consent is None or not unasked:
            return []
        try:
            credentials = Credentials.of(member.socket.handshake.headers, token)
        except ValueError:
            return unasked
        return await self._consent.refused(unasked, user, credentials)

    def _admit(self, member: Member, user: str, outside: Collection[str]) -> None:
        for conversation in member.conversations:
            others = [other for other in member.outside.get(conversation, ()) if other != user]
            member.keep_outside(conversation, [*others, user] if conversation in outside else others)
            if conversation not in outside:
                self._signs.joined(conversation, [user], member.socket.id)

    # Conversations

    def join(self, member: Member, conversation: str) -> Any:
        """Let a connection into a conversation, or refuse it. Joining where it is already is asking again."""
        self._check_anybody(member, conversation)
        if not member.joined(conversation):
            most = self._settings.limits.conversations_per_connection
            if len(member.conversations) >= most:
                message = f"At most {most} conversations can be joined at once."
                raise Refusal("too-many-conversations", message, conversation_id=conversation)
        if self._consent is not None:
            return self._join_with_consent(self._consent, member, conversation)
        return self._joined(member, conversation)

    @staticmethod
    def _check_anybody(member: Member, conversation: str) -> None:
        if not member.users:
            raise Refusal("not-authenticated", "Authenticate first.", conversation_id=conversation)

    def leave(self, member: Member, conversation: str) -> None:
        """Let a connection out of a conversation."""
        self._flush(conversation)
        self._signs.left(conversation, member.users_in(conversation), member.socket.id)
        member.keep_outside(conversation, ())
        member.socket.leave(member.room + conversation)

    async def _join_with_consent(self, consent: Consent, member: Member, conversation: str) -> dict[str, Any] | None:
        try:
            inside, unproved = await self._among(consent, member, conversation, member.users)
        except OriginAway:
            self._check_anybody(member, conversation)
            if len(self._inside(member, conversation)) < len(member.users):
                message = "The application does not answer; try again in a moment."
                raise Refusal("origin-away", message, conversation_id=conversation) from None
            return self._joined(member, conversation)  # who was let in before stays until somebody says no
        if member.gone:
            return None
        self._check_anybody(member, conversation)  # a token may have expired meanwhile
        inside &= member.users.keys()
        unproved = [user for user in unproved if user in member.users]
        before = self._inside(member, conversation)
        if refused := [user for user in before if user not in inside and user not in unproved]:
            self._put_out(member, conversation, refused)
        if not inside and unproved:
            raise reauthenticate(unproved, conversation_id=conversation)
        if not inside:
            raise Refusal("not-allowed", NO_PART, conversation_id=conversation)
        stays = inside.union(user for user in before if user in unproved)
        member.keep_outside(conversation, [user for user in member.users if user not in stays])
        return self._joined(member, conversation)

    def _joined(self, member: Member, conversation: str) -> dict[str, Any]:
        member.socket.join(member.room + conversation)
        presence = self._signs.joined(conversation, member.users_in(conversation), member.socket.id)
        return {"ok": True, "conversation_id": conversation, "users": presence["users"], "online": presence["online"]}

    @staticmethod
    def _inside(member: Member, conversation: str) -> Collection[str]:
        return member.users_in(conversation) if member.joined(conversation) else ()

    async def _among(
        self, consent: Consent, member: Member, conversation: str, users: Iterable[str]
    ) -> tuple[set[str], list[str]]:
        """Which of these users may be there, and which cannot be asked about. Raises OriginAway."""
        groups, unproved = self.by_proof(member, users)
        answers = await asyncio.gather(
            *(consent.among(conversation, group, credentials) for credentials, group in groups.items())
        )
        return {user for answer in answers for user in answer}, unproved

    def _put_out(self, member: Member, conversation: str, users: Sequence[str]) -> None:
        """These users have no part in a conversation any more; without any that has, the connection leaves it."""
        if set(member.users_in(conversation)) <= set(users):
            self.leave(member, conversation)
        else:
            self._signs.left(conversation, users, member.socket.id)
            member.keep_outside(conversation, [*member.outside.get(conversation, ()), *users])

    # Those who have returned

    async def _ask_again(self, member: Member) -> None:
        """Whether those who have returned still have consent, one conversation after the other."""
        if self._consent is None:
            return
        complete = True
        async with self._turns:
            for conversation in member.conversations:
                try:
                    complete = await self._confirm(self._consent, member, conversation) and complete
                except OriginAway:
                    complete = False
                    break  # the others need not wait for it one after the other
        if member.gone:
            return
        if complete:
            self._grace.pop(member.socket.id, None)
        else:
            self._asked_again.set(member.socket.id, self._now() + AGAIN)
            self._wake(self._asked_again.earliest)

    async def _confirm(self, consent: Consent, member: Member, conversation: str) -> bool:
        """Ask once more about those who are in a conversation; False when not everybody could be asked about."""
        users = list(self._inside(member, conversation))
        proofs, _ = self.by_proof(member, users)
        inside, unproved = await self._among(consent, member, conversation, users)
        if member.gone or not users:
            return True
        if self.by_proof(member, users)[0] != proofs:
            return False  # somebody has authenticated meanwhile: the answer is about something else
        here = self._inside(member, conversation)
        refused = [user for user in users if user in here and user not in inside and user not in unproved]
        if refused:
            self._tell(member, conversation, refused, Refusal("not-allowed", NO_PART))
        if unproved and self._now() < self._grace.get(member.socket.id, 0.0):
            return False
        if lost := [user for user in unproved if user in self._inside(member, conversation)]:
            self._tell(member, conversation, lost, reauthenticate(lost))
        return True

    def _tell(self, member: Member, conversation: str, users: Sequence[str], why: Refusal) -> None:
        """Put users out of a conversation, and say so."""
        self._put_out(member, conversation, users)
        self._namespace.touch(member.socket)
        self._stats.joins_refused += 1
        told = {**why.told(), "conversation_id": conversation, "users": list(users)}
        member.socket.emit("message_error", told)


def reauthenticate(users: Sequence[str], **details: Any) -> Refusal:
    """For a question that cannot be asked without what these users were known by."""
    message = f"Authenticate again: the server was restarted and does not have the token of {', '.join(users)}."
    return Refusal("reauthenticate", message[:300], users=list(users), **details)
