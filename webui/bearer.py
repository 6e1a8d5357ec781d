"""The token that scripts present: compared in constant time, and wrong ones not often.

The rule of this room: a right token waits like a wrong one, because whoever guesses must not learn anything meanwhile.
The same wrong token again is no guess: a script that was forgotten when the token changed locks nobody out.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from webui.attempts import Attempts, source
from webui.formats import age

MOST_KNOWN = 4096

_audit = logging.getLogger("cachewire.audit")


class Bearer:
    """One token, and the wrong ones that came instead, by address. `now` only goes forward."""

    def __init__(self, token: str, now: Callable[[], float]) -> None:
        self._token = token.encode()
        self._now = now
        self._attempts = Attempts()
        self._key = os.urandom(32)
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    def look(self, given: bytes, address: str) -> bool | float:
        """Whether it is the token; or, where nobody looks yet, the seconds that the address has to wait."""
        name = blake2b(given + b"\0" + source(address).encode(), key=self._key, digest_size=16).digest()
        if name in self._wrong:
            return False
        verdict = self._attempts.begin(address, self._now())
        if verdict.wait:
            return verdict.wait
        if hmac.compare_digest(given, self._token):
            self._attempts.succeeded(address)
            return True
        self._wrong[name] = None
        if len(self._wrong) > MOST_KNOWN:
            self._wrong.popitem(last=False)
        if verdict.locked:
            _audit.warning("%s waits for %s: too many wrong tokens", source(address), age(verdict.locked))
        return verdict.locked or False
