"""Messages that are deleted: by the application where it decides, else by their sender."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from realtime.audience import Audience
from realtime.authorship import Authorship, Known
from realtime.confirmation import AGAIN, by_proof, reauthenticate
from realtime.member import Member
from realtime.origin import Origin, OriginAway
from realtime.participation import Participation
from realtime.payloads import Refusal


class Deletion:
    """Decides who may delete what, and tells those who are there. `origin` is asked if it has a URL for it."""

    def __init__(
        self, origin: Origin | None, authorship: Authorship, participation: Participation, audience: Audience
    ) -> None:
        self._origin = origin if origin is not None and origin.settings.delete is not None else None
        self._authorship = authorship
        self._participation = participation
        self._audience = audience

    def delete(
        self, member: Member, conversation: str, message: str, named: Any
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """The acknowledgement; `named` is the message's id as the client wrote it. Raises Refusal."""
        known = self._authorship.find(conversation, message)
        details = {"conversation_id": conversation, "message_id": named if known is None else known.id}
        if not member.joined(conversation):
            raise Refusal("not-joined", "Join the conversation first.", **details)
        if known is None and self._authorship.elsewhere(conversation, message):
            raise Refusal("not-allowed", "The message belongs to another conversation.", **details)
        if self._origin is not None:
            return self._with_consent(self._origin, member, message, known, details)
        if known is None:
            raise Refusal("unknown-message", "This message is not known here any more.", **details)
        if not member.takes_part(conversation, known.sender):
            raise Refusal("not-allowed", "Only its sender can delete a message.", **details)
        return self._deleted(details)

    async def _with_consent(
        self, origin: Origin, member: Member, message: str, known: Known | None, details: dict[str, Any]
    ) -> dict[str, Any]:
        """Have the application delete a message, asked by each of the users in turn, its sender first."""
        users = [*reversed([*member.users_in(details["conversation_id"])])]
        users.sort(key=lambda user: known is None or user != known.sender)
        try:
            await self._participation.settle(member)
            groups, unproved = by_proof(member, users)
            for credentials, askers in groups.items():
                if await origin.deletes(details["conversation_id"], message, askers, credentials):
                    return self._deleted(details)
        except OriginAway as away:
            raise Refusal(away.reason, away.public, retry_after=AGAIN, **details) from None
        if unproved:
            raise reauthenticate(unproved, **details)
        raise Refusal("not-allowed", "The application does not let you delete this message.", **details)

    def _deleted(self, details: dict[str, Any]) -> dict[str, Any]:
        self._audience.tell(details["conversation_id"], "message_deleted", details)
        return {"ok": True, **details}
