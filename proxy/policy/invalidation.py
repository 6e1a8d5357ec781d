"""Which stored responses an unsafe request makes invalid (RFC 9111 section 4.4)."""

from __future__ import annotations

import re
from dataclasses import replace

from proxy.policy.matching import KeyRules, normalised_authority, normalised_url
from proxy.policy.messages import Fields, Request

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH"))
"""The methods registered as safe that a client may send here; every other one, known or not, may change things."""


def invalidates(method: str, status: int) -> bool:
    """Whether an answer with `status` to `method` invalidates what is stored: unsafe, and not an error."""
    return method not in SAFE_METHODS and 200 <= status < 400


def invalidated_urls(request: Request, response_fields: Fields, rules: KeyRules | None = None) -> tuple[str, ...]:
    """The URLs that became invalid: the target's, then those of Location and Content-Location.

    Normalised as `matching.normalised_url` does, given `rules` without the parameters that no key holds. Other
    origins' URLs are left out, or any site could empty another's cache.
    """
    urls = [normalised_url(request, rules)]
    for name in ("location", "content-location"):
        for reference in response_fields.all(name):
            url = resolved_url(reference, request, rules)
            if url is not None and url not in urls:
                urls.append(url)
    return tuple(urls)


def resolved_url(reference: str, request: Request, rules: KeyRules | None = None) -> str | None:
    """The normalised URL of a reference if it is of the request's origin, else None (RFC 3986 section 5.2.2)."""
    match = _REFERENCE.fullmatch(reference)
    if match is None or re.search(r"[\x00-\x20\x7f]", reference):
        return None
    scheme, authority = match["scheme"], match["authority"]
    if scheme is not None and (scheme.lower() != request.scheme or authority is None):
        return None
    if authority is not None:
        origin = normalised_authority(request.scheme, request.host)
        if normalised_authority(request.scheme, authority) != origin:
            return None
        target = match["path"] + (match["query"] or "")
    else:
        target = _relative(match["path"], match["query"], request)
    return normalised_url(replace(request, target=target), rules)


# RFC 3986 appendix B.
_REFERENCE = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?"
)


def _relative(path: str, query: str | None, request: Request) -> str:
    if not path:
        return request.path + query if query is not None else request.target
    if not path.startswith("/"):
        path = request.path.rpartition("/")[0] + "/" + path
    return path + (query or "")
