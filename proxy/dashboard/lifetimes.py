"""How long a stored response is fresh, who said so, and what becomes of the next request, in words."""

from __future__ import annotations

from proxy.policy.directives import response_directives
from proxy.policy.freshness import lifetime, validation_required
from proxy.policy.messages import Rules, StoredResponse
from proxy.policy.validation import has_validator
from webui.formats import age as span

_SOURCES = {
    "s-maxage": "the application says so for shared caches (s-maxage)",
    "max-age": "the application says so (max-age)",
    "expires": "the application says so (Expires)",
    "content-type": "cache.expiry gives it to this content type",
    "route": "expiration.max_age of its route gives it",
    "assumed": "the application says nothing, so cache.heuristic does",
    "heuristic": "the application says nothing, so it is a tenth of the time for which it had not changed",
}


def in_words(stored: StoredResponse, rules: Rules | None, now: float) -> str:
    """How long it is fresh from its making on, and who said so. `rules` None: its route is not configured any more."""
    if rules is None:
        return "Its route is not configured (any more): it is fresh for as long as was found when it was stored."
    allowed = lifetime(stored, rules)
    if allowed.source == "none":
        return "Nothing gives it a lifetime: neither the application nor its route."
    given = f"{span(allowed.seconds)}: {_SOURCES[allowed.source]}"
    if rules.max_age is not None and allowed.source not in ("route", "content-type"):
        given += f"; its route keeps nothing longer than {span(rules.max_age)}"
    if stored.stale_since is not None and stored.stale_since <= now:
        given += f". A purge marked it stale {span(now - stored.stale_since)} ago"
    return f"{given}."


def use(stored: StoredResponse, fresh: bool) -> str:
    """What becomes of the next request for it that wishes nothing special."""
    if fresh:
        return "The next request is answered from it; the origin is not asked."
    question = "whether it has changed" if has_validator(stored) else "for it anew: it has no validator to compare"
    if why := validation_required(stored):
        return f"It must be confirmed before every use ({_REQUIREMENTS[why]}): the origin is asked {question}."
    strict = response_directives(stored.fields)
    if forbidden := next(
        (name for name in ("must-revalidate", "proxy-revalidate", "s-maxage") if name in strict), None
    ):
        return f"The origin is asked {question}. If it is away, this may not stand in ({forbidden})."
    return f"The origin is asked {question}; some routes answer from it at once. If the origin is away, it stands in."


def validators(stored: StoredResponse) -> tuple[str, ...]:
    """By what the origin recognises it."""
    return tuple(
        f"{name}: {value}" for name in ("ETag", "Last-Modified") if (value := stored.fields.first(name)) is not None
    )


_REQUIREMENTS = {"response-no-cache": "no-cache", "response-no-store": "no-store", "response-vary": "Vary: *"}
