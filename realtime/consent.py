"""May they join? The application's answer, remembered for a moment.

The rule of this room: no answer is a no, but one that is not remembered.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence

from realtime.origin import Credentials, Origin

_MOST_REMEMBERED = 20_000


class Consent:
    """The application's consent to joining conversations; a yes and a no are remembered for the configured time."""

    def __init__(self, origin: Origin, *, now: Callable[[], float]) -> None:
        self._origin = origin
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()

    async def given(self, conversation: str, users: Sequence[str], credentials: Credentials) -> bool:
        """Whether these users, with these credentials, may join. Raises OriginAway."""
        material = "\0".join((conversation, *users)).encode("utf-8", "replace") + b"\0\0" + credentials.material
        key = hmac.digest(self._secret, material, hashlib.sha256)
        until, known = self._known.get(key, (0.0, False))
        if until > self._now():
            return known
        answer = await self._origin.consents(conversation, users, credentials)
        self._known[key] = (self._now() + self._origin.settings.remember_consent, answer)
        self._known.move_to_end(key)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return answer
