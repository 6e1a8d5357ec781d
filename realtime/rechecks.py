"""Whether those who are here are still who they are, and still may: asked now and then, a user at a time.

The rule of this room: one question for all connections of a user that are known by the same, few questions at once,
and none for a while after one that was not answered: an outage ends nobody, and rechecks add nothing to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from realtime.alarm import Wake
from realtime.authentication import AskOrigin
from realtime.confirmation import NO_PART, Confirmation, by_proof, inside, no_longer_known, reauthenticate
from realtime.consent import Consent
from realtime.deadlines import Deadlines
from realtime.endings import Endings
from realtime.member import USER, Member
from realtime.namespace import Namespace
from realtime.origin import Credentials, OriginAway
from realtime.payloads import Refusal
from realtime.tasks import Tasks

AT_ONCE: Final = 4
"""Users that are asked about at the same time."""

PAUSE: Final = 30.0
"""Seconds without a recheck after one that the application did not answer."""

_SPREAD = 0.2  # of the interval, earlier or later: those who came together are not asked about together


class Rechecks:
    """Asks again about each user `every` seconds (0: never). `spread` is a random number from 0 to 1.

    Where a connection `may_bring` its tokens again, nobody ends for having none.
    """

    def __init__(
        self,
        every: float,
        namespace: Namespace,
        members: Mapping[str, Member],
        *,
        confirmation: Confirmation,
        may_bring: Callable[[Member], bool],
        endings: Endings,
        tasks: Tasks,
        wake: Wake,
        now: Callable[[], float],
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._sessions, self._consent = confirmation.sessions, confirmation.consent
        self._every = every if self._sessions is not None or self._consent is not None else 0.0
        self._namespace = namespace
        self._members = members
        self._confirmation = confirmation
        self._may_bring = may_bring
        self._endings = endings
        self._tasks = tasks
        self._wake = wake
        self._now = now
        self._spread = spread
        self._users: Deadlines[str] = Deadlines()
        self._asking = 0
        self._resumes = float("-inf")

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        earliest = self._users.earliest
        if earliest is None or self._asking >= AT_ONCE:
            return None
        return max(earliest, self._resumes)

    def watch(self, users: Iterable[str]) -> None:
        """These users are here: ask about them in time."""
        if self._every:
            for user in users:
                if user not in self._users:
                    self._put_off(user)
            self._wake(self.deadline)

    def lost(self, users: Iterable[str]) -> None:
        """These users have one connection less."""
        for user in users:
            if not self._here(user):
                self._users.drop(user)

    def due(self, now: float) -> None:
        if now < self._resumes:
            return
        for user in self._users.due(now, AT_ONCE - self._asking):
            self._asking += 1
            self._tasks.spawn(self._recheck(user), "recheck")

    def _put_off(self, user: str) -> None:
        wait = self._every * (1 + _SPREAD * (2 * self._spread() - 1))
        self._users.set(user, self._now() + wait)

    def _here(self, user: str) -> list[Member]:
        found = (self._members.get(socket.id) for socket in self._namespace.members(USER + user))
        return [member for member in found if member is not None and not member.gone]

    async def _recheck(self, user: str) -> None:
        self._put_off(user)
        try:
            await self._ask(user)
        except OriginAway:
            self._resumes = self._now() + PAUSE
            self._users.set(user, self._resumes)
        finally:
            self._asking -= 1
            self.lost([user])
            self._wake(self.deadline)

    async def _ask(self, user: str) -> None:
        by_credentials: dict[Credentials, list[Member]] = {}
        for member in self._here(user):
            await self._confirmation.settle(member)
            groups, lost = by_proof(member, [user])
            for credentials in groups:
                by_credentials.setdefault(credentials, []).append(member)
            if lost and self._sessions is not None and not self._may_bring(member):
                await self._sessions.must_answer()
                if not member.gone and by_proof(member, [user])[1]:
                    self._endings.end(member, user, reauthenticate(lost))
        for credentials, members in by_credentials.items():
            if self._sessions is not None and not await self._is_known(self._sessions, user, credentials, members):
                continue
            if self._consent is not None:
                await self._consents(self._consent, user, credentials, members)

    async def _is_known(self, sessions: AskOrigin, user: str, credentials: Credentials, members: list[Member]) -> bool:
        known = await sessions.confirms(user, credentials)
        for member in [] if known else _by(members, user, credentials):
            self._endings.end(member, user, no_longer_known())
        return known

    async def _consents(self, consent: Consent, user: str, credentials: Credentials, members: list[Member]) -> None:
        for conversation in dict.fromkeys(name for member in members for name in member.conversations):
            if not any(user in inside(member, conversation) for member in members):
                continue
            if await consent.given(conversation, [user], credentials):
                continue
            for member in _by(members, user, credentials):
                if user in inside(member, conversation):
                    self._endings.turn_away(member, conversation, [user], Refusal("not-allowed", NO_PART))


def _by(members: Iterable[Member], user: str, credentials: Credentials) -> list[Member]:
    """Those that are still here, on which the user is still known by the same."""
    return [member for member in members if not member.gone and credentials in by_proof(member, [user])[0]]
