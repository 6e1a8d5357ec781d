"""The offline page: what a route answers when neither origin nor store can.

It keeps the status 503 that the client would have got anyway, so that no cache, crawler or script takes the page for
the resource; browsers show it all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from proxy.answer import Answer
from proxy.errors import CachewireError, NotStored, OriginError
from proxy.exchange import HttpExchange
from proxy.policy.destinations import destination
from proxy.policy.forwarding import end_to_end
from proxy.policy.messages import Fields, Request
from proxy.purge import request_for
from proxy.routing import Route

_KEPT = frozenset(("content-type", "content-encoding", "content-language", "content-security-policy", "link", "vary"))
"""Of the page's own fields; its validators and lifetime speak of another resource."""


async def fallback(
    exchange: HttpExchange, error: CachewireError, find: Callable[[Request], Route], public_url: str
) -> Answer | None:
    """The stored stand-in for what `exchange` asked for, or None where its route names none or none is stored.

    `find` tells the route of a path; `public_url`, for which fallbacks are precached, is looked at after the host that
    the client named.
    """
    request, paths = exchange.request, exchange.route.fallback
    if not paths or request.method not in ("GET", "HEAD") or not isinstance(error, OriginError | NotStored):
        return None
    if exchange.only_if_cached:
        return None  # who forbids asking has to hear 504 (RFC 9111 section 5.2.1.7)
    path = paths.get(destination(request) or "")
    if path is None:
        return None
    for asked in _asked(request, path, public_url):
        answer = await _stored(HttpExchange(exchange.edge, asked, find(asked)))
        if answer is not None:
            answer.fwd = exchange.fwd if isinstance(error, OriginError) else None
            answer.why = f"fallback: {error.reason}"
            return answer
    return None


def _asked(request: Request, path: str, public_url: str) -> Iterator[Request]:
    """The requests that may have stored the page: without credentials, in the client's coding or none."""
    encodings = [Fields([("Accept-Encoding", value)]) for value in request.fields.all("Accept-Encoding")[:1]]
    for url in dict.fromkeys((f"{request.scheme}://{request.host}{path}", public_url + path)):
        for fields in (*encodings, Fields()):
            yield replace(request_for(url), fields=fields)


async def _stored(inner: HttpExchange) -> Answer | None:
    match = await inner.match()
    if match is None:
        return None
    if match.stored.status != 200:
        await inner.close()
        return None
    answer = inner.answer(match)
    kept = [(name, value) for name, value in end_to_end(match.stored.fields) if name.lower() in _KEPT]
    return replace(
        answer,
        status=503,
        reason="Service Unavailable",
        fields=Fields([*kept, ("Cache-Control", "no-store")]),
        verdict="error",
        stored=None,
        whole=False,
        hit=False,
        ttl=None,
        key=None,
    )
