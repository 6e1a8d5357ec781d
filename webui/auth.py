"""Who may speak to the admin listener, and what a browser may do with its answers.

Three attacks are met here: DNS rebinding (a hostile page whose name resolves to this machine) by the Host
check, request forgery by the same-origin check, injected markup by the Content-Security-Policy.
"""

from __future__ import annotations

import binascii
import hmac
import ipaddress
import logging
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "cachewire",
}
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What a probe may ask without the token: they say yes or no and nothing else."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_log = logging.getLogger(__name__)


def security(token: str | None, allowed_hosts: Collection[str] = ()) -> list[Middleware]:
    """The middlewares of the admin listener, outermost first.

    `allowed_hosts` are host names without port that `Host` may say besides the loopback ones. `token` None:
    nobody is asked to authenticate, which only a loopback listener may afford.
    """
    hosts = frozenset(host.lower().strip("[]").rstrip(".") for host in allowed_hosts)
    return [_headers(), _known_host(hosts, guarded=token is not None), _authenticated(token), _same_origin()]


def _headers() -> Middleware:
    @web.middleware
    async def headers(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            _protect(refusal)
            raise
        except Exception:
            # The details belong into the log, not onto the wire.
            _log.exception("admin listener: %s %s failed", request.method, request.path)
            response = web.Response(status=500, text="Internal error; the log has the details.\n")
        if not response.prepared:
            _protect(response)
        return response

    return headers


def _protect(response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = "cachewire"


def _known_host(allowed: frozenset[str], *, guarded: bool) -> Middleware:
    @web.middleware
    async def known_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        values = request.headers.getall("Host", [])
        host = _host_name(values[0]) if len(values) == 1 else None
        if host is None or not _is_known(host, allowed, guarded=guarded):
            # RFC 9110 section 15.5.20: not an authority this server answers for.
            raise _Misdirected(
                text="This host name is not one the admin listener answers to. Use http://127.0.0.1 or localhost"
                " with its port; with admin.token set, any name will do.\n"
            )
        return await handler(request)

    return known_host


class _Misdirected(web.HTTPClientError):
    status_code = 421
    empty_body = False


def _host_name(value: str) -> str | None:
    match = _AUTHORITY.fullmatch(value)
    return match[1].lower().strip("[]").rstrip(".") if match else None


def _is_known(host: str, allowed: frozenset[str], *, guarded: bool) -> bool:
    # Rebinding is a danger where nothing else stands in the way; a token does.
    if guarded or host == "localhost" or host in allowed:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback


def _authenticated(token: str | None) -> Middleware:
    expected = None if token is None else token.encode()

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        if expected is None or request.path in OPEN_PATHS:
            return await handler(request)
        given = _credentials(request.headers.get("Authorization", ""))
        if given is None or not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(
                text="The admin token is needed: as a bearer token, or as the password of any user name.\n",
                headers={"WWW-Authenticate": 'Basic realm="Cachewire", charset="UTF-8"'},
            )
        return await handler(request)

    return authenticated


def _credentials(authorization: str) -> bytes | None:
    """The token of an Authorization field value (RFC 6750 section 2.1, RFC 7617 section 2), or None."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() != "basic":
        return None
    try:
        user_pass = b64decode(rest.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    _, colon, password = user_pass.partition(b":")
    return password if colon else None


def _same_origin() -> Middleware:
    @web.middleware
    async def same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in _SAFE_METHODS and not _comes_from_here(request):
            raise web.HTTPForbidden(text="Changes are accepted from this dashboard's own pages only.\n")
        return await handler(request)

    return same_origin


def _comes_from_here(request: web.Request) -> bool:
    """A browser says where a request comes from; what says nothing is no browser and cannot be tricked."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return netloc != "" and netloc.lower() == request.headers.get("Host", "").lower()
