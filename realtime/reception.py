"""How clients' events come in, and how refusals go out.

The rule of this room: an event that is not carried out is counted and told, in the acknowledgement and as an error
event, because a client may listen to either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any

from realtime.limits import Rate, TokenBuckets
from realtime.member import Handle, Member
from realtime.namespace import Namespace
from realtime.payloads import Refusal
from realtime.socket import Socket
from realtime.stats import RealtimeStats, count

_LONGEST_NAME = 50
"""Characters of an unknown event's name that are repeated to its sender."""


class Reception:
    """The members of a namespace and the events they send."""

    def __init__(
        self,
        namespace: Namespace,
        rate: Rate,
        *,
        stats: RealtimeStats,
        now: Callable[[], float],
    ) -> None:
        self.members: dict[str, Member] = {}
        self._namespace = namespace
        self._events: TokenBuckets[str] = TokenBuckets(rate)
        self._refused: TokenBuckets[str] = TokenBuckets(rate)
        self._stats = stats
        self._now = now
        namespace.fallback(self._unknown)

    def apply(self, rate: Rate) -> None:
        """Let every connection have this many events."""
        self._events.rate = self._refused.rate = rate

    def on(self, event: str, handle: Handle, error_event: str) -> None:
        """Let `handle(member, payload)` answer an event. A Refusal that it raises becomes `error_event`."""

        def guarded(member: Member, payload: Any) -> Any:
            try:
                result = handle(member, payload)
            except Refusal as refusal:
                return self._refuse(member, error_event, refusal)
            return self._decided(member, error_event, result) if isinstance(result, CoroutineType) else result

        def received(socket: Socket, payload: Any) -> Any:
            member = self.members.get(socket.id)
            if member is None:
                return None
            try:
                self.allow(self._events, "events", socket.id)
                return member.take_turn(guarded, payload)
            except Refusal as refusal:
                self._bear(socket)
                return self._refuse(member, error_event, refusal)

        self._namespace.on(event)(received)

    def _unknown(self, socket: Socket, event: object) -> Any:
        """An event that nobody here knows: a slip of the client's author, or a flood like any other."""
        self._stats.events_unknown += 1
        member, peer = self.members.get(socket.id), socket.peer
        if member is None or peer is None:
            return None
        try:
            self.allow(self._events, "events", socket.id, 1 + peer.length // 1024)
        except Refusal as refusal:
            self._bear(socket)
            return self._refuse(member, "message_error", refusal)
        told = Refusal("unknown-event", "There is no such event here.", event=str(event)[:_LONGEST_NAME])
        return self._refuse(member, "message_error", told)

    def allow(self, buckets: TokenBuckets[str], kind: str, key: str, cost: int = 1) -> None:
        """Raises Refusal when `key` has done too much; `kind` is what is counted."""
        now = self._now()
        if buckets.allow(key, now, cost):
            return
        count(self._stats.rate_limited, kind)
        wait = buckets.retry_after(key, now, cost)
        details = {} if math.isinf(wait) else {"retry_after": round(wait, 3)}
        raise Refusal("rate-limited", "Too much at once; try again in a moment.", **details)

    def _bear(self, socket: Socket) -> None:
        """Answering refusals costs as well: a client that goes on as if there were none loses its connection."""
        if not self._refused.allow(socket.id, self._now()):
            socket.connection.close("flood")

    async def _decided(self, member: Member, error_event: str, decision: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await decision
        except Refusal as refusal:
            return self._refuse(member, error_event, refusal)

    def _refuse(self, member: Member, event: str, refusal: Refusal) -> dict[str, Any]:
        told = refusal.told()
        self._count(event, refusal.reason)
        # Of many such answers, a client that does not keep up gets the latest.
        conflate = "rate-limited" if refusal.reason == "rate-limited" else None
        member.socket.emit(event, told, volatile=True, conflate=conflate)
        return {"ok": False, "error": told["message"], **told}

    def _count(self, event: str, reason: str) -> None:
        if event == "auth_error":
            count(self._stats.auth_refused, reason)
        elif reason in ("invalid", "too-large"):
            count(self._stats.invalid, f"payload-{reason}")
        elif reason == "not-allowed":
            self._stats.joins_refused += 1
