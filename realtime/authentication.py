"""Who somebody is: their word (trusted), a signed token (jwt), or what the application says (origin).

The rule of this room: a credential is never logged, never kept in the clear, and a doubt is a refusal.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol

from realtime.origin import Credentials, Origin, OriginAway
from realtime.payloads import Refusal, parse_id
from realtime.settings import AuthenticationSettings, LimitSettings

_MOST_REMEMBERED = 10_000
_LONGEST_TEXT = 300  # characters of one member of a user
_MOST_MEMBERS = 24
_SHORTEST_SECRET = 32  # bytes
_NEVER = 2**53  # seconds since 1970: no time of day is as late
_DISPLAYED = ("username", "name", "avatar_url")

_log = logging.getLogger("cachewire.realtime")


class AuthenticationRefused(Exception):
    """Not who they say they are; `reason` is for counting, the message is for the client."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unanswered(AuthenticationRefused):
    """Nobody has said who they are, or that they are nobody: it can be asked again."""


class AuthenticationUnavailable(Exception):
    """The settings ask for something that this installation cannot do."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client says about itself: an id, a token, or both."""

    user: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Claim(user={self.user!r}, token={'...' if self.token else None})"


class Identity(NamedTuple):
    """A user, an object with a text `id`, and until when what proved it is good (seconds since 1970; None: no end)."""

    user: dict[str, Any]
    until: float | None = None


class Authentication(Protocol):
    """Says who it is. Both raise AuthenticationRefused."""

    async def identify(self, claim: Claim, headers: Mapping[str, str]) -> Identity: ...

    def at_once(self, claim: Claim, headers: Mapping[str, str]) -> Identity | None:
        """The same where nobody has to be asked; None where somebody has to."""


def authentication(
    settings: AuthenticationSettings, origin: Origin | None, *, now: Callable[[], float], wall: Callable[[], float]
) -> Authentication:
    """The way of authenticating that the settings name. Raises AuthenticationUnavailable.

    `now` is monotonic and ages what is remembered; `wall` is the time of day, which tokens expire by.
    """
    if settings.kind == "trusted":
        return Trusted()
    if settings.kind == "jwt":
        return SignedTokens(settings, wall=wall)
    if origin is None or origin.settings.session is None:
        return Nobody()
    return AskOrigin(origin, now=now, remember=settings.remember)


def bounded_user(user: Mapping[str, Any]) -> dict[str, Any]:
    """The plain members of a user, none of them long: what this user is told of itself."""
    kept: dict[str, Any] = {"id": str(user["id"])}
    for name, value in user.items():
        if name == "id" or len(kept) >= _MOST_MEMBERS or not isinstance(name, str):
            continue
        if _is_plain(name) and _is_plain(value):
            kept[name] = value
    return kept


def _is_plain(value: object) -> bool:
    """Whether it is short, and can be said to anybody: a token may hold more than JSON and UTF-8 have words for."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


def public_user(user: Mapping[str, Any]) -> dict[str, Any]:
    """What others may know of a user, whatever else was said of it: the id, and how it is displayed."""
    return {"id": str(user["id"]), **{name: user[name] for name in _DISPLAYED if isinstance(user.get(name), str)}}


class Trusted:
    """Believes everybody, as the original application did. For demonstrations."""

    def __init__(self) -> None:
        _log.warning(
            "realtime.auth is 'trusted': whoever connects is believed to be whoever they say. "
            "Anybody can read and write as anybody. Never use this where strangers can connect."
        )

    async def identify(self, claim: Claim, headers: Mapping[str, str]) -> Identity:
        return self.at_once(claim, headers)

    def at_once(self, claim: Claim, headers: Mapping[str, str]) -> Identity:
        if claim.user is None:
            raise AuthenticationRefused("no-credential", "authenticate needs the id of a user.")
        return Identity({"id": claim.user})


class Nobody:
    """Refuses everybody and says what is missing."""

    async def identify(self, claim: Claim, headers: Mapping[str, str]) -> Identity:
        return self.at_once(claim, headers)

    def at_once(self, claim: Claim, headers: Mapping[str, str]) -> NoReturn:
        raise AuthenticationRefused(
            "not-configured",
            "Nobody can authenticate here yet: set realtime.origin.session (or choose another realtime.auth).",
        )


class SignedTokens:
    """JSON Web Tokens, checked by the configured algorithms only and never without an expiry (RFC 8725)."""

    def __init__(self, settings: AuthenticationSettings, *, wall: Callable[[], float]) -> None:
        try:
            import jwt  # an extra: only those who use tokens need it
        except ImportError as error:
            raise AuthenticationUnavailable("realtime.auth: jwt needs PyJWT: install cachewire[jwt]") from error
        if not settings.algorithms or not settings.key:
            raise AuthenticationUnavailable("realtime.auth: jwt needs a key and at least one algorithm")
        shared, asked = {"HS256", "HS384", "HS512"}, set(settings.algorithms)
        if "none" in {name.lower() for name in asked} or (asked & shared and asked - shared):
            # A public key that is also taken for a shared secret lets anybody sign.
            raise AuthenticationUnavailable("realtime.auth: jwt takes HS* or public-key algorithms, not both, not none")
        if asked & shared and len(settings.key.encode()) < _SHORTEST_SECRET:
            raise AuthenticationUnavailable("realtime.auth: jwt needs a secret of at least 32 bytes (RFC 7518, 3.2)")
        if unknown := asked - set(jwt.algorithms.get_default_algorithms()):
            raise AuthenticationUnavailable(f"realtime.auth: jwt does not know {min(unknown)} (is cryptography there?)")
        self._jwt = jwt
        self._settings = settings
        self._wall = wall

    async def identify(self, claim: Claim, headers: Mapping[str, str]) -> Identity:
        return self.at_once(claim, headers)

    def at_once(self, claim: Claim, headers: Mapping[str, str]) -> Identity:
        token = claim.token or _bearer(headers)
        if token is None:
            raise AuthenticationRefused("no-credential", "authenticate needs a token.")
        claims = self._verified(token)
        user = _named(claims.get(self._settings.claim), f"The token's {self._settings.claim}")
        if claim.user is not None and claim.user != user:
            raise AuthenticationRefused("another-user", "The token belongs to another user.")
        named: dict[str, Any] = {
            name: claims[name] for name in ("name", "username", "preferred_username") if name in claims
        }
        if "preferred_username" in named:  # what OpenID Connect calls it (Core 1.0, section 5.1)
            named.setdefault("username", named["preferred_username"])
        return Identity(bounded_user({"id": user, **named}), claims["exp"] + self._settings.leeway)

    def _verified(self, token: str) -> dict[str, Any]:
        settings, jwt = self._settings, self._jwt
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                settings.key,
                algorithms=list(settings.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={
                    "require": ["exp"],
                    "verify_aud": settings.audience is not None,
                    "verify_exp": False,  # by our own clock, below
                    "verify_sub": False,  # many issuers number their users
                },
            )
        except jwt.PyJWTError as error:
            # The kind of failure is told, never the token.
            raise AuthenticationRefused("bad-token", f"The token is not valid ({type(error).__name__}).") from None
        except Exception:
            # Whatever else a hostile token makes the library raise: nothing of it may reach a log.
            raise AuthenticationRefused("bad-token", "The token is not valid.") from None
        self._check_expiry(claims)
        return claims

    def _check_expiry(self, claims: Mapping[str, Any]) -> None:
        expires = claims["exp"]
        if isinstance(expires, bool) or not isinstance(expires, int | float) or not abs(expires) < _NEVER:  # nor is NaN
            raise AuthenticationRefused("bad-token", "The token's exp is not a time.")
        if expires + self._settings.leeway <= self._wall():
            raise AuthenticationRefused("expired", "The token has expired.")


class AskOrigin:
    """Asks the application whose credentials these are, and remembers its yes for a short while.

    Remembered by a keyed hash, so that what is in memory is no credential. A no and a failure are not remembered.
    """

    def __init__(self, origin: Origin, *, now: Callable[[], float], remember: float) -> None:
        self._origin = origin
        self._now = now
        self._remember = remember
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, dict[str, Any]]] = OrderedDict()
        self._forgotten = 0

    async def identify(self, claim: Claim, headers: Mapping[str, str]) -> Identity:
        try:
            credentials = Credentials.of(headers, claim.token)
        except ValueError:
            raise AuthenticationRefused("bad-token", "The token is not valid.") from None
        if not credentials:
            raise AuthenticationRefused("no-credential", "Log in first: there is no cookie and no token.")
        try:
            user = await self._user(credentials)
        except OriginAway as away:
            raise Unanswered(away.reason, away.public) from None
        if claim.user is not None and claim.user != user["id"]:
            raise AuthenticationRefused("another-user", "This session belongs to another user.")
        return Identity(user)

    def at_once(self, claim: Claim, headers: Mapping[str, str]) -> None:
        return None

    async def whose(self, credentials: Credentials) -> str | None:
        """The user whose credentials these are; None: nobody's. Raises OriginAway."""
        try:
            return str((await self._user(credentials))["id"]) if credentials else None
        except AuthenticationRefused:
            return None

    async def confirms(self, user: str, credentials: Credentials) -> bool:
        """Whether these credentials are still this user's. Raises OriginAway."""
        return await self.whose(credentials) == user

    async def must_answer(self) -> None:
        """Raises OriginAway unless the application has answered lately, or does now."""
        if not self._origin.has_answered:
            await self._origin.user(Credentials())

    def remembers(self, user: str, credentials: Credentials) -> bool:
        """Whether the application has said so lately."""
        until, known = self._known.get(self._key(credentials), (0.0, {}))
        return until > self._now() and known.get("id") == user

    def forget(self, user: str) -> None:
        """Ask about this user anew."""
        self._forgotten += 1
        for key in [key for key, (_, known) in self._known.items() if known["id"] == user]:
            del self._known[key]

    def _key(self, credentials: Credentials) -> bytes:
        return hmac.digest(self._secret, credentials.material, hashlib.sha256)

    async def _user(self, credentials: Credentials) -> dict[str, Any]:
        key, forgotten = self._key(credentials), self._forgotten
        until, known = self._known.get(key, (0.0, {}))
        if known and until > self._now():
            return known
        said = await self._origin.user(credentials)
        if said is None:
            raise AuthenticationRefused("refused", "The application does not know this session.")
        user = bounded_user({**said, "id": _named(said["id"], "The user's id")})
        if forgotten != self._forgotten:
            return user  # said, perhaps, before what made us forget
        self._known[key] = (self._now() + self._remember, user)
        self._known.move_to_end(key)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return user


def _named(value: object, what: str) -> str:
    """A user's id, by the rules of all ids. Raises AuthenticationRefused."""
    try:
        return parse_id(value, what, LimitSettings())
    except Refusal as refusal:
        raise AuthenticationRefused("no-user", str(refusal)) from None


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
