"""Who is let in: users on a connection, and connections into conversations; and who must leave again.

The rule of this room: each user is asked about with a proof of its own, and what was granted holds for as long as the
configuration says. A token that has expired ends its user then, also while its connection is away. What the
application said longer ago than `origin.remember` is asked again when a connection returns or joins again.

Who returns is asked about first and gets what it missed afterwards, without what is not for it any more. It stays away
meanwhile, as far as recovery knows, so that nothing has to be held back but by the one who keeps it anyway. That takes
HOLD seconds at most: an application that does not answer may not make everybody silent. Then everybody stays as
nobody has said no, and the question is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

from realtime.alarm import Wake
from realtime.authentication import (
    AskOrigin,
    Authentication,
    AuthenticationRefused,
    Claim,
    Unanswered,
    bounded_user,
    public_user,
)
from realtime.confirmation import AGAIN, NO_PART, Confirmation
from realtime.consent import Consent
from realtime.deadlines import Deadlines, soonest
from realtime.endings import NEVER, Endings
from realtime.joining import Joining
from realtime.member import USER, Member
from realtime.namespace import Namespace
from realtime.origin import OriginAway
from realtime.payloads import Refusal, parse_claim
from realtime.proofs import Cloakroom, How, Proofs
from realtime.publishing import Lookup
from realtime.rechecks import Rechecks
from realtime.revocation import Revocation, Revocations
from realtime.settings import ChatSettings
from realtime.signs import Signs
from realtime.socket import Absent, Socket
from realtime.stats import RealtimeStats
from realtime.tasks import Tasks

GRACE: Final = 10.0
"""Seconds in which those who have returned and are known by a token that is not here any more may bring it again; they
begin when the application answers.
"""

HOLD: Final = 2.0
"""Seconds for which a connection that returns waits, at most, for what the application says about its users."""

_EXPIRED_AT_ONCE = 50  # connections that are rid of expired users before anything else has its turn
_SOONEST = 0.01  # seconds: two clocks that differ by a hair must not have the same question asked over and over
_LOOK_AGAIN = 60.0  # seconds after which the time of day, which can be set, may have come closer than it seemed


class Participation:
    """Lets users in, and connections into conversations.

    `members` are the connections by id, `leaves` hears of sockets that leave a conversation, `clock` is the time of
    day in seconds, which tokens expire by; `window` is for how long a lost connection may return, `recheck` how often
    those who are here are asked about (0: never).
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
        leaves: Callable[[Socket, str], None],
        window: float,
        recheck: float,
        stats: RealtimeStats,
        wake: Wake,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._namespace = namespace
        self._settings = settings
        self._authentication = authentication
        self._sessions = authentication if isinstance(authentication, AskOrigin) else None
        self._consent = consent
        self._own_profile = own_profile
        self._signs = signs
        self._members = members
        self._wake = wake
        self._now = now
        self._clock = clock
        self._cloakroom = Cloakroom(window)
        self._asked_again: Deadlines[str] = Deadlines()
        self._expiring: Deadlines[str] = Deadlines()
        self._grace: dict[str, float] = {}  # of those about whom not everything is known yet
        self._tasks = Tasks()
        self._returning: dict[str, tuple[Member, asyncio.Task[None]]] = {}
        self._revocations = Revocations()
        self._endings = Endings(
            lambda: self._settings.channels, signs=signs, leaves=leaves, stats=stats, now=now, clock=clock
        )
        self._confirmation = Confirmation(self._sessions, consent, self._endings)
        self._rechecks = Rechecks(
            recheck,
            namespace,
            members,
            confirmation=self._confirmation,
            may_bring=self._may_bring,
            endings=self._endings,
            tasks=self._tasks,
            wake=wake,
            now=now,
        )
        self._joining = Joining(
            lambda: self._settings.limits.conversations_per_connection,
            consent=consent,
            confirmation=self._confirmation,
            revocations=self._revocations,
            endings=self._endings,
            signs=signs,
        )
        self.expire, self.leave = self._endings.expire, self._endings.leave
        self.settle, self.join = self._confirmation.settle, self._joining.join

    def apply(self, settings: ChatSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return soonest(
            self._cloakroom.deadline, self._asked_again.earliest, self._expiring.earliest, self._rechecks.deadline
        )

    def due(self, now: float) -> None:
        """Forget the proofs of those who can no longer return, put out those whose tokens have expired, and repeat
        questions that were not answered.
        """
        self._cloakroom.due(now)
        self._rechecks.due(now)
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
        look = self._cloakroom.look if isinstance(socket, Absent) else self._cloakroom.take
        former = look(socket.id) if socket.recovered else None
        if former is None:
            return Proofs(token)
        return Proofs(former.greeting if token is None else token, former.own, former.brought)

    def returning(self, member: Member) -> Awaitable[None] | None:
        """A connection is about to recover: end what has ended, before it gets what it missed."""
        id_ = member.socket.id
        if id_ in self._returning:  # it came twice: what is being asked is about both
            return asyncio.shield(self._returning[id_][1])
        self.expire(member)
        if self._confirmation.is_fresh(member):
            return None
        task = self._tasks.spawn(self._decide(member), "return")
        self._returning[id_] = member, task
        task.add_done_callback(lambda _: self._returning.pop(id_))
        return asyncio.shield(task)

    def returned(self, member: Member) -> None:
        """A connection has recovered: those of its users who still may are where they were."""
        self.expire(member)
        self._watch(member)
        self._rechecks.watch(member.users)
        for conversation in member.conversations:
            users, socket = member.users_in(conversation), member.socket
            self._signs.returned(conversation, users, socket.id, socket.away_since)
        if not self._confirmation.is_fresh(member):
            self._grace[member.socket.id] = self._now() + GRACE
            self._tasks.spawn(self._ask_again(member), "consent")

    def lost(self, member: Member, *, for_good: bool) -> None:
        """A connection has ended."""
        id_ = member.socket.id
        self._asked_again.drop(id_)
        self._expiring.drop(id_)
        self._grace.pop(id_, None)
        self._rechecks.lost(member.users)
        if not for_good:
            self._cloakroom.leave(id_, member.proofs, self._now())
            self._wake(self._cloakroom.deadline)

    # Users

    def authenticate(self, member: Member, payload: object) -> Any:
        """Let a user be on a connection, or refuse it: at once where nobody has to be asked."""
        claimed, token = parse_claim(payload, self._settings.limits)
        if claimed is not None:
            self._check_users(member, claimed)
        token, how = member.proof_for(claimed, token)
        claim = Claim(claimed, token)
        if self._own_profile is not None or (self._consent is not None and member.conversations):
            return self._identify(member, claim, how)
        try:
            identity = self._authentication.at_once(claim, member.socket.handshake.headers)
        except AuthenticationRefused as refused:
            raise self._refused(member, claimed, token, refused) from None
        if identity is None:
            return self._identify(member, claim, how)
        self._check_users(member, identity.user["id"])
        return self._let_in(member, identity.user, identity.until, token, how, [])

    async def _identify(self, member: Member, claim: Claim, how: How | None) -> dict[str, Any] | None:
        """Ask who it is, how it is displayed, and where it may be."""
        claimed, token = claim.user, claim.token
        revocations = self._revocations.latest
        try:
            identity = await self._authentication.identify(claim, member.socket.handshake.headers)
        except AuthenticationRefused as refused:
            if isinstance(refused, Unanswered) and token is not None and member.bring(claimed, token):
                self._repeat(member)
            raise self._refused(member, claimed, token, refused) from None
        user = identity.user
        if self._own_profile is not None:
            profile = (await self._own_profile([user["id"]])).get(user["id"])
            user = bounded_user({**user, **profile, "id": user["id"]} if isinstance(profile, Mapping) else user)
        outside = await self._joining.outside(member, user["id"], token)
        if member.gone:
            return None
        if self._revocations.since(revocations, user["id"]):
            raise revoked()
        outside = [*outside, *self._revoked(member, user["id"], revocations, outside)]
        self._check_users(member, user["id"])
        return self._let_in(member, user, identity.until, token, how, outside)

    def _let_in(
        self,
        member: Member,
        user: dict[str, Any],
        until: float | None,
        token: str | None,
        how: How | None,
        outside: Sequence[str],
    ) -> dict[str, Any]:
        self._joining.admit(member, user["id"], outside)
        member.admit(public_user(user), how, token, until)
        self._watch(member)
        member.socket.join(USER + user["id"])
        self._rechecks.watch([user["id"]])
        if member.socket.id in self._grace:  # what could not be asked without its token
            self._asked_again.set(member.socket.id, self._now())
            self._wake(self._asked_again.earliest)
        member.socket.commit()
        member.socket.emit("authenticated", {"user": user})
        return {"ok": True, "user": user, **({"not_in": outside} if outside else {})}

    def _refused(self, member: Member, claimed: str | None, token: str | None, why: AuthenticationRefused) -> Refusal:
        """How a user is told no. When the application says it, whoever was known by the same ends."""
        refusal = Refusal(why.reason, str(why))
        if isinstance(why, Unanswered):
            refusal.details.update(retry_after=AGAIN)
        if why.reason != "refused" or member.gone:
            return refusal
        for user in [user for user in member.users if user == claimed or member.is_known_by(user, token)]:
            if refusal.details:
                self._endings.end(member, user, Refusal(why.reason, str(why)))
            else:
                refusal.details.update(user=user, left=self._endings.drop(member, user))
        return refusal

    def _revoked(self, member: Member, user: str, since: int, known: Collection[str]) -> list[str]:
        """The conversations in which a user's part was revoked while the application was asked."""
        return [
            name for name in member.conversations if name not in known and self._revocations.since(since, user, name)
        ]

    def revoke(self, revocation: Revocation) -> int:
        """End a user, or its part in a conversation, wherever it is: the number of sessions, also of those away."""
        user, conversation = revocation.user, revocation.conversation
        self._revocations.note(revocation)
        if self._sessions is not None and conversation is None:
            self._sessions.forget(user)
        if self._consent is not None:
            self._consent.forget(user, conversation)
        concerned = 0
        for member in self._everywhere(user):
            if conversation is None:
                self._endings.end(member, user, revoked())
                self._watch(member)
            elif member.joined(conversation) and member.takes_part(conversation, user):
                self._endings.turn_away(member, conversation, [user], Refusal("not-allowed", NO_PART))
            else:
                continue
            concerned += 1
        return concerned

    def _everywhere(self, user: str) -> list[Member]:
        """The connections of a user, also those that may return."""
        here = [self._members.get(socket.id) for socket in list(self._namespace.members(USER + user))]
        away = [
            self._returning[socket.id][0] if socket.id in self._returning
            else Member(socket, self._cloakroom.look(socket.id) or Proofs(), self._tasks)
            for socket in self._namespace.absent(USER + user)
        ]  # fmt: skip
        return [*(member for member in here if member is not None), *away]

    def _watch(self, member: Member) -> None:
        """Look at a connection when the first of its users' tokens expires."""
        if not member.until or member.socket.id not in self._members:
            self._expiring.drop(member.socket.id)
            return
        left = min(member.until.values()) - self._clock()
        self._expiring.set(member.socket.id, self._now() + min(max(left, _SOONEST), _LOOK_AGAIN))
        self._wake(self._expiring.earliest)

    def _check_users(self, member: Member, user: str) -> None:
        most = self._settings.users_per_connection
        if user not in member.users and len(member.users) >= most and member.until:
            self.expire(member)
        if user not in member.users and len(member.users) >= most:
            raise Refusal("too-many-users", f"At most {most} users can share a connection.")

    # Those who return, and who have returned

    async def _decide(self, member: Member) -> None:
        """Ask about one who returns, as long as it may wait."""
        try:
            async with asyncio.timeout(HOLD):
                await self._confirmation.everything(member, NEVER, lambda: True)
        except (TimeoutError, OriginAway):
            pass  # nobody has said no: it is asked again when it is here

    async def _ask_again(self, member: Member) -> None:
        """Whether those who have returned are still who they are, and still have consent; and whose the tokens are
        that were brought while the application was away.
        """
        complete = False
        try:
            complete = await self._confirmation.everything(member, None, lambda: self._may_bring(member))
        except OriginAway:
            if not member.gone:  # an outage takes nothing from the time in which a token may be brought again
                self._grace[member.socket.id] = self._now() + GRACE
        if member.gone:
            return
        if complete:
            self._grace.pop(member.socket.id, None)
        else:
            self._repeat(member)

    def _repeat(self, member: Member) -> None:
        """Ask about this connection in a while."""
        if member.socket.id not in self._asked_again:
            self._asked_again.set(member.socket.id, self._now() + AGAIN)
            self._wake(self._asked_again.earliest)

    def _may_bring(self, member: Member) -> bool:
        """Whether there is time left to bring tokens again that a restart has lost."""
        return self._now() < self._grace.get(member.socket.id, 0.0)


def revoked() -> Refusal:
    """For a user that the application has taken back by itself."""
    return Refusal("revoked", "The application has ended this session. Log in again.")
