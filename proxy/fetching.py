"""One fetch: ask the origin, decide what may be kept, let everybody read it while it comes, store it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from proxy.background import Background
from proxy.errors import BodyIncomplete, OriginProtocolError, StorageError
from proxy.flight import Flight, Interim
from proxy.partial import PARTS, PLACE, Completion, completed, join, placed, rest_lines, unplaced
from proxy.policy.dates import format_date, moment_or, parse_date
from proxy.policy.forwarding import end_to_end
from proxy.policy.freshness import fresh_until
from proxy.policy.groups import group_tags, groups
from proxy.policy.matching import has_dot_segments, is_private, vary_of
from proxy.policy.messages import Fields, Request, Response, StoredResponse, Vary, media_type
from proxy.policy.no_vary_search import NoVarySearch, parse_no_vary_search
from proxy.policy.parts import received_part
from proxy.policy.storing import Storing, credentials_of, has_credentials, listed_names, storing
from proxy.policy.validation import conditional_lines, confirms, freshened
from proxy.routing import Route
from proxy.storage.base import Entry, Spool, Store
from proxy.updates import OnUpdate, change
from proxy.upstream import Origin, OriginRequest, OriginResponse
from proxy.variances import Variances

FINISH_WITHIN = 4 * 2**20
"""A fill that nobody reads any more is finished when at most this many bytes are missing."""


CONDITIONS = ("If-None-Match", "If-Modified-Since", "If-Range")

ENDLESS = frozenset(("text/event-stream", "multipart/x-mixed-replace"))
"""Media types of responses that go on until one side leaves: there is never a whole body to store or share."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask and where the answer would be kept.

    `request` decides what may be stored; `forwarded` is what the origin gets, without conditional fields of its
    own. `key_of` gives the key for a response by whether only this user may see it again, and by its variance.
    `validating` is what a 304 would confirm, `completing` the parts that a range of the rest would make whole.
    """

    request: Request
    forwarded: OriginRequest
    route: Route
    key_of: Callable[[bool, NoVarySearch], str]
    url: str
    validating: tuple[Entry, StoredResponse] | None = None
    completing: tuple[tuple[Entry, StoredResponse], ...] = ()
    has_fallback: bool = False
    content_keyed: bool = False


@dataclass(frozen=True, slots=True)
class Spooled:
    """A response that is being stored: any number of readers may open the spool.

    `received` are the fields as they came, for the one who asked: what is stored lacks those that a qualified
    `no-cache` or `private` keeps from everybody else. `kept` is False when a purge has come before the head.
    """

    stored: StoredResponse
    received: Fields
    kept: bool
    spool: Spool
    announced: int | None
    origin_duration: float


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The origin said 304: this stored response is as good as new.

    `personal` are lines of the 304 for the one who asked: cookies, and what `no-cache=` or `private=` lists.
    """

    entry: Entry
    personal: Fields
    origin_duration: float


@dataclass(frozen=True, slots=True)
class Unshared:
    """A response for the one who asked: it may not, or cannot, be stored."""

    response: OriginResponse
    reason: str
    origin_duration: float


Landing = Spooled | Confirmed | Unshared


class Fetcher:
    """Carries out plans. One for the whole edge."""

    def __init__(
        self,
        origin: Origin,
        store: Store,
        variances: Variances,
        on_update: OnUpdate = lambda _url, _reason: None,
    ) -> None:
        self._origin = origin
        self._store = store
        self._variances = variances
        self._on_update = on_update

    async def fly(self, flight: Flight[Landing], plan: Plan) -> None:
        """Ask, land, fill and put. Raises what the origin client raises when there is no response head."""
        mark = self._store.mark()
        response = await self._ask(plan, flight.tell)
        if response.head.status == 304 and plan.validating is not None:
            entry = await self._confirmed(plan, response)
            if entry is not None:
                personal = personal_lines(response.head.fields)
                flight.landing.set_result(Confirmed(entry, personal, _duration(response.head)))
                return
            response = await self._origin.send(plan.forwarded, interim=flight.tell)
        if response.head.status == 304 and not any(name in plan.forwarded.fields for name in CONDITIONS):
            await response.close()
            raise OriginProtocolError("the origin answered 304 to a request without a condition")
        completion = completed(plan.completing, response.head) if plan.completing else None
        if plan.completing and completion is None and response.head.status in (206, 416):
            await response.close()
            response = await self._origin.send(plan.forwarded, interim=flight.tell)
        landing = await self._land(plan, response, completion, mark)
        flight.landing.set_result(landing)
        if isinstance(landing, Spooled):
            chunks = response.chunks() if completion is None else completion.chunks(self._store, response.chunks())
            await self._fill(flight, landing, response, chunks, mark, plan)
            await self._tidy(plan, landing, mark)
        elif not flight.led:
            await response.close()

    async def keep(self, plan: Plan, response: OriginResponse, background: Background) -> Landing:
        """Store a response that somebody asked for outside of any flight, if it may be; read it from the landing."""
        mark = self._store.mark()
        landing = await self._land(plan, response, None, mark)
        if isinstance(landing, Spooled):
            flight: Flight[Landing] = Flight(plan.url, asyncio.get_running_loop().create_future())
            flight.keep = True
            background.spawn(self._fill(flight, landing, response, response.chunks(), mark, plan), f"store {plan.url}")
        return landing

    async def _tidy(self, plan: Plan, landing: Spooled, mark: int) -> None:
        """After a part was stored, put it together with its neighbours."""
        stored = landing.stored
        if stored.status == 206:
            for entry in self._store.variants(stored.key):
                if entry.vary == stored.vary:
                    await join(self._store, entry, stored, plan.route.rules, mark)
                    return

    async def _ask(self, plan: Plan, interim: Interim) -> OriginResponse:
        if plan.completing:
            lines = rest_lines(plan.completing)
        elif plan.validating is not None:
            lines = conditional_lines(plan.validating[1])
        else:
            return await self._origin.send(plan.forwarded, interim=interim)
        conditional = replace(plan.forwarded, fields=plan.forwarded.fields.plus(*lines))
        return await self._origin.send(conditional, interim=interim)

    async def _confirmed(self, plan: Plan, response: OriginResponse) -> Entry | None:
        """The freshened entry, or None when the 304 speaks of something else or the entry is gone."""
        assert plan.validating is not None
        entry, stored = plan.validating
        await response.close()
        head = replace(response.head, fields=end_to_end(response.head.fields))
        if not confirms(stored, head):
            return None
        return await self._store.freshen(
            entry, rederived(freshened(stored, head, plan.route.rules), stored, plan.request)
        )

    async def _land(self, plan: Plan, response: OriginResponse, completion: Completion | None, mark: int) -> Landing:
        head = response.head if completion is None else completion.head(response.head)
        verdict = storing(plan.request, head, plan.route.rules, content_keyed=plan.content_keyed)
        if verdict.store and plan.has_fallback and head.status in plan.route.fallback_on:
            return Unshared(response, "keeps-last-good", _duration(head))
        if not verdict.store:
            if plan.validating is not None and head.status < 500:
                # The stored response is outdated (RFC 9111 section 4.3.3) and there is nothing to replace it with.
                outdated = plan.validating[0]
                await self._store.remove(lambda entry: entry is outdated)
            return Unshared(response, verdict.reason, _duration(head))
        if media_type(head.fields.first("Content-Type")) in ENDLESS:
            return Unshared(response, "endless", _duration(head))
        if not plan.route.match.admits(head.fields.first("Content-Type")):
            # A page at /account/x.css is no stylesheet: its route was chosen by a name that the client made up.
            return Unshared(response, "other-content-type", _duration(head))
        if has_dot_segments(plan.request.path):
            # The key resolves them, the origin may not: its answer could stand in for another path's.
            return Unshared(response, "dot-segments", _duration(head))
        stored = stored_response(plan, head, verdict)
        length = response.length if completion is None else completion.total
        spool = None if stored is None else self._store.spool(length)
        if stored is None or spool is None:
            return Unshared(response, "vary-any" if stored is None else "too-large", _duration(head))
        self._variances.remember(plan.url, parse_no_vary_search(head.fields))
        kept = self._store.admits(stored, mark)
        return Spooled(stored, dated(head.fields, head.response_time), kept, spool, length, _duration(head))

    async def _fill(
        self,
        flight: Flight[Landing],
        landing: Spooled,
        response: OriginResponse,
        chunks: AsyncIterator[bytes],
        mark: int,
        plan: Plan,
    ) -> None:
        spool = landing.spool
        # Those who waited for the landing open the spool before it can leave them behind.
        while flight.waiters:  # noqa: ASYNC110 (they are all about to run)
            await asyncio.sleep(0)
        try:
            async for chunk in chunks:
                await spool.write(chunk)
                if self._abandoned(flight, landing):
                    await spool.abort(BodyIncomplete("nobody wants the rest of this body"))
                    return
            await spool.finish()
            await self._put(landing.stored, spool, mark, plan)
        except (BodyIncomplete, StorageError) as error:
            # A body that broke off is never stored; its readers learn it. Storage failures cost a hit only.
            await spool.abort(error)
        except BaseException:
            await spool.abort(BodyIncomplete("the fetch was cut short"))
            raise
        finally:
            await response.close()
            await spool.close()

    async def _put(self, stored: StoredResponse, spool: Spool, mark: int, plan: Plan) -> None:
        """Store it, and tell those who want to know if it is another representation than the one it replaces."""
        before = next((entry for entry in self._store.variants(stored.key) if entry.vary == stored.vary), None)
        if before is not None and _overtaken(stored, before):
            return
        after = await self._store.put(stored, spool, mark)
        # What changes in one user's own copy is nobody else's business.
        if before is None or after is None or is_private(stored.key):
            return
        known = plan.validating
        head_before = known[1].fields if known is not None and known[0] is before else None
        reason = change(before, after, head_before, stored.fields)
        if reason is not None:
            self._on_update(stored.url, reason)

    def _abandoned(self, flight: Flight[Landing], landing: Spooled) -> bool:
        if flight.keep or flight.waiters or landing.spool.readers:
            return False
        if landing.announced is None:
            return landing.spool.written > FINISH_WITHIN
        return landing.announced - landing.spool.written > FINISH_WITHIN


def stored_response(plan: Plan, head: Response, verdict: Storing) -> StoredResponse | None:
    """The head as it will be stored, or None when no later request can match it (`Vary: *`)."""
    vary = vary_of(plan.request, head.fields, head.status)
    if vary is None:
        return None
    variance = parse_no_vary_search(head.fields)
    key = plan.key_of(verdict.private, variance)
    if head.status == 206:
        part = received_part(plan.request, head)
        if part is None or part.total is None or not variance.is_default:
            return None
        key, vary = key + PARTS, placed(vary, part)
    stored = StoredResponse(
        key=key,
        vary=vary,
        method=verdict.method,
        url=plan.url,
        status=head.status,
        reason=head.reason,
        fields=dated(verdict.fields, head.response_time),
        request_time=head.request_time,
        response_time=head.response_time,
        length=0,
        checksum=0,
        route=plan.route.name,
        tags=(*plan.route.tags, *field_tags(head.fields, plan.request)),
        credentials=credentials_of(plan.request),
    )
    until = fresh_until(stored, plan.route.rules)
    if head.status == 206 and until <= head.response_time:
        return None  # a part is used while it is fresh, or never
    return replace(stored, fresh_until=until)


def dated(fields: Fields, received: float) -> Fields:
    """With a Date: a recipient with a clock adds the one that is missing (RFC 9110 section 6.6.1)."""
    date = fields.first("Date")
    if date is not None and parse_date(date) is not None:
        return fields
    return fields.replacing(("Date", format_date(received)))


def field_tags(fields: Fields, request: Request) -> tuple[str, ...]:
    """The tags a response brings: Surrogate-Key separated by spaces, Cache-Tag by commas, and its Cache-Groups."""
    spaced = [tag for value in fields.all("Surrogate-Key") for tag in value.split()]
    return tuple(dict.fromkeys([*spaced, *fields.members("Cache-Tag"), *group_tags(request, groups(fields))]))


def rederived(updated: StoredResponse, before: StoredResponse, request: Request) -> StoredResponse:
    """An updated response with all that follows from its fields: what selects it, its tags, who may share it.

    Tags that it was given otherwise stay. `request` is the one whose answer brought the update.
    """
    brought = field_tags(before.fields, request)
    given = [tag for tag in before.tags if tag not in brought]
    fields = updated.fields
    if has_credentials(request) and not is_private(before.key):
        # What the origin sets for a user who has come back is that user's, whatever it said of the first answer.
        kept = [("Set-Cookie", value) for value in before.fields.all("Set-Cookie")]
        fields = fields.without("Set-Cookie").plus(*kept)
    return replace(
        updated,
        fields=fields,
        vary=_reselected(updated, before, request),
        tags=tuple(dict.fromkeys([*given, *field_tags(updated.fields, request)])),
        credentials=max(before.credentials, credentials_of(request)),  # "" < "authorization" < "cookie"
    )


def personal_lines(fields: Fields) -> Fields:
    """The lines that are for the one who asked and nobody after (RFC 9111 sections 5.2.2.4, 5.2.2.7 and 7.3)."""
    personal = {"set-cookie", *listed_names(fields)}
    return Fields([(name, value) for name, value in end_to_end(fields) if name.lower() in personal])


def _overtaken(stored: StoredResponse, before: Entry) -> bool:
    """Whether something newer was stored while this was on its way (RFC 9111 section 4: the most recent one counts)."""
    return before.stored_at >= stored.request_time and before.date > moment_or(
        stored.fields.first("Date"), stored.response_time
    )


def _reselected(updated: StoredResponse, before: StoredResponse, request: Request) -> Vary:
    named, names = ({name.lower() for name in fields.members("Vary")} for fields in (before.fields, updated.fields))
    vary = before.vary if named == names else vary_of(request, updated.fields, updated.status)
    # With `Vary: *` it answers nobody without validation, whatever it was selected by.
    return before.vary if vary is None else (*unplaced(vary), *(pair for pair in before.vary if pair[0] == PLACE))


def _duration(head: Response) -> float:
    return max(0.0, head.response_time - head.request_time)
