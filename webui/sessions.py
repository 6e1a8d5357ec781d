"""Who is logged in: sessions kept in this process, and the signed word of a cookie that names one.

PURE but for the randomness of ids: `now` is an argument, any clock that only goes forward. The key that signs is made
anew with each process and kept nowhere, so a restart ends all sessions. What a cookie says is believed only if it is
signed, and then only as far as the session is still here: a logout ends it whatever a stolen cookie says.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

MOST_SESSIONS = 256

Role = Literal["operator", "viewer"]


@dataclass(slots=True)
class Session:
    """Somebody who logged in. Times are seconds of the clock that is handed in."""

    id: str
    role: Role
    began: float
    seen: float


class Sessions:
    """At most MOST_SESSIONS; one more ends the one that was idle for longest."""

    def __init__(self, max_age: float, idle: float) -> None:
        self.max_age = max_age
        self._idle = idle
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, role: Role, now: float) -> str:
        """A new session: the value of its cookie."""
        session = Session(secrets.token_urlsafe(24), role, now, now)
        self._sessions[session.id] = session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return f"{session.id}.{self._signature(session.id)}"

    def find(self, cookie: str, now: float) -> Session | None:
        """The session that a cookie names, which thereby has been seen; None if it is forged, over or unknown."""
        named, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(named).encode()):
            return None
        session = self._sessions.get(named)
        return session if session is not None and self.renew(session, now) else None

    def renew(self, session: Session, now: float) -> bool:
        """Note that a session is in use; False if it is over."""
        if session.id not in self._sessions:
            return False
        if now - session.began >= self.max_age or now - session.seen >= self._idle:
            self.end(session)
            return False
        session.seen = now
        self._sessions.move_to_end(session.id)
        return True

    def end(self, session: Session) -> None:
        """Log out: its cookie is worth nothing from now on."""
        self._sessions.pop(session.id, None)

    def _signature(self, named: str) -> str:
        return hmac.digest(self._key, named.encode("utf-8", "replace"), hashlib.sha256).hex()
