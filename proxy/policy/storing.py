"""May a response be stored, and which of its fields (RFC 9111 section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.policy.directives import request_directives, response_directives
from proxy.policy.forwarding import end_to_end
from proxy.policy.freshness import HEURISTICALLY_CACHEABLE, Lifetime, lifetime
from proxy.policy.invalidation import resolved_url
from proxy.policy.matching import normalised_url
from proxy.policy.messages import Credentials, Fields, Request, Response, Rules
from proxy.policy.parts import received_part
from proxy.policy.request_id import REQUEST_ID

UNDERSTOOD = frozenset(
    {*range(200, 207), *range(300, 304), 305, 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)}
)
"""The statuses whose caching requirements are implemented here, for `must-understand` (RFC 9111 section 5.2.2.3)."""

_INDISPENSABLE = frozenset({"cache-control", "content-encoding", "content-range", "content-type", "vary"})
"""Without these the rest cannot be understood. Listed in `no-cache` or `private` they stay, and then bind the whole."""


@dataclass(frozen=True, slots=True)
class Storing:
    """The decision about one response. `reason` is a slug: what forbids storing it, or what makes it worth it.

    `private`: under the key of this request's own credentials only. `fields` is the head to store; it lacks
    what must not be kept, and storing the received head instead would leak it. `method` is the one under whose key
    it is stored: the response to a POST may answer GET and HEAD, and never another POST (RFC 9110 section 9.3.3).
    """

    store: bool
    reason: str
    private: bool = False
    fields: Fields = field(default_factory=Fields)
    method: str = "GET"


def storing(request: Request, response: Response, rules: Rules, *, content_keyed: bool = False) -> Storing:
    """Decide whether the response to `request` is stored for later requests.

    `content_keyed` promises that the key holds a digest of the request's content, without which the response to a
    QUERY is never stored (RFC 10008 section 2.7).
    """
    fields = stored_fields(response.fields)
    obstacle = (
        _unstorable_exchange(request, response, rules, content_keyed)
        or _forbidden(request, response, rules)
        or _narrowed(response, rules)
        or _personal(request, fields, rules)
    )
    if obstacle:
        return Storing(False, obstacle)
    allowed = lifetime(response, rules)
    # A status that is not cacheable by itself needs a lifetime that is worth something: an error page with an
    # Expires in the past would be permitted, but only push the last good answer out.
    if response.status not in HEURISTICALLY_CACHEABLE and allowed.seconds <= 0:
        return Storing(False, "status-not-cacheable")
    private = _belongs_to_one_user(request, fields, rules)
    method = "QUERY" if request.method == "QUERY" else "GET"
    return Storing(True, "private" if private else _worth(allowed, fields), private, fields, method)


def stored_fields(fields: Fields) -> Fields:
    """The fields to keep (RFC 9111 section 3.1): all but hop-by-hop ones, a proxy's, and those that a qualified
    `no-cache` or `private` lists."""
    listed = (name for name in listed_names(fields) if name not in _INDISPENSABLE)
    # The id of the request that happened to fetch it says nothing of those it will answer.
    return end_to_end(fields).without(REQUEST_ID, *listed)


def listed_names(fields: Fields) -> tuple[str, ...]:
    """The fields, in lower case, that a qualified `no-cache` or `private` keeps from all but the one who asked."""
    directives = response_directives(fields)
    return (*directives.field_names("no-cache"), *directives.field_names("private"))


def credentials_of(request: Request) -> Credentials:
    """What the request says of who is asking; a Cookie weighs more, as less can make up for it."""
    if "Cookie" in request.fields:
        return "cookie"
    return "authorization" if "Authorization" in request.fields else ""


def has_credentials(request: Request) -> bool:
    """Whether the request says who is asking: Authorization or Cookie."""
    return credentials_of(request) != ""


def explicitly_shared(response_fields: Fields) -> bool:
    """Whether the origin says that everyone may have this response: `public` or `s-maxage`, and not `private`."""
    directives = response_directives(response_fields)
    return ("public" in directives or "s-maxage" in directives) and not directives.unqualified("private")


def shareable(request: Request, response_fields: Fields) -> bool:
    """Whether a shared cache may connect this request, with the credentials it has, to this response."""
    return shareable_after(credentials_of(request), response_fields)


def shareable_after(credentials: Credentials, response_fields: Fields) -> bool:
    """Whether what a request with such credentials was answered may answer others.

    After an Authorization field `must-revalidate` permits it as well (RFC 9111 section 3.5); for cookies, about
    which the RFC is silent, only `public` and `s-maxage` do.
    """
    if not credentials or explicitly_shared(response_fields):
        return True
    directives = response_directives(response_fields)
    return credentials != "cookie" and "must-revalidate" in directives and not directives.unqualified("private")


def _unstorable_exchange(request: Request, response: Response, rules: Rules, content_keyed: bool) -> str | None:
    storable = {"GET": True, "QUERY": content_keyed, "POST": _is_representation(request, response, rules)}
    if not storable.get(request.method):
        return "method"
    if request.method == "GET" and request.has_body:
        return "request-body"
    if response.status < 200:
        return "not-final"
    if response.status > 599:
        return "status-invalid"  # RFC 9110 section 15
    if response.status == 304:
        return "not-modified"
    if _about_the_request(request, response.status):
        return "status-of-request"
    if response.status == 206 and not (rules.partial and received_part(request, response)):
        return "partial"
    return None


def _about_the_request(request: Request, status: int) -> bool:
    """Whether the status judges a Range or an Expect that the key does not hold (RFC 9110 sections 15.5.17, 15.5.18).

    Stored, it would answer those who asked for the whole, and one hostile range would take a resource away from all.
    """
    return (status == 416 and "Range" in request.fields) or (status == 417 and "Expect" in request.fields)


def _is_representation(request: Request, response: Response, rules: Rules) -> bool:
    """Whether the answer to a POST is what a GET would get, and says for how long (RFC 9110 section 9.3.3).

    Only as a 200: another status would tell a later GET of something that the POST did.
    """
    stated = response.fields.all("Content-Location")
    if request.method != "POST" or response.status != 200 or len(stated) != 1:
        return False
    allowed = lifetime(response, rules)
    return allowed.explicit and allowed.seconds > 0 and resolved_url(stated[0], request) == normalised_url(request)


def _forbidden(request: Request, response: Response, rules: Rules) -> str | None:
    directives = response_directives(response.fields)
    if "no-store" in request_directives(request, rules):
        return "request-no-store"
    if "must-understand" in directives:
        # It tells a cache that understands the status to ignore the `no-store` beside it.
        if response.status not in UNDERSTOOD:
            return "must-understand"
    elif "no-store" in directives:
        return "response-no-store"
    return "vary" if "*" in response.fields.members("Vary") else None


def _narrowed(response: Response, rules: Rules) -> str | None:
    """Why the route's own `cacheable` keeps the response out, or None."""
    if rules.statuses is not None and response.status not in rules.statuses:
        return "route-status"
    for name, value in rules.required_fields:
        if name not in response.fields or (value is not None and response.fields.combined(name) != value):
            return "route-field"
    return None


def _personal(request: Request, fields: Fields, rules: Rules) -> str | None:
    """Why the response is too personal to store, or None."""
    directives = response_directives(fields)
    own_copy = rules.credentials == "partition" and has_credentials(request)
    listed = any(name in fields for name in directives.field_names("private"))
    if (directives.unqualified("private") or listed) and not own_copy:
        return "response-private"
    if "Set-Cookie" in fields:
        public = "public" in directives and explicitly_shared(fields)
        # A route that keeps users apart does not hand the cookie of one to the next, whatever the origin says.
        if not public or (rules.credentials == "partition" and not own_copy):
            return "set-cookie"
    if rules.credentials == "bypass" and not shareable(request, fields):
        return "credentials"
    return None


def _belongs_to_one_user(request: Request, fields: Fields, rules: Rules) -> bool:
    shared = explicitly_shared(fields) and "Set-Cookie" not in fields
    return rules.credentials == "partition" and has_credentials(request) and not shared


def _worth(allowed: Lifetime, fields: Fields) -> str:
    if allowed.explicit and allowed.seconds > 0:
        return "explicit-lifetime"
    if allowed.seconds > 0:
        return "heuristic-lifetime" if allowed.source == "heuristic" else "assigned-lifetime"
    # Never fresh, but RFC 9111 section 3 permits it for this status, and it is what network-first falls back on.
    return "validator" if "ETag" in fields or "Last-Modified" in fields else "fallback"
