"""Who may speak to the admin listener, what they may do, and what a browser may do with its answers.

Three attacks are met here: DNS rebinding (a hostile page whose name resolves to this machine) by the Host
check, request forgery by the same-origin check, injected markup by the Content-Security-Policy.
"""

from __future__ import annotations

import binascii
import ipaddress
import json
import logging
import re
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from math import ceil
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from webui.asking import Asker, asker, introduce
from webui.bearer import Bearer
from webui.client_address import Network, client_address
from webui.login import Login
from webui.problems import is_api, problem
from webui.refusals import as_problem, refused

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
LOGIN, LOGOUT = "/login", "/logout"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)
_audit = logging.getLogger("cachewire.audit")


def security(
    token: str | None,
    allowed_hosts: Collection[str] = (),
    *,
    login: Login | None = None,
    read_only: bool = False,
    traffic: Collection[str] = (),
    proxies: Collection[str] = (),
    now: Callable[[], float] = time.monotonic,
) -> list[Middleware]:
    """The middlewares of the admin listener, outermost first.

    `allowed_hosts` are host names without port that `Host` may say besides the loopback ones. Neither `token` nor
    `login`: nobody is asked to authenticate, which only a loopback listener may afford. `traffic` are paths whose
    POST changes nothing of the edge, so that `read_only` lets it pass and no audit line is written for it. `proxies`
    are networks whose X-Forwarded-For is believed. Who has shown too many wrong tokens waits, by the clock `now`.
    """
    hosts = frozenset(host.lower().strip("[]").rstrip(".") for host in allowed_hosts)
    guarded = token is not None or login is not None
    bearer = None if token is None else Bearer(token, now)
    return [
        _headers(),
        as_problem,
        _known_host(hosts, guarded=guarded),
        _authenticated(bearer, login, [ipaddress.ip_network(text, strict=False) for text in proxies]),
        refused,
        _same_origin(),
        _changes(read_only, frozenset(traffic)),
    ]


def local_path(text: str) -> str:
    """An address to go on to after the login: a path of this listener's own, `/` for anything else."""
    away = text.partition("?")[0] in (LOGIN, LOGOUT)
    return text if _LOCAL.fullmatch(text) and not away else "/"


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
            said = "Internal error; the log has the details."
            response = problem(500, "internal", said) if is_api(request) else web.Response(status=500, text=f"{said}\n")
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
                " with its port, or a name of admin.allowed_hosts; with a password or token set, any name will do.\n"
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


def _authenticated(bearer: Bearer | None, login: Login | None, proxies: Sequence[Network]) -> Middleware:
    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        address = client_address(request.remote or "", request.headers.getall("X-Forwarded-For", ()), proxies)
        introduce(request, Asker(address=address))
        if request.path in OPEN_PATHS or (bearer is None and login is None):
            return await handler(request)
        given = _credentials(request.headers.get("Authorization", ""))
        found = bearer.look(given, address) if bearer is not None and given is not None else False
        if found is True:
            introduce(request, Asker("token", address))
            return await handler(request)
        # What lies before the login, and who has logged in, waits for nobody's tokens.
        if login is not None and (
            _recognized(request, login) or request.path == LOGIN or request.path.startswith("/static/")
        ):
            return await handler(request)
        if found:
            raise _asked_to_wait(found)
        if login is None:
            raise web.HTTPUnauthorized(
                text="The admin token is needed: as a bearer token, or as the password of any user name.\n",
                headers={"WWW-Authenticate": 'Basic realm="Cachewire", charset="UTF-8"'},
            )
        raise _asked_to_log_in(request)

    return authenticated


def _recognized(request: web.Request, login: Login) -> bool:
    found = login.session(request.cookies)
    if found is None:
        return False
    who = Asker(
        actor=f"{found.role} (session)",
        address=asker(request).address,
        may_change=found.role == "operator",
        session=found,
        lasts=lambda: login.lasts(found),
    )
    introduce(request, who)
    return True


def _asked_to_log_in(request: web.Request) -> web.HTTPException:
    """A page leads to the login and back; a script is told what it needs, and htmx to load its page anew."""
    if request.headers.get("HX-Request") == "true":
        return web.HTTPUnauthorized(text="Log in again.\n", headers={"HX-Refresh": "true", **_BEARER})
    if is_api(request) or "text/html" not in request.headers.get("Accept", ""):
        return web.HTTPUnauthorized(
            text=_problem(401, "unauthorized", "a session is needed, or the admin token as a bearer token"),
            content_type="application/problem+json",
            headers=_BEARER,
        )
    to = local_path(request.path_qs) if request.method in _SAFE_METHODS else "/"
    return web.HTTPSeeOther(LOGIN if to == "/" else f"{LOGIN}?{urlencode({'to': to})}")


def _asked_to_wait(seconds: float) -> web.HTTPException:
    wait = max(ceil(seconds), 1)
    text = _problem(429, "too-many-attempts", f"too many wrong tokens came from this address; try again in {wait} s")
    return web.HTTPTooManyRequests(
        text=text, content_type="application/problem+json", headers={"Retry-After": str(wait)}
    )


_BEARER = {"WWW-Authenticate": 'Bearer realm="Cachewire"'}


def _problem(status: int, title: str, detail: str) -> str:
    return json.dumps({"title": title, "status": status, "detail": detail})


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
    """A browser says where a request comes from; what says nothing is no browser and cannot be tricked.

    But what has a browser's session has to say it: SameSite lets the pages of other ports of this host send it.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return asker(request).session is None
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return netloc != "" and netloc.lower() == request.headers.get("Host", "").lower()


def _changes(read_only: bool, traffic: frozenset[str]) -> Middleware:
    """Refuses changes to those who may only look, and leaves a line of every change that was made."""

    @web.middleware
    async def changes(request: web.Request, handler: Handler) -> web.StreamResponse:
        passes = request.path in traffic and asker(request).session is None
        if read_only and not passes:
            introduce(request, replace(asker(request), may_change=False))
        if request.method in _SAFE_METHODS or request.path in (LOGIN, LOGOUT) or passes:
            return await handler(request)
        if not asker(request).may_change:
            raise _may_only_look(request, read_only)
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            _tell(request, answer.status)
            raise
        _tell(request, response.status)
        return response

    return changes


def _may_only_look(request: web.Request, read_only: bool) -> web.HTTPForbidden:
    why = (
        "Nothing can be changed here: admin.read_only is true."
        if read_only
        else "This login sees everything and changes nothing. Log in with the operators' password to change something."
    )
    if is_api(request):
        text = _problem(403, "read-only", why)
        return web.HTTPForbidden(text=text, content_type="application/problem+json")
    return web.HTTPForbidden(text=f"{why}\n")


def _tell(request: web.Request, status: int) -> None:
    # The pattern of the address, because an address may hold an id that nobody else shall know. A `{name}` is no
    # secret: it stands for a thing of the configuration; what does not look like one stays out of the log.
    resource, name = request.match_info.route.resource, request.match_info.get("name", "")
    where = request.path if resource is None else resource.canonical
    if _NAME.fullmatch(name):
        where = where.replace("{name}", name)
    who = asker(request)
    _audit.info("%s %s by %s from %s: %d", request.method, where, who.actor, who.address, status)
