"""Finding what is stored for a request: its keys, the variant it selects, and whether that may be used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from proxy.answer import Match
from proxy.edge import Edge
from proxy.partial import PARTS
from proxy.policy.matching import choose, credential_partition, normalised_url, primary_key, selects
from proxy.policy.messages import Request, Rules, StoredResponse
from proxy.policy.no_vary_search import DEFAULT, NoVarySearch
from proxy.policy.reuse import reuse, stale_permitted
from proxy.routing import Route
from proxy.storage.base import Body, Entry


@dataclass(slots=True)
class Lookup:
    """One request's view of the store.

    `fwd` is why the origin has to be asked, in the words of RFC 9211 section 2.2, as far as `find` has found out.
    `content_digest` stands for the content of a QUERY in its key.
    """

    edge: Edge
    request: Request
    route: Route
    content_digest: str = ""
    fwd: str = "uri-miss"
    _partition: str | None = None
    _keys: tuple[str, ...] = field(default=())

    async def find(self) -> Match | None:
        """The stored response that the request selects, opened, fresh or not; None when there is nothing to use."""
        for key in self.keys:
            entries = self.edge.store.variants(key)
            entry = choose(entries, self.request, recency=_recency)
            if entry is None:
                self.fwd = "vary-miss" if entries else self.fwd
                continue
            match = await self._opened(entry)
            if match is None:
                continue
            if match.reuse.usable:
                self.fwd = "request" if match.reuse.reason.startswith("request-") else "stale"
                return match
            # What is stored may be for others only; a route that bypasses credentials was not meant to look at it.
            self.fwd = "bypass" if match.reuse.reason == "credentials" and self._owners == 1 else "miss"
            await match.body.close()
        return await self._part() if "Range" in self.request.fields else None

    async def parts(self) -> list[tuple[Entry, StoredResponse]]:
        """The stored parts (206) that the request selects, when there is no whole response."""
        found = []
        for key in self.base_keys:
            for entry in self._selected_parts(key):
                loaded = await self.edge.store.load(entry)
                if loaded is not None:
                    await loaded[1].close()
                    found.append((entry, loaded[0]))
        return found

    def considered(self, entry: Entry, stored: StoredResponse, body: Body) -> Match:
        """What may be done with a stored response, as of now."""
        now = self.edge.now()
        own = self.is_own(stored)
        rules = self.rules(stored)
        verdict = reuse(self.request, stored, rules, now, own=own)
        refreshable = (
            verdict.usable
            and not verdict.fresh
            and not verdict.reason.startswith("request-")
            and stale_permitted(
                self.request,
                stored,
                rules,
                now,
                "revalidating",
                own=own,
                strategy_window=self.route.refresh_window,
            ).allowed
        )
        return Match(entry, stored, body, verdict, refreshable)

    def rules(self, stored: StoredResponse) -> Rules:
        """The route's rules for this response: what was asked for before the last write on its route is not assumed to
        be fresh, or writers would not see what they have written."""
        rules = self.route.rules
        if rules.assumed_lifetime and stored.request_time <= self.edge.written.get(self.route.name, 0.0):
            return replace(rules, assumed_lifetime=0.0)
        return rules

    def is_own(self, stored: StoredResponse) -> bool:
        """It is this user's alone: found under a key of their own."""
        return bool(self.partition) and f' partition="{self.partition}"' in stored.key

    @property
    def partition(self) -> str:
        """A name for the bearer of the request's credentials; empty where the route does not care."""
        if self._partition is None:
            ignored = self.route.rules.credentials == "ignore"
            self._partition = "" if ignored else credential_partition(self.request, self.edge.secret)
        return self._partition

    @property
    def base_keys(self) -> tuple[str, ...]:
        """The keys without any No-Vary-Search: this user's own first, then the one all share."""
        return self.keys[:: len(self.keys) // self._owners]

    @property
    def keys(self) -> tuple[str, ...]:
        """Where to look: what only this user may see first, then what all share."""
        if not self._keys:
            known = self.edge.variances.known(normalised_url(self.request, self.route.key))
            owners = (self.partition, "") if self._owners == 2 else ("",)
            self._keys = tuple(self.key(owner, variance) for owner in owners for variance in (DEFAULT, *known))
        return self._keys

    def key(self, partition: str, variance: NoVarySearch = DEFAULT) -> str:
        return primary_key(
            self.request,
            self.route.key,
            partition,
            content_digest=self.content_digest,
            no_vary_search=variance,
        )

    @property
    def _owners(self) -> int:
        return 2 if self.partition and self.route.rules.credentials == "partition" else 1

    async def _part(self) -> Match | None:
        """A stored part that has all the bytes of the range asked for, a fresh one first (RFC 9111 section 3.3)."""
        entries = [entry for key in self.base_keys for entry in self._selected_parts(key)]
        opened = [match for entry in entries if (match := await self._opened(entry)) is not None]
        usable = sorted((match for match in opened if match.reuse.usable), key=lambda match: not match.fresh)
        for match in opened:
            if match not in usable[:1]:
                await match.body.close()
        if not usable:
            self.fwd = "partial" if opened else self.fwd
            return None
        self.fwd = "request" if usable[0].reuse.reason.startswith("request-") else "stale"
        return usable[0]

    def _selected_parts(self, key: str) -> list[Entry]:
        return [entry for entry in self.edge.store.variants(key + PARTS) if selects(entry.vary, self.request)]

    async def _opened(self, entry: Entry) -> Match | None:
        loaded = await self.edge.store.load(entry)
        return None if loaded is None else self.considered(entry, *loaded)


def _recency(entry: Entry) -> tuple[float, float]:
    """RFC 9111 section 4: the most recent is the one of the latest Date."""
    return entry.date, entry.stored_at
