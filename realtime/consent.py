"""May they join? The application's answer, remembered for a moment.

The rule of this room: no answer is a no, but one that is not remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence

from realtime.origin import Credentials, Origin, OriginAway

_MOST_REMEMBERED = 20_000
_AT_ONCE = 8  # questions about one user
_UNKNOWN = (0.0, False, "", ())


class Consent:
    """The application's consent to joining conversations; a yes and a no are remembered for the configured time."""

    def __init__(self, origin: Origin, *, now: Callable[[], float]) -> None:
        self._origin = origin
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, bool, str, Sequence[str]]] = OrderedDict()
        self._forgotten = 0

    async def among(self, conversation: str, users: Sequence[str], credentials: Credentials) -> list[str]:
        """Which of these users may join: all of them if the application says so at once, else each is asked for.

        Raises OriginAway.
        """
        if await self.given(conversation, users, credentials):
            return list(users)
        if len(users) == 1:
            return []
        return [user for user in users if await self.given(conversation, [user], credentials)]

    async def refused(self, conversations: Sequence[str], user: str, credentials: Credentials) -> list[str]:
        """Which of these conversations a user may not join; also those of which the application says nothing now."""
        turn, away = asyncio.Semaphore(_AT_ONCE), False

        async def may(conversation: str) -> bool:
            nonlocal away
            async with turn:
                try:
                    return not away and await self.given(conversation, [user], credentials)
                except OriginAway:
                    away = True  # the others need not wait for it one after the other
                    return False

        answers = await asyncio.gather(*map(may, conversations))
        return [conversation for conversation, may in zip(conversations, answers, strict=True) if not may]

    async def given(self, conversation: str, users: Sequence[str], credentials: Credentials) -> bool:
        """Whether these users, with these credentials, may join. Raises OriginAway."""
        key, forgotten = self._key(conversation, users, credentials), self._forgotten
        until, known, *_ = self._known.get(key, _UNKNOWN)
        if until > self._now():
            return known
        answer = await self._origin.consents(conversation, users, credentials)
        if forgotten != self._forgotten:
            return answer  # said, perhaps, before what made us forget
        self._known[key] = (self._now() + self._origin.settings.remember_consent, answer, conversation, tuple(users))
        self._known.move_to_end(key)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return answer

    async def must_answer(self, conversation: str, users: Sequence[str]) -> None:
        """Raises OriginAway unless the application has answered lately, or does now."""
        if not self._origin.has_answered:
            await self._origin.consents(conversation, users, Credentials())

    def remembers(self, conversation: str, users: Sequence[str], credentials: Credentials) -> bool:
        """Whether the application has let these users in lately."""
        until, known, *_ = self._known.get(self._key(conversation, users, credentials), _UNKNOWN)
        return known and until > self._now()

    def forget(self, user: str, conversation: str | None) -> None:
        """Ask about this user anew, in this conversation (None: in all of them)."""
        self._forgotten += 1
        for key, (_, _, place, users) in list(self._known.items()):
            if user in users and conversation in (None, place):
                del self._known[key]

    def _key(self, conversation: str, users: Sequence[str], credentials: Credentials) -> bytes:
        material = "\0".join((conversation, *users)).encode("utf-8", "replace") + b"\0\0" + credentials.material
        return hmac.digest(self._secret, material, hashlib.sha256)
