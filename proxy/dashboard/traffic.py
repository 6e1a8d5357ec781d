"""The last exchanges, and why requests are answered as they are, as the traffic page shows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from proxy.errors import RequestRefused
from proxy.masking import masked
from proxy.operations.ledger import Ledger
from proxy.operations.reasons import sentence
from proxy.outcome import Outcome
from proxy.policy.messages import Fields, Request
from proxy.purge import request_for
from webui import traffic_shown as shown

MOST_HEADERS = 30
Explain = Callable[[Request], Awaitable[dict[str, object]]]


class TrafficSource:
    """The list, and webui's Explaining. `public_host` is what a path alone is asked of."""

    def __init__(
        self, ledger: Ledger, explain: Explain, *, public_url: Callable[[], str], public_host: Callable[[], str]
    ) -> None:
        self._ledger = ledger
        self._explain = explain
        self._public_url = public_url
        self._public_host = public_host

    def traffic(self, query: shown.TrafficQuery) -> shown.TrafficList:
        """The newest exchanges that `query` accepts."""
        # What is looked for is what is shown: a secret that is masked cannot be guessed letter by letter.
        seen = [exchange_of(number, outcome) for number, outcome in self._ledger.numbered()]
        found = [exchange for exchange in seen if query.accepts(exchange)]
        return shown.TrafficList(
            query=query,
            rows=tuple(found[: query.limit]),
            found=len(found),
            kept=len(seen),
            routes=tuple(sorted({exchange.route for exchange in seen if exchange.route})),
            methods=tuple(sorted({exchange.method for exchange in seen if exchange.method})),
            public_url=self._public_url(),
            shown=next((exchange for exchange in seen if exchange.number == query.show), None),
        )

    def url_of(self, number: int) -> str | None:
        outcome = self._outcome(number)
        return None if outcome is None else masked(outcome.target)

    async def explain(self, url: str, headers: tuple[str, ...]) -> shown.Explained:
        fields = Fields([_field(line) for line in headers])
        if len(headers) > MOST_HEADERS:
            raise shown.CannotExplain(f"at most {MOST_HEADERS} header lines, one per line")
        try:
            asked = request_for(url, host=self._public_host())
        except RequestRefused as refusal:
            raise shown.CannotExplain(str(refusal)) from refusal
        host = (fields.first("Host") or asked.host).lower()
        return await self._explained(Request("GET", asked.target, host, fields, asked.scheme))

    async def explain_exchange(self, number: int) -> shown.Explained | None:
        outcome = self._outcome(number)
        if outcome is None or not outcome.target.startswith("/"):
            return None
        scheme, _, host = outcome.site.partition("://")
        fields = Fields([(name, value) for name, value in outcome.selecting if value is not None])
        request = Request("GET", outcome.target, (host or self._public_host()).lower(), fields, scheme or "http")
        explained = await self._explained(request)
        left_out = ", ".join(name for name, value in outcome.selecting if value is None)
        without = (f"It had fields whose values are not kept, so this is explained without: {left_out}.",)
        headers = tuple(f"{name}: {value}" for name, value in fields)
        return replace(
            explained, headers=headers, lines=((*without, *explained.lines) if left_out else explained.lines)
        )

    async def _explained(self, request: Request) -> shown.Explained:
        facts = await self._explain(request)
        lines = facts.get("lines", ())
        assert isinstance(lines, list | tuple)
        return shown.Explained(
            url=masked(request.url),
            route=str(facts.get("route", "")),
            strategy=str(facts.get("strategy", "")),
            following=str(facts.get("next", "")),
            lines=tuple(_masked_words(str(line)) for line in lines),
            facts={name: fact for name, fact in facts.items() if name not in ("lines", "keys", "next")},
        )

    def _outcome(self, number: int) -> Outcome | None:
        return next((outcome for each, outcome in self._ledger.numbered() if each == number), None)


def exchange_of(number: int, outcome: Outcome) -> shown.Exchange:
    """An outcome as pages show it: its URL masked, its reason with the sentence it stands for."""
    return shown.Exchange(
        number=number,
        started=outcome.started,
        method=outcome.method,
        target=masked(outcome.target),
        client=outcome.client,
        route=outcome.route,
        strategy=outcome.strategy,
        status=outcome.status,
        verdict=outcome.verdict,
        reason=outcome.reason,
        why=sentence(outcome.verdict, outcome.reason),
        duration=outcome.duration,
        origin_duration=outcome.origin_duration,
        bytes_in=outcome.bytes_in,
        bytes_out=outcome.bytes_out,
        collapsed=outcome.collapsed,
        stored=outcome.stored,
        complete=outcome.complete,
        timed=outcome.timed,
        request_id=outcome.request_id,
    )


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not name.strip().isascii() or any(char in line for char in "\r\n\0"):
        raise shown.CannotExplain(f"{line[:80]!r} is not a header; write it as in Accept-Language: de")
    return name.strip(), value.strip()


def _masked_words(line: str) -> str:
    return " ".join(masked(word) for word in line.split(" "))
