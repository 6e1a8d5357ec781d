"""What the core asks the application behind it, through an injected `ask`: who, may they, profiles, likes, persist.

The rule of this room: requests and answers are built and parsed here and nowhere else, and everything that comes
from a client is encoded before it becomes part of a request.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import random
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from realtime.asking import Asked, Attempts
from realtime.profiles import RefusedTogether
from realtime.settings import OriginSettings
from realtime.stats import RealtimeStats
from realtime.stopping import Stop, Stopped

Fields = Sequence[tuple[str, str]]
Ask = Callable[[str, str, list[tuple[str, str]], bytes, Asked], Awaitable[tuple[int, Fields, bytes]]]
"""`await ask(method, target, fields, body, asked)` -> (status, fields, body). Raises OriginAway where there is none.

It may tell `asked` that nothing has been sent so far, and then that it is, so that an attempt that reached nobody is
known as one however it ends."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
_ABOUT_SOME = (400, 404, 413, 414, 422)  # refusals that may be about one of several ids, or their number
_NOT_YET = (408, 425, 429)  # say that nothing was done, and may be tried again; a 5xx says neither yes nor no
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_LEVELS = 100  # of an answer, as of a client's packet
_LATELY = 2.0  # seconds for which an answer says that there are others
_LONGEST_WAIT = 5.0  # seconds: what Retry-After may ask for between two attempts
_LOG_PAUSE = 60.0  # seconds in which further answers to one kind of question that cannot be used are not logged

_log = logging.getLogger("cachewire.realtime")


class OriginAway(Exception):
    """The application gave no usable answer: unreachable, too slow, or failing. `public` is what a client may read."""

    reason = "origin-away"
    public = "The application does not answer; try again in a moment."


class Unusable(OriginAway):
    """The application has answered, and said neither yes nor no: that ends nobody and lets nobody in, as an outage."""

    reason = "origin-unusable"
    public = "The application's answer says neither yes nor no; try again in a moment."


class Unconfirmed(OriginAway):
    """The application was asked to keep something and has not said whether it did: it may have kept it."""


class IdsRefused(OriginAway, RefusedTogether):
    """The application refused a question about several ids, perhaps because of one of them."""


class GivenUp(Exception):
    """The process ends, and the application has not taken it. `unconfirmed`: it was asked, and may have taken it."""

    def __init__(self, *, unconfirmed: bool) -> None:
        super().__init__("given up")
        self.unconfirmed = unconfirmed


class OriginRefused(Exception):
    """The application answered no (4xx); `status` and its own words, if it had any."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client proves itself with, as the application is shown it. Never logged."""

    cookie: str = ""
    authorization: str = ""

    @classmethod
    def of(cls, headers: Mapping[str, str], token: str | None = None) -> Credentials:
        """The handshake's own; a token takes the place of its Authorization. Raises ValueError for a bad token."""
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError("a token has 1 to 8192 visible ASCII characters")
        authorization = headers.get("authorization", "") if token is None else f"Bearer {token}"
        return cls(headers.get("cookie", ""), authorization)

    def __bool__(self) -> bool:
        return bool(self.cookie or self.authorization)

    def __repr__(self) -> str:
        return "Credentials(...)"

    @property
    def fields(self) -> list[tuple[str, str]]:
        named = (("Cookie", self.cookie), ("Authorization", self.authorization))
        return [(name, value) for name, value in named if value]

    @property
    def material(self) -> bytes:
        """What tells two credentials apart."""
        return f"{len(self.cookie)}:{self.cookie}{self.authorization}".encode("utf-8", "surrogateescape")


class Origin:
    """The application's answers as values; every method raises OriginAway when there is none."""

    def __init__(
        self,
        ask: Ask,
        settings: OriginSettings,
        *,
        stats: RealtimeStats,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self._stats = stats
        self._ask = ask
        self._now = now
        self._sleep = sleep
        self._stop = Stop()
        self._answered = float("-inf")
        self._complained: dict[str, float] = {}

    @property
    def has_answered(self) -> bool:
        """Whether the application has answered lately who somebody is, or who may join."""
        return self._now() - self._answered < _LATELY

    async def user(self, credentials: Credentials) -> dict[str, Any] | None:
        """Whose credentials these are; None when they are nobody's (401, 403, or an answer without a user)."""
        assert self.settings.session is not None
        status, body = await self._get(self.settings.session, credentials.fields)
        if status in (401, 403):
            self._answered = self._now()
            return None
        document = _object(body) if status == 200 else None
        if document is None:
            right = 'answer 200 with {"user": {"id": ...}}, or 401 where nobody is logged in'
            raise self._unusable("session", self.settings.session, status, right)
        self._answered = self._now()
        user = document.get("user", document)
        return user if isinstance(user, dict) and _is_id(user.get("id")) else None

    async def consents(self, conversation: str, users: Sequence[str], credentials: Credentials) -> bool:
        """Whether these users may join: any 2xx, unless its JSON says {"allowed": false}. 401, 403 and 404 refuse."""
        assert self.settings.authorize is not None
        target = _filled(self.settings.authorize, conversation=[conversation], users=users)
        status, body = await self._get(target, credentials.fields)
        if not 200 <= status < 300 and status not in (401, 403, 404):
            right = "answer 2xx where all of them may join, or 403"
            raise self._unusable("authorize", self.settings.authorize, status, right)
        self._answered = self._now()
        if status >= 400:
            return False
        return (_object(body) or {}).get("allowed", True) is True

    async def deletes(self, conversation: str, message: str, users: Sequence[str], credentials: Credentials) -> bool:
        """Have a message deleted with a client's own credentials: any 2xx, or 410. Any other 4xx refuses."""
        assert self.settings.delete is not None
        target = _filled(self.settings.delete, conversation=[conversation], message=[message], users=users)
        status, _ = await self._asked("DELETE", target, credentials.fields)
        if not 200 <= status < 300 and status < 400:
            raise self._unusable("delete", self.settings.delete, status, "answer 2xx where it is deleted, or 403")
        return status < 300 or status == 410

    async def profiles(self, ids: Sequence[str]) -> Mapping[str, Any]:
        """The profiles of those users that exist. One request."""
        return await self._by_id(self.settings.profiles, ids, ("profiles", "users"))

    async def likes(self, ids: Sequence[str]) -> Mapping[str, Any]:
        """What is known about the likes of these things. One request."""
        return await self._by_id(self.settings.likes, ids, ("likes",))

    async def persist(
        self,
        conversation: str,
        drafts: Sequence[bytes],
        *,
        named: bool = False,
        until: float | None = None,
        asked: Asked | None = None,
    ) -> list[dict[str, Any]]:
        """Have the application keep messages, each given as its JSON, all of them or none, in this order.

        Returns what it says about each. One request, repeated with the same Idempotency-Key while the application
        is away. `named`: they all bear names of their senders' own (client_id), so that the same batch is the same
        again after a crash, and has the same key. `until` is when patience is over, if it began before now. `asked`
        shows meanwhile, and afterwards, whether it may have kept them. Raises OriginRefused when it says no, OriginAway
        when patience is over (Unconfirmed where it may have kept them all the same), GivenUp after `give_up`.
        """
        assert self.settings.persist is not None
        name = json.dumps(conversation).encode()
        body = b'{"conversation_id":' + name + b',"messages":[' + b",".join(drafts) + b"]}"
        fields = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Idempotency-Key", f'"{_derived(body) if named else uuid.uuid4()}"'),
            *self.settings.fields,
        ]
        asked = asked or Asked()
        end = self._now() + self.settings.patience if until is None else until
        status, answer = await self._until_answered("POST", self.settings.persist, fields, body, end, asked)
        if not 200 <= status < 300:
            asked.refused()
            raise OriginRefused(status, _said(answer))
        return _messages(answer, len(drafts))

    def give_up(self) -> None:
        """Wait for the application no longer where it should keep something."""
        self._stop.now()

    async def _until_answered(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, end: float, asked: Asked
    ) -> tuple[int, bytes]:
        try:
            with self._stop.watching():
                return await self._attempted(method, target, fields, body, end, asked)
        except Stopped:
            raise GivenUp(unconfirmed=asked.unconfirmed) from None

    async def _attempted(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, end: float, asked: Asked
    ) -> tuple[int, bytes]:
        patience, backoff = self.settings.patience, self.settings.backoff
        attempts = Attempts(backoff if backoff < patience else None, end)
        while True:
            asked_for = 0.0
            asked.begin()
            try:
                async with asyncio.timeout(end - self._now() if patience else None):
                    status, answered, answer = await self._ask(method, target, list(fields), body, asked)
            except (OriginAway, OSError, TimeoutError) as error:
                why = str(error) or "no answer in time"
            else:
                if status in _NOT_YET:
                    asked.in_vain()
                elif status < 500:
                    return status, answer
                why, asked_for = f"status {status}", _retry_after(answered)
            # Jitter: the conversations that fell out together need not come back together.
            pause = attempts.pause(self._now(), random.uniform(0.8, 1.2), asked_for)  # noqa: S311 - no secret
            if pause is None:
                if rest := attempts.rest(self._now()):
                    await self._sleep(rest)
                raise Unconfirmed(why) if asked.unconfirmed else OriginAway(why)
            await self._sleep(pause)
            self._stats.persist_retries += 1

    async def _by_id(self, target: str | None, ids: Sequence[str], names: Sequence[str]) -> Mapping[str, Any]:
        assert target is not None
        if "{ids}" not in target:
            target += ("&" if "?" in target else "?") + "ids={ids}"
        status, body = await self._get(_filled(target, ids=ids), self.settings.fields)
        if status in _ABOUT_SOME:
            raise IdsRefused(f"{names[0]} were answered with {status}")
        if status != 200:
            raise OriginAway(f"{names[0]} were answered with {status}")
        return _by_id(_parsed(body), names)

    async def _get(self, target: str, fields: Fields) -> tuple[int, bytes]:
        return await self._asked("GET", target, fields)

    async def _asked(self, method: str, target: str, fields: Fields) -> tuple[int, bytes]:
        """One attempt, without a body."""
        try:
            accepting = [("Accept", "application/json"), *fields]
            status, _, body = await self._ask(method, target, accepting, b"", Asked())
        except (OSError, TimeoutError) as error:
            raise OriginAway(str(error) or type(error).__name__) from error
        if status >= 500 or status in _NOT_YET:
            raise OriginAway(f"status {status}")
        return status, body

    def _unusable(self, question: str, target: str, status: int, right: str) -> Unusable:
        """An answer that is neither yes nor no. Nobody but the log tells whoever set this address, now and then."""
        what = "200, but no JSON object" if status == 200 else f"{status}"
        now = self._now()
        if now >= self._complained.get(question, float("-inf")) + _LOG_PAUSE:
            self._complained[question] = now
            path = target.partition("?")[0]
            _log.warning("realtime.origin.%s: %s was answered with %s; %s", question, path, what, right)
        return Unusable(f"{question} was answered with {what}")


def _filled(target: str, **values: Sequence[str]) -> str:
    """The target with each `{name}` replaced by its values, percent-encoded, joined by commas."""
    for name, texts in values.items():
        encoded = ",".join(quote(text.encode("utf-8", "replace"), safe="") for text in texts)
        target = target.replace("{" + name + "}", encoded)
    return target


def _derived(body: bytes) -> uuid.UUID:
    """The same for the same batch, in every life of the process."""
    return uuid.UUID(bytes=hashlib.sha256(body).digest()[:16], version=5)


def _parsed(body: bytes) -> Any:
    """The JSON of an answer, None where it is none that could be sent on: what it says goes to clients."""
    try:
        text = body.decode("utf-8-sig")
        document = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if not _is_shallow(document, _MOST_LEVELS):
            return None
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()  # pairs are characters, a lone one is not
    except (ValueError, RecursionError):
        return None
    return document


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number that is too large")
    return number


def _is_shallow(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is None or (levels > 0 and all(_is_shallow(item, levels - 1) for item in inner))


def _object(body: bytes) -> dict[str, Any] | None:
    document = _parsed(body)
    return document if isinstance(document, dict) else None


def _said(body: bytes) -> str:
    """The application's own words for a refusal: `error`, `message` or a problem document's `detail`."""
    document = _object(body) or {}
    for name in ("detail", "message", "error", "title"):
        if isinstance(document.get(name), str):
            return str(document[name])[:200]
    return "The application refused it."


def _by_id(document: Any, names: Sequence[str]) -> dict[str, Any]:
    """A list of objects with ids, or an object by id, possibly under one of `names`."""
    if isinstance(document, dict):
        document = next((document[name] for name in names if name in document), document)
    if isinstance(document, dict):
        return document
    if isinstance(document, list):
        return {str(item["id"]): item for item in document if isinstance(item, dict) and _is_id(item.get("id"))}
    raise OriginAway("the answer is neither a list nor an object")


def _messages(body: bytes, count: int) -> list[dict[str, Any]]:
    """What the answer to a batch says about each of its messages: objects, or bare ids, in the batch's order.

    An `id` among it is one. An answer of another shape says nothing, and is a success all the same: the status is
    what counts.
    """
    document = _parsed(body)
    if isinstance(document, dict):
        document = document.get("messages", document.get("ids"))
    if not isinstance(document, list) or len(document) != count:
        return [{} for _ in range(count)]
    return [_usable(item if isinstance(item, dict) else {"id": item}) for item in document]


def _usable(said: dict[str, Any]) -> dict[str, Any]:
    """What is said of a message, without an id that is none and a time that is null: those are ours to say then."""
    bad = {"created_at"} if said.get("created_at") is None else set()
    if not _is_id(said.get("id")):
        bad.add("id")
    return said if bad.isdisjoint(said) else {name: value for name, value in said.items() if name not in bad}


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _retry_after(fields: Fields) -> float:
    """The seconds that the application asked us to wait, bounded; 0 when it named none."""
    value = next((value for name, value in fields if name.lower() == "retry-after"), "")
    return min(float(value), _LONGEST_WAIT) if value.isascii() and value.isdigit() else 0.0
