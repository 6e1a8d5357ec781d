"""Logging in: a password against its hash, slowly, few at once and not often; and what the audit hears of it.

The rule of this room: no answer says what was wrong, and no note holds more than an address and a number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from webui.attempts import Attempts, source
from webui.formats import age
from webui.sessions import Role, Session, Sessions

Verify = Callable[[str], bool]
"""Whether a password is the right one; may take a second, and is asked in a thread."""

AT_ONCE = 2
MOST_WAITING = 8
TOLD_EVERY = 60.0
COOKIE = "cachewire-session"
COOKIES = (f"__Host-{COOKIE}", COOKIE)
"""Names of the cookie over https and over plain HTTP, the one to be preferred first."""


class Audit(Protocol):
    """Where it is noted who came, and who was turned away."""

    def __call__(self, by: str, text: str, **figures: object) -> object: ...


@dataclass(frozen=True, slots=True)
class Welcome:
    """The password was right: the value of the session's cookie."""

    cookie: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """It was not, or nobody looked at it because `wait` seconds have to pass first."""

    wait: float = 0.0


class Login:
    """The passwords of one listener, the sessions they began, and the attempts that failed.

    `passwords` are tried in their order, all of them every time. `now` only goes forward.
    """

    def __init__(
        self, passwords: Mapping[Role, Verify], sessions: Sessions, *, now: Callable[[], float], audit: Audit
    ) -> None:
        self._passwords = passwords
        self._sessions = sessions
        self._now = now
        self._audit = audit
        self._attempts = Attempts()
        self._failures = _Failures()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._under_way = 0

    @property
    def max_age(self) -> float:
        """Seconds that a session lasts at most."""
        return self._sessions.max_age

    def session(self, cookies: Mapping[str, str]) -> Session | None:
        """Who asks, by their cookies. To ask is to be seen: the session's idle time begins anew."""
        for name in COOKIES:
            if (value := cookies.get(name)) and (session := self._sessions.find(value, self._now())):
                return session
        return None

    def lasts(self, session: Session) -> bool:
        """Whether a session goes on, for answers that take long: it is seen by this."""
        return self._sessions.renew(session, self._now())

    async def attempt(self, password: str, address: str) -> Welcome | Refusal:
        """Try a password that came from an address."""
        if self._under_way >= AT_ONCE + MOST_WAITING:
            return Refusal(wait=5.0)
        verdict = self._attempts.begin(address, self._now())
        if verdict.wait:
            return Refusal(verdict.wait)
        role = await self._role_of(password)
        if role is None:
            self._note_failure(address, verdict.locked, verdict.locked_all)
            return Refusal(verdict.locked)
        self._attempts.succeeded(address)
        self._audit(f"{role} (session)", "logged in", address=source(address))
        return Welcome(self._sessions.begin(role, self._now()))

    def leave(self, session: Session) -> None:
        """Log out."""
        self._sessions.end(session)
        self._audit(f"{session.role} (session)", "logged out")

    async def _role_of(self, password: str) -> Role | None:
        self._under_way += 1
        try:
            async with self._gate:
                return await asyncio.to_thread(self._tried, password)
        finally:
            self._under_way -= 1

    def _tried(self, password: str) -> Role | None:
        right = [role for role, verify in self._passwords.items() if verify(password)]
        return right[0] if right else None

    def _note_failure(self, address: str, locked: float, locked_all: float) -> None:
        failed = self._failures.add(source(address), self._now(), tell=bool(locked))
        if failed is not None:
            count, addresses = failed
            others = f" and {addresses - 1} other addresses" if addresses > 1 else ""
            text = "a login failed, from" if count == 1 else f"{count} logins failed, the last from"
            self._audit("somebody", f"{text} {source(address)}{others}", failures=count)
        if locked:
            self._audit("automatic", f"{source(address)} is locked out for {age(locked)}: too many failed logins")
        if locked_all:
            self._audit("automatic", f"strange addresses are locked out for {age(locked_all)}: too many failed logins")


class _Failures:
    """Failed logins, told together: the first at once, those that follow within TOLD_EVERY seconds with the next."""

    MOST = 1000

    def __init__(self) -> None:
        self._count = 0
        self._addresses: set[str] = set()
        self._told = float("-inf")

    def add(self, address: str, now: float, *, tell: bool) -> tuple[int, int] | None:
        """Count one; how many, of how many addresses, if it is time to tell."""
        self._count += 1
        if len(self._addresses) < self.MOST:
            self._addresses.add(address)
        if not tell and now - self._told < TOLD_EVERY:
            return None
        told = self._count, len(self._addresses)
        self._count, self._told = 0, now
        self._addresses.clear()
        return told
