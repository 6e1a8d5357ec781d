"""What was granted is asked about once more: whether users are still who they are, and still have their parts.

The rule of this room: only an answer ends anything. Without one everybody stays, and whoever asked is told that not
all is known; what was answered meanwhile holds. A token that is not here any more cannot be asked with, and ends nobody
while nothing could be. One that was brought while nobody answered is asked about first, beside the one it may replace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from realtime.authentication import AskOrigin
from realtime.consent import Consent
from realtime.endings import Endings
from realtime.member import Member
from realtime.origin import Credentials
from realtime.payloads import Refusal
from realtime.proofs import ProofLost

NO_PART: Final = "You do not take part in this conversation."

AGAIN: Final = 5.0
"""Seconds until the application is asked once more when it has not answered."""

_AT_ONCE = 16  # connections that are asked about after their return


class Confirmation:
    """Asks about connections. `sessions` and `consent` are who is asked, where anybody is."""

    def __init__(self, sessions: AskOrigin | None, consent: Consent | None, endings: Endings) -> None:
        self.sessions = sessions
        self.consent = consent
        self._endings = endings
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def is_fresh(self, member: Member) -> bool:
        """Whether all that a connection was granted was granted lately, or asks nobody."""
        groups, lost = by_proof(member, member.users)
        if self.sessions is not None and member.proofs.brought:
            return False
        if lost and (self.sessions is not None or (self.consent is not None and member.conversations)):
            return False
        if (sessions := self.sessions) is not None and not all(
            sessions.remembers(user, proof) for proof, users in groups.items() for user in users
        ):
            return False
        return self.consent is None or all(
            self.consent.remembers(name, users, proof)
            for name in member.conversations
            for proof, users in by_proof(member, member.users_in(name))[0].items()
        )

    async def everything(self, member: Member, before: float | None, is_patient: Callable[[], bool]) -> bool:
        """Ask about everything that a connection was granted; False when not all of it could be asked about.

        What ends does so with `before`. While `is_patient`, whoever's token is lost may bring it again. Raises
        OriginAway: what was not asked by then need not wait for it one after the other.
        """
        complete = True
        async with self._turns:
            await self.settle(member)
            if self.sessions is not None:
                complete = await self._users(self.sessions, member, before, is_patient)
            if self.consent is None:
                return complete
            for conversation in member.conversations:
                known = await self._conversation(self.consent, member, conversation, before, is_patient)
                complete = complete and known
        return complete

    async def settle(self, member: Member) -> None:
        """Ask whose the tokens are that came while the application was away: each is what its user, if that is here,
        is known by from now on. Raises OriginAway.
        """
        if self.sessions is None:
            return
        for token in list(member.proofs.brought):
            user = await self.sessions.whose(Credentials.of(member.socket.handshake.headers, token))
            if member.gone:
                return  # what it has brought is kept for its return
            users = member.proofs.brought.pop(token, ())
            if user is not None and user in users:
                member.prove(user, token)

    async def _users(
        self, sessions: AskOrigin, member: Member, before: float | None, is_patient: Callable[[], bool]
    ) -> bool:
        groups, lost = by_proof(member, member.users)
        if lost:
            await sessions.must_answer()
        complete = not (lost and is_patient())
        for credentials, user in [(proof, user) for proof, users in groups.items() for user in users]:
            confirmed = await sessions.confirms(user, credentials)
            if member.gone:
                return True
            if not confirmed and user in member.users and credentials in by_proof(member, [user])[0]:
                self._endings.end(member, user, no_longer_known(), before)
        return complete

    async def _conversation(
        self, consent: Consent, member: Member, conversation: str, before: float | None, is_patient: Callable[[], bool]
    ) -> bool:
        users = list(inside(member, conversation))
        proofs, _ = by_proof(member, users)
        stays, unproved = await among(consent, member, conversation, users)
        if unproved:
            await consent.must_answer(conversation, unproved)
        if member.gone or not users:
            return True
        if by_proof(member, users)[0] != proofs:
            return False  # somebody has authenticated meanwhile: the answer is about something else
        here = inside(member, conversation)
        refused = [user for user in users if user in here and user not in stays and user not in unproved]
        if refused:
            self._endings.turn_away(member, conversation, refused, Refusal("not-allowed", NO_PART), before)
        if unproved and is_patient():
            return False
        if lost := [user for user in unproved if user in inside(member, conversation)]:
            self._endings.turn_away(member, conversation, lost, reauthenticate(lost))
        return True


def inside(member: Member, conversation: str) -> Collection[str]:
    """The users of a connection that are in a conversation with it."""
    return member.users_in(conversation) if member.joined(conversation) else ()


def by_proof(member: Member, users: Iterable[str]) -> tuple[dict[Credentials, list[str]], list[str]]:
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


async def among(
    consent: Consent, member: Member, conversation: str, users: Iterable[str]
) -> tuple[set[str], list[str]]:
    """Which of these users may be there, and which cannot be asked about. Raises OriginAway."""
    groups, unproved = by_proof(member, users)
    answers = await asyncio.gather(
        *(consent.among(conversation, group, credentials) for credentials, group in groups.items())
    )
    return {user for answer in answers for user in answer}, unproved


def reauthenticate(users: Sequence[str], **details: Any) -> Refusal:
    """For a question that cannot be asked without what these users were known by."""
    message = f"Authenticate again: the server was restarted and does not have the token of {', '.join(users)}."
    return Refusal("reauthenticate", message[:300], users=list(users), **details)


def no_longer_known() -> Refusal:
    """For a user whom the application does not know by this proof any more."""
    return Refusal("refused", "The application does not know this session any more. Log in again.")
