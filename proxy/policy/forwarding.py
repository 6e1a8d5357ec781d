"""What the edge adds to and takes from a message it passes on (RFC 9110 section 7.6, RFC 7239, RFC 8586).

The rule of this room: a client can neither speak in the edge's name, nor make the edge drop a field that the
other side relies on, nor, where the answer may be stored, change it by a field that the key leaves out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache

from proxy.policy.messages import Fields, Request

HOP_BY_HOP = frozenset(
    (
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Fields that concern one connection only, whether Connection lists them or not."""

REROUTING = frozenset(
    (
        "front-end-https",
        "x-forwarded-path",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-protocol",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-forwarded-uri",
        "x-host",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-url",
        "x-rewrite-url",
        "x-scheme",
        "x-url-scheme",
    )
)
"""Fields by which applications are known to answer for another URL, host, scheme or method than the one asked."""


def end_to_end(fields: Fields) -> Fields:
    """The fields without those of the connection they came by (RFC 9110 section 7.6.1).

    A field that Connection lists although it is meant for all recipients, such as Cache-Control or Cookie, stays.
    """
    listed = {name.lower() for name in fields.members("connection")}
    gone = HOP_BY_HOP | {name for name in listed if not _is_essential(name)}
    return fields.without(*gone)


def to_origin(
    request: Request,
    *,
    origin_host: str | None,
    trusted: bool,
    via: str = "cachewire",
    shared: bool,
    keyed: Collection[str] = (),
) -> Fields:
    """The fields to ask the origin with. Host comes first: `origin_host`, or the request's own when None.

    `trusted`: the peer is a proxy of the operator's, whose word about the client is kept and added to; otherwise
    every such word is replaced. `shared`: the answer may be stored for others, so the request loses REROUTING
    fields, and host and scheme are told only as the key holds them. `keyed` names fields that the key holds,
    which therefore stay.
    """
    kept = frozenset(name.lower() for name in keyed)
    fields = (
        (name, value)
        for name, value in end_to_end(request.fields)
        if _passes(name, trusted=trusted, shared=shared, keyed=kept)
    )
    host = request.host if origin_host is None else origin_host
    return Fields((("Host", host), *fields, *_forwarding_lines(request, trusted, shared), *_trace(request, via)))


def upgrade_to_origin(request: Request, *, origin_host: str | None, trusted: bool, via: str = "cachewire") -> Fields:
    """The fields to ask the origin for a WebSocket with (RFC 6455 section 4.1); never stored, so never shared."""
    fields = to_origin(request, origin_host=origin_host, trusted=trusted, via=via, shared=False)
    return fields.plus(("Connection", "Upgrade"), ("Upgrade", "websocket"))


def to_client(fields: Fields, via: str = "cachewire") -> Fields:
    """The origin's fields as the client gets them: end-to-end ones, and Via."""
    return end_to_end(fields).replacing(("Via", _appended(fields.combined("via"), f"1.1 {via}")))


def looped(fields: Fields, via_id: str) -> bool:
    """Whether a request has been through the edge named `via_id` before (RFC 8586, RFC 9110 section 7.6.3)."""
    cdns = (member.partition(";")[0].strip(" \t") for member in fields.members("cdn-loop"))
    hops = (member.split() for member in fields.members("via"))
    name = via_id.lower()
    return any(cdn.lower() == name for cdn in cdns) or any(len(hop) > 1 and hop[1].lower() == name for hop in hops)


def forwarded_scheme(fields: Fields) -> str | None:
    """The scheme a trusted proxy says the client used, by X-Forwarded-Proto; None when it says nothing usable."""
    schemes = fields.members("x-forwarded-proto")
    return schemes[0].lower() if schemes and schemes[0].lower() in ("http", "https") else None


def client_behind(fields: Fields, peer: str, is_trusted: Callable[[str], bool]) -> str:
    """The client's address: the peer's own or, if that is trusted, what X-Forwarded-For says came to it.

    Each proxy appends whom it heard, so the last address that is not a trusted proxy's own is the client's; what
    stands before it is the client's word. What is no address ends the search.
    """
    client = peer
    for said in reversed(fields.members("x-forwarded-for")):
        if not is_trusted(client):
            break
        address = _node(said)
        if address is None:
            break
        client = address
    return client


_ESSENTIAL = frozenset(
    (
        "age",
        "allow",
        "authorization",
        "cache-control",
        "cdn-cache-control",
        "cdn-loop",
        "cookie",
        "date",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "last-modified",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "retry-after",
        "server",
        "set-cookie",
        "strict-transport-security",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
    )
)
_SPOKEN_BY_THE_EDGE = frozenset(
    ("cdn-loop", "forwarded", "host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
)
_ESSENTIAL_PREFIXES = ("accept", "access-control-", "content-", "if-", "sec-", "x-forwarded-")


def _is_essential(name: str) -> bool:
    return name in _ESSENTIAL or name.startswith(_ESSENTIAL_PREFIXES)


def _passes(name: str, *, trusted: bool, shared: bool, keyed: Collection[str]) -> bool:
    # CGI-like servers read X_Forwarded_For as X-Forwarded-For, so a spelling with underscores is the same field.
    plain = name.lower().replace("_", "-")
    if plain in _SPOKEN_BY_THE_EDGE:
        return False
    if name.lower() in keyed:
        return True
    if not trusted and (plain.startswith("x-forwarded-") or plain == "x-real-ip"):
        return False
    return not (shared and plain in REROUTING)


def _forwarding_lines(request: Request, trusted: bool, shared: bool) -> Iterator[tuple[str, str]]:
    said = request.fields if trusted else Fields()
    addresses = _appended(said.combined("x-forwarded-for"), _address(request.client) or "")
    if addresses:
        yield "X-Forwarded-For", addresses
    # An answer that others may get must not depend on a host or scheme that its key does not know.
    about_url = Fields() if shared else said
    yield "X-Forwarded-Host", about_url.combined("x-forwarded-host") or request.host
    yield "X-Forwarded-Proto", about_url.combined("x-forwarded-proto") or request.scheme
    yield "Forwarded", _appended(about_url.combined("forwarded"), _forwarded_element(request))


def _forwarded_element(request: Request) -> str:
    address = _address(request.client)
    node = address or "unknown"
    if ":" in node:
        node = f'"[{node}]"'
    host = f";host={_token_or_quoted(request.host)}" if request.host else ""
    return f"for={node}{host};proto={request.scheme}"


def _node(said: str) -> str | None:
    """The address of one member of X-Forwarded-For, which some proxies write with a port or in brackets."""
    host = said.strip().strip('"')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return _address(host)


@lru_cache(maxsize=1024)
def _address(client: str) -> str | None:
    """The client's IP address, or None when it has none, as over a Unix socket."""
    try:
        return str(ipaddress.ip_address(client.partition("%")[0]))
    except ValueError:
        return None


def _token_or_quoted(text: str) -> str:
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _trace(request: Request, via: str) -> Iterator[tuple[str, str]]:
    yield "Via", _appended(request.fields.combined("via"), f"1.1 {via}")
    yield "CDN-Loop", _appended(request.fields.combined("cdn-loop"), via)


def _appended(existing: str | None, addition: str) -> str:
    return ", ".join(part for part in (existing, addition) if part)
