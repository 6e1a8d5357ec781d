"""Who is in which conversation: connections join with those of their users whom the application lets in.

The rule of this room: who is let in is asked of the application, of all users of a connection at once, and while it
does not answer only those stay who were in before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from realtime.confirmation import AGAIN, NO_PART, Confirmation, among, inside, reauthenticate
from realtime.consent import Consent
from realtime.endings import Endings
from realtime.member import Member
from realtime.origin import Credentials, OriginAway
from realtime.payloads import Refusal
from realtime.revocation import Revocations
from realtime.signs import Signs


class Joining:
    """Lets connections into conversations, `most()` of them each. Without `consent` nobody is asked."""

    def __init__(
        self,
        most: Callable[[], int],
        *,
        consent: Consent | None,
        confirmation: Confirmation,
        revocations: Revocations,
        endings: Endings,
        signs: Signs,
    ) -> None:
        self._most = most
        self._consent = consent
        self._confirmation = confirmation
        self._revocations = revocations
        self._endings = endings
        self._signs = signs

    def join(self, member: Member, conversation: str) -> Any:
        """Let a connection into a conversation, or refuse it. Joining where it is already is asking again."""
        self._check_anybody(member, conversation)
        if not member.joined(conversation):
            most = self._most()
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

    async def _join_with_consent(self, consent: Consent, member: Member, conversation: str) -> dict[str, Any] | None:
        revocations = self._revocations.latest
        try:
            await self._confirmation.settle(member)
            stay, unproved = await among(consent, member, conversation, member.users)
        except OriginAway as away:
            self._check_anybody(member, conversation)
            if len(inside(member, conversation)) < len(member.users):
                raise Refusal(away.reason, away.public, conversation_id=conversation, retry_after=AGAIN) from None
            return self._joined(member, conversation)  # who was let in before stays until somebody says no
        if member.gone:
            return None
        self._check_anybody(member, conversation)  # a token may have expired meanwhile
        stay = {
            user for user in stay & member.users.keys() if not self._revocations.since(revocations, user, conversation)
        }
        unproved = [user for user in unproved if user in member.users]
        before = inside(member, conversation)
        if refused := [user for user in before if user not in stay and user not in unproved]:
            self._endings.put_out(member, conversation, refused)
        if not stay and unproved:
            raise reauthenticate(unproved, conversation_id=conversation)
        if not stay:
            raise Refusal("not-allowed", NO_PART, conversation_id=conversation)
        stays = stay.union(user for user in before if user in unproved)
        member.keep_outside(conversation, [user for user in member.users if user not in stays])
        return self._joined(member, conversation)

    def _joined(self, member: Member, conversation: str) -> dict[str, Any]:
        member.socket.join(member.room + conversation)
        member.socket.commit()
        presence = self._signs.joined(conversation, member.users_in(conversation), member.socket.id)
        outside = [user for user in member.users if not member.takes_part(conversation, user)]
        answer = {"ok": True, "conversation_id": conversation, "users": presence["users"], "online": presence["online"]}
        return {**answer, "not_in": outside} if outside else answer

    async def outside(self, member: Member, user: str, token: str | None) -> list[str]:
        """The conversations of this socket in which the user has no part: whoever joins them is asked about."""
        unasked = [name for name in member.conversations if not member.takes_part(name, user)]
        if self._consent is None or not unasked:
            return []
        try:
            credentials = Credentials.of(member.socket.handshake.headers, token)
        except ValueError:
            return unasked
        return await self._consent.refused(unasked, user, credentials)

    def admit(self, member: Member, user: str, outside: Collection[str]) -> None:
        for conversation in member.conversations:
            others = [other for other in member.outside.get(conversation, ()) if other != user]
            member.keep_outside(conversation, [*others, user] if conversation in outside else others)
            if conversation not in outside:
                self._signs.joined(conversation, [user], member.socket.id)
