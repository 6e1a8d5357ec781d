"""What travels from an exchange to the client: an answer, and how it came about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from proxy.outcome import Verdict
from proxy.policy.messages import Fields, StoredResponse
from proxy.policy.reuse import Reuse
from proxy.storage.base import Body, Entry
from proxy.upstream import OriginResponse


class Chunks(Protocol):
    """A body to send: a stored one, one that is being stored, or the origin's own."""

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]: ...

    async def close(self) -> None: ...


class Passing:
    """The origin's body on its way through, unstored. It can only be read from its beginning to its end."""

    def __init__(self, response: OriginResponse) -> None:
        self._response = response

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        assert start == 0
        assert stop is None
        return self._response.chunks()

    async def close(self) -> None:
        await self._response.close()


@dataclass(slots=True)
class Answer:
    """A response ready to be sent, and how it came about.

    `whole` says that the body can be read in parts: ranges and preconditions may be applied to it. `length` is
    that of the representation, None when the origin did not announce one; `offset` the place of the body's first
    byte in it, where only a part is at hand. `hit`, `fwd`, `fwd_status`, `ttl`, `kept` and `collapsed` are the
    parameters of Cache-Status (RFC 9211 section 2).
    """

    status: int
    reason: str
    fields: Fields
    body: Chunks
    length: int | None
    verdict: Verdict
    why: str
    stored: StoredResponse | None = None
    whole: bool = False
    offset: int = 0
    hit: bool = False
    fwd: str | None = None
    fwd_status: int | None = None
    ttl: int | None = None
    kept: bool = False
    collapsed: bool = False
    key: str | None = None
    origin_duration: float | None = None

    async def close(self) -> None:
        await self.body.close()


@dataclass(slots=True)
class Match:
    """A stored response that answers the request, opened."""

    entry: Entry
    stored: StoredResponse
    body: Body
    reuse: Reuse
    refreshable: bool
    used: bool = False

    @property
    def fresh(self) -> bool:
        return self.reuse.fresh


@dataclass(slots=True)
class Upload:
    """A request's content. `length` is None when it comes chunked."""

    chunks: AsyncIterator[bytes]
    length: int | None
