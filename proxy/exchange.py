"""The verbs of one exchange: match, answer, fetch, fetch_and_put, stale, wait_until."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from math import floor

from proxy.answer import Answer, Match, Passing, Upload
from proxy.asking import Asking
from proxy.edge import Edge
from proxy.errors import OriginError, OriginTimeout
from proxy.fetching import Confirmed, Landing, Plan, Spooled, Unshared, dated, rederived
from proxy.flight import Flight, Interim
from proxy.lookup import Lookup
from proxy.outbox import queued_answer
from proxy.outbox_store import Write
from proxy.outcome import Verdict
from proxy.policy.directives import Directives, parse_directives
from proxy.policy.forwarding import end_to_end, upgrade_to_origin
from proxy.policy.freshness import freshness
from proxy.policy.groups import group_tags, invalidated_groups
from proxy.policy.invalidation import invalidated_urls, invalidates
from proxy.policy.matching import selects, under
from proxy.policy.messages import Fields, Request, Response, StoredResponse
from proxy.policy.parts import stored_part
from proxy.policy.queueing import queueable
from proxy.policy.reuse import collapsible, reuse, stale_permitted, wants_validation
from proxy.policy.validation import head_effect
from proxy.routing import Route
from proxy.strategies import Cause
from proxy.tunnel import Tunnel
from proxy.upstream import OriginRequest, OriginResponse

ALONE = "\nalone "
"""Marks the flight key of a fetch that nobody may join."""


@dataclass(slots=True)
class HttpExchange:
    """One request on its way through a route; implements the Exchange that strategies use.

    `trusted` says that the peer's own forwarding fields may be believed. Close it when the answer was sent.
    """

    edge: Edge
    request: Request
    route: Route
    trusted: bool = False
    upload: Upload | None = None
    interim: Interim | None = None
    content_digest: str = ""
    writing: bool = False
    _seen: Match | None = None
    _lookup: Lookup | None = None
    _asking: Asking | None = None

    @property
    def network_timeout(self) -> float | None:
        """Seconds after which a stored response answers; `timeout_limit` is for those that all may share."""
        own, limit = self.route.network_timeout, self.route.timeout_limit
        if limit is None or self._seen is None or self.lookup.is_own(self._seen.stored):
            return own
        return limit if own is None else min(own, limit)

    @property
    def only_if_cached(self) -> bool:
        return self.route.rules.honour_request_directives and "only-if-cached" in self._directives

    @property
    def _directives(self) -> Directives:
        return parse_directives(self.request.fields.all("Cache-Control"))

    # What is stored

    async def match(self) -> Match | None:
        """The stored response that this request selects, fresh or not; None when there is nothing to use."""
        self._seen = await self.lookup.find()
        return self._seen

    @property
    def lookup(self) -> Lookup:
        if self._lookup is None:
            self._lookup = Lookup(self.edge, self.request, self.route, self.content_digest)
        return self._lookup

    @property
    def asking(self) -> Asking:
        if self._asking is None:
            self._asking = Asking(self.lookup, self.trusted, self.upload)
        return self._asking

    @property
    def fwd(self) -> str:
        """Why the origin is asked (RFC 9211 section 2.2)."""
        return "method" if self.writing else self.lookup.fwd

    def answer(self, match: Match) -> Answer:
        """A match as an answer."""
        if match.fresh:
            return self._stored_answer(match, "hit", match.reuse.reason)
        return self._stored_answer(
            match, "stale", "stale-while-revalidate" if match.refreshable else match.reuse.reason
        )

    def may_stand_in(self, match: Match | None, cause: Cause) -> bool:
        """The match may be used although it is not fresh (RFC 9111 section 4.2.4), if the origin fails in this way."""
        if match is None or match.used:
            return False
        own = self.lookup.is_own(match.stored)
        now = self.edge.now()
        rules = self.lookup.rules(match.stored)
        return stale_permitted(self.request, match.stored, rules, now, cause, own=own).allowed

    async def stale(self, match: Match | None, cause: Cause, instead_of: Answer | Exception) -> Answer | None:
        """The match although it is not fresh, or None where RFC 9111 section 4.2.4 or the route forbid it."""
        if match is None or not self.may_stand_in(match, cause):
            return None
        if isinstance(instead_of, Answer):
            why, fwd_status = f"origin-status-{instead_of.status}", instead_of.status
            await instead_of.close()
        else:
            why, fwd_status = getattr(instead_of, "reason", "origin-error"), None
        answer = self._stored_answer(match, "hit" if match.fresh else "stale", why)
        # It went forward, in vain: no hit in the sense of RFC 9211 section 2.1.
        answer.hit, answer.fwd, answer.fwd_status = False, self.fwd, fwd_status
        if isinstance(instead_of, Answer):
            answer.origin_duration = instead_of.origin_duration
        return answer

    def _stored_answer(self, match: Match, verdict: Verdict, why: str) -> Answer:
        match.used = True
        stored = match.stored
        part = stored_part(stored.fields) if stored.status == 206 else None
        return Answer(
            status=stored.status if part is None else 200,
            reason=stored.reason if part is None else "",
            fields=stored.fields if part is None else stored.fields.without("Content-Range"),
            body=match.body,
            length=stored.length if part is None else part.total,
            offset=0 if part is None else part.start,
            verdict=verdict,
            why=why,
            stored=stored,
            whole=True,
            hit=True,
            ttl=floor(match.reuse.freshness.ttl),
            key=stored.key,
        )

    async def negotiated(self, answer: Answer) -> Answer:
        """The answer in the content coding that suits the client best. What is one user's alone is never compressed:
        beside secrets, what an attacker can make it contain would tell them by its length (BREACH)."""
        compression, stored = self.edge.compression, answer.stored
        if compression is None or stored is None or self.lookup.is_own(stored):
            return answer
        return await compression.negotiated(self.request, answer)

    def _ttl(self, stored: StoredResponse) -> int:
        return floor(freshness(stored, self.route.rules, self.edge.now()).ttl)

    # What the origin says

    async def fetch(self) -> Answer:
        """Ask the origin for this request alone, as the client sent it."""
        response = await self.edge.origin.send(self.asking.forwarded(shared=False), interim=self.interim)
        return self._passing(response, "bypass", "not-cached", None)

    async def upgrade(self) -> Tunnel | Answer:
        """Ask the origin for a WebSocket: the tunnel it opens, or what it answers instead."""
        fields = upgrade_to_origin(
            self.request, origin_host=self.edge.origin_host, trusted=self.trusted, via=self.edge.name
        )
        opened = await self.edge.origin.upgrade(OriginRequest(self.request.method, self.request.target, fields))
        return opened if isinstance(opened, Tunnel) else self._passing(opened, "bypass", "websocket-declined", None)

    async def write_through(self) -> Answer:
        """Send a write to the origin, and drop what it makes outdated (RFC 9111 section 4.4)."""
        self.writing = True
        forwarded, rules = self.asking.forwarded(shared=False), self.route.offline_queue
        if self.edge.outbox is not None and rules is not None and queueable(self.request, rules):
            written = await self.edge.outbox.write(self.request, forwarded, rules, self.route.name, self.interim)
            if isinstance(written, Write):
                return queued_answer(written)
            response = written
        else:
            response = await self.edge.origin.send(forwarded, interim=self.interim)
        await self.invalidate(response.head.status, response.head.fields)
        answer = self._passing(response, "bypass", "method", None)
        if self.request.method == "POST" and self.route.strategy not in ("network-only", "cache-only"):
            # What a GET would get now may be in the answer to a POST (RFC 9110 section 9.3.3).
            get = replace(
                self,
                request=replace(self.request, method="GET", has_body=False),
                _lookup=None,
                _asking=None,
                upload=None,
            )
            plan = replace(get.asking.plan(None), request=self.request)
            landing = await self.edge.fetcher.keep(plan, response, self.edge.background)
            if isinstance(landing, Spooled):
                answer.body, answer.kept, answer.key = landing.spool.open(), landing.kept, landing.stored.key
        return answer

    async def invalidate(self, status: int, fields: Fields) -> None:
        """Drop what a write that was answered like this makes outdated."""
        request, store = self.request, self.edge.store
        if invalidates(request.method, status):
            self.edge.flights.forget()
            self.edge.written[self.route.name] = self.edge.now()
            for url in invalidated_urls(request, fields, self.route.key):
                await store.remove(lambda _entry: True, url=url)
            if keys := self.edge.variances.keys(request, self.route.key):
                await store.remove(lambda entry: any(under(entry.key, key) for key in keys))
            for tag in group_tags(request, invalidated_groups(request, fields, status=status)):
                await store.remove(lambda _entry: True, tag=tag)

    async def fetch_and_put(self, within: float | None = None) -> Answer:
        """Ask the origin together with all who ask the same now, and store what may be stored."""
        fields = self.request.fields
        # If-Match and If-Unmodified-Since are for the origin to judge (RFC 9110 section 13.1).
        origin_judges = "If-Match" in fields or "If-Unmodified-Since" in fields
        several = "," in (fields.combined("Range") or "")
        if self.request.method == "HEAD" or origin_judges or (several and self._seen is None):
            return await self._alone(within)
        return await self._together(within)

    def failed(self, answer: Answer) -> bool:
        return answer.status in self.route.fallback_on

    def wait_until(self, refresh: Callable[[], Awaitable[None]]) -> None:
        self.edge.background.spawn(_silently(refresh), f"refresh {self.request.url}")

    async def refresh(self) -> None:
        """Bring the stored response up to date, with nobody waiting."""
        plan = await self.asking.completing(self.asking.plan(self._seen))
        if self.edge.flights.current(self.asking.flight_key(plan)) is None:
            flight = self._begin(self.asking.flight_key(plan), plan)
            flight.keep = True
            flight.led = False
            await flight.land(None)

    async def close(self) -> None:
        """Release a match that was opened and not used."""
        if self._seen is not None and not self._seen.used:
            self._seen.used = True
            await self._seen.body.close()

    async def _alone(self, within: float | None) -> Answer:
        """A request that only its sender can use the answer of: nothing is stored."""
        try:
            async with asyncio.timeout(within):
                response = await self.edge.origin.send(self.asking.forwarded(shared=False), interim=self.interim)
        except TimeoutError:
            raise _late(within) from None
        await self._learn(response.head)
        why = (
            "head" if self.request.method == "HEAD" else "partial" if "Range" in self.request.fields else "precondition"
        )
        return self._passing(response, "miss", why, None)

    async def _learn(self, head: Response) -> None:
        """What the answer to a HEAD says of the stored response to GET (RFC 9111 section 4.3.5)."""
        if self.request.method != "HEAD" or self._seen is None:
            return
        entry, stored = self._seen.entry, self._seen.stored
        effect = head_effect(stored, replace(head, fields=end_to_end(head.fields)), self.route.rules)
        if effect == "invalidate":
            await self.edge.store.remove(lambda other: other is entry, url=entry.url)
        elif effect is not None:
            await self.edge.store.freshen(entry, rederived(effect, stored, self.request))

    async def _together(self, within: float | None) -> Answer:
        plan = await self.asking.completing(self.asking.plan(self._seen))
        key = self.asking.flight_key(plan)
        if self.edge.flights.unshareable(key) or "no-store" in self._directives:
            # Nothing is likely to be kept, so the client's own validators may spare the origin a body.
            if plan.validating is None:
                plan = replace(plan, forwarded=self.asking.forwarded(shared=True, conditional=True))
            key = self._solitary(key)
        ends = None if within is None else asyncio.get_running_loop().time() + within
        while True:
            flight = self.edge.flights.current(key)
            if flight is None or not self._may_join(flight):
                return await self._lead(self._begin(key, plan), within, ends)
            landing = await self._landed(flight, within, ends)
            answer = await self._collapsed(landing)
            if answer is not None:
                return answer
            key = self._solitary(key)

    def _solitary(self, key: str) -> str:
        return f"{key}{ALONE}{id(self)}"

    def _may_join(self, flight: Flight[Landing]) -> bool:
        """A response that has arrived before this request may be shared only while it is fresh (RFC 9111 section 4)."""
        if not flight.landing.done():
            return not wants_validation(self.request, self.route.rules)
        if flight.landing.cancelled() or flight.landing.exception() is not None:
            return False
        landing = flight.landing.result()
        if not isinstance(landing, Spooled) or not landing.spool.joinable:
            return False
        return reuse(self.request, landing.stored, self.route.rules, self.edge.now(), own=True).fresh

    def _begin(self, key: str, plan: Plan) -> Flight[Landing]:
        return self.edge.flights.begin(key, lambda flight: self.edge.fetcher.fly(flight, plan))

    async def _landed(self, flight: Flight[Landing], within: float | None, ends: float | None) -> Landing:
        left = None if ends is None else max(0.0, ends - asyncio.get_running_loop().time())
        try:
            return await flight.land(left, self.interim)
        except TimeoutError:
            flight.keep = True  # a late answer still updates the cache
            raise _late(within) from None

    async def _lead(self, flight: Flight[Landing], within: float | None, ends: float | None) -> Answer:
        try:
            landing = await self._landed(flight, within, ends)
        except BaseException:
            flight.led = False
            # The landing may have come in the same moment in which this request gave up.
            if flight.landing.done() and not flight.landing.cancelled() and flight.landing.exception() is None:
                result = flight.landing.result()
                if isinstance(result, Unshared):
                    await result.response.close()
            raise
        shared_key = flight.key.partition(ALONE)[0]
        if isinstance(landing, Unshared):
            self.edge.flights.remember_unshareable(shared_key, landing.reason)
            return self._passing(landing.response, "miss", landing.reason, landing.origin_duration)
        self.edge.flights.shareable_again(shared_key)
        if isinstance(landing, Spooled):
            return self._spooled(landing, collapsed=False)
        return await self._confirmed(landing, collapsed=False) or await self.fetch()

    async def _collapsed(self, landing: Landing) -> Answer | None:
        """Another request's landing as the answer to this one, or None where it is not for sharing."""
        rules, now = self.route.rules, self.edge.now()
        if isinstance(landing, Spooled) and landing.spool.joinable and selects(landing.stored.vary, self.request):
            return self._spooled(landing, collapsed=True) if collapsible(landing.stored, rules, now) else None
        if isinstance(landing, Confirmed) and selects(landing.entry.vary, self.request):
            return await self._confirmed(landing, collapsed=True)
        return None

    async def _confirmed(self, landing: Confirmed, *, collapsed: bool) -> Answer | None:
        loaded = await self.edge.store.load(landing.entry)
        if loaded is None:
            return None
        if collapsed and not collapsible(loaded[0], self.route.rules, self.edge.now()):
            await loaded[1].close()
            return None
        match = self.lookup.considered(landing.entry, *loaded)
        answer = self._stored_answer(match, "revalidated", "validated")
        answer.hit, answer.fwd, answer.fwd_status = False, self.fwd, 304
        answer.collapsed = collapsed
        answer.origin_duration = None if collapsed else landing.origin_duration
        if not collapsed:
            answer.fields = answer.fields.replacing(*landing.personal)
        return answer

    def _spooled(self, landing: Spooled, *, collapsed: bool) -> Answer:
        stored = landing.stored
        return Answer(
            status=stored.status,
            reason=stored.reason,
            fields=stored.fields if collapsed else landing.received,
            body=landing.spool.open(),
            length=landing.announced,
            verdict="miss",
            why=self.fwd,
            stored=stored,
            whole=stored.status == 200,
            fwd=self.fwd,
            fwd_status=stored.status,
            ttl=self._ttl(stored),
            kept=landing.kept,
            collapsed=collapsed,
            key=stored.key,
            origin_duration=None if collapsed else landing.origin_duration,
        )

    def _passing(self, response: OriginResponse, verdict: Verdict, why: str, duration: float | None) -> Answer:
        head = response.head
        return Answer(
            status=head.status,
            reason=head.reason,
            fields=dated(head.fields, head.response_time),
            body=Passing(response),
            length=response.length,
            verdict=verdict,
            why=why,
            fwd="bypass" if verdict == "bypass" and self.fwd != "method" else self.fwd,
            fwd_status=head.status,
            key=None if self.writing or verdict == "bypass" else self.lookup.base_keys[-1],
            origin_duration=max(0.0, head.response_time - head.request_time) if duration is None else duration,
        )


async def _silently(refresh: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(OriginError):
        await refresh()


def _late(within: float | None) -> OriginTimeout:
    return OriginTimeout(f"no response head from the origin within {within:g} s")
