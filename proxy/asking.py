"""What the origin is asked for one request, and who may wait for the same answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.answer import Match, Upload
from proxy.fetching import Plan
from proxy.lookup import Lookup
from proxy.origin_request import OriginRequest
from proxy.partial import completable
from proxy.policy.codings import with_source_tags
from proxy.policy.forwarding import to_origin
from proxy.policy.matching import normalised_url
from proxy.policy.no_vary_search import DEFAULT

PRECONDITIONS = ("If-None-Match", "If-Modified-Since")
RANGES = ("Range", "If-Range")
"""What the edge evaluates itself once it has a whole response."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request's side towards the origin. `trusted`: the peer's own forwarding fields may be believed."""

    lookup: Lookup
    trusted: bool
    upload: Upload | None

    def plan(self, match: Match | None) -> Plan:
        """A fetch for all who want the same; with a match, one that a 304 may answer."""
        lookup = self.lookup
        partial = match is None or match.stored.status == 206
        return Plan(
            request=lookup.request,
            forwarded=self.forwarded(shared=True, ranged="Range" in lookup.request.fields and partial),
            route=lookup.route,
            key_of=lambda private, variance: lookup.key(lookup.partition if private else "", variance),
            url=normalised_url(lookup.request, lookup.route.key),
            validating=None if match is None else (match.entry, match.stored),
            has_fallback=match is not None,
            content_keyed=bool(lookup.content_digest),
        )

    async def completing(self, plan: Plan) -> Plan:
        """The same plan, asking only for what is missing when parts are stored and the whole is wanted."""
        request = self.lookup.request
        if plan.validating is not None or request.method != "GET" or "Range" in request.fields:
            return plan
        parts = completable(await self.lookup.parts())
        if not parts:
            return plan
        self.lookup.fwd = "partial"
        return replace(plan, completing=parts)

    def flight_key(self, plan: Plan) -> str:
        """Requests of one flight key get the same answer: same resource, same user, same variant as far as known."""
        chosen = plan.validating[0].vary if plan.validating is not None else ()
        asked = [(name, plan.forwarded.fields.combined(name)) for name in RANGES if name in plan.forwarded.fields]
        lines = [f"{name}={value}" for name, value in (*chosen, *asked)]
        return "\n".join([plan.key_of(False, DEFAULT), self.lookup.partition, *lines])

    def forwarded(self, *, shared: bool, conditional: bool = False, ranged: bool = False) -> OriginRequest:
        """The request as it goes to the origin.

        `shared`: its answer may be stored for others; then the client's preconditions stay behind unless
        `conditional`, and its ranges unless `ranged`.
        """
        edge, request = self.lookup.edge, self.lookup.request
        fields = to_origin(
            request,
            origin_host=edge.origin_host,
            trusted=self.trusted,
            via=edge.name,
            shared=shared,
            keyed=self.lookup.route.key.headers,
        )
        if shared and not conditional:
            fields = fields.without(*(PRECONDITIONS if ranged else (*PRECONDITIONS, *RANGES)))
        if edge.compression is not None:
            fields = with_source_tags(fields)
        return OriginRequest(
            method=request.method,
            target=request.target,
            fields=fields,
            body=None if self.upload is None else self.upload.chunks,
            length=None if self.upload is None else self.upload.length,
        )
