"""May a stored response answer this request: fresh (RFC 9111 section 4) or stale (section 4.2.4, RFC 5861)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proxy.policy.directives import Directives, request_directives, response_directives
from proxy.policy.freshness import Freshness, freshness, validation_required
from proxy.policy.messages import Request, Rules, StoredResponse
from proxy.policy.parts import answerable
from proxy.policy.storing import explicitly_shared, has_credentials, shareable, shareable_after

Cause = Literal["unreachable", "error-status", "fallback", "revalidating"]
"""Why stale use is considered: no answer from the origin; an error status from it; network-first's rule, which
looks at neither; or an answer now with the validation in the background."""


_ANSWERS = {"GET": ("GET", "HEAD"), "POST": ("GET", "HEAD"), "QUERY": ("QUERY",)}
"""Which requests the response to each method may answer (RFC 9111 section 4, RFC 9110 section 9.3)."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Whether a stored response answers a request.

    `fresh`: it may be used without asking the origin. `usable` is False when it may not be used for this
    request at all, whatever happens to the origin. `reason` is the slug of the decision.
    """

    fresh: bool
    usable: bool
    reason: str
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether stale use is permitted, and the slug of what permits or forbids it."""

    allowed: bool
    reason: str


def reuse(request: Request, stored: StoredResponse, rules: Rules, now: float, *, own: bool = False) -> Reuse:
    """Decide whether a stored response that the request selects may be used without asking the origin.

    `own` says that it was found under the key of the request's own credentials. A request's `no-store` does
    not keep it from what is already stored (RFC 9111 section 5.2.1.5).
    """
    state = freshness(stored, rules, now)
    if foreign := _mismatch(request, stored) or _foreign(request, stored, rules, own):
        return Reuse(False, False, foreign, state)
    wishes = request_directives(request, rules)
    obstacle = validation_required(stored) or _asks_for_newer(wishes, stored, state)
    if obstacle is None and not state.fresh and _accepts_stale(wishes, stored, rules, state, now):
        return Reuse(True, True, "request-max-stale", state)
    obstacle = obstacle or _not_fresh(state)
    return Reuse(obstacle is None, True, obstacle or ("assumed-fresh" if state.source == "assumed" else "fresh"), state)


def collapsible(stored: StoredResponse, rules: Rules, now: float) -> bool:
    """Whether those who asked while it was on its way may have it too (RFC 9111 section 4).

    Not when the origin says that it is good for one use: `no-cache`, a lifetime of nothing. Silence forbids
    nothing: it was asked for before it came, and is as new as an answer of one's own would be.
    """
    if validation_required(stored):
        return False
    state = freshness(stored, rules, now)
    return state.fresh or state.source in ("none", "heuristic", "assumed")


def wants_validation(request: Request, rules: Rules) -> bool:
    """Whether the request asks for an answer that the origin gives now (RFC 9111 sections 5.2.1.1 and 5.2.1.4)."""
    wishes = request_directives(request, rules)
    return "no-cache" in wishes or wishes.seconds("max-age") == 0


def stale_permitted(
    request: Request,
    stored: StoredResponse,
    rules: Rules,
    now: float,
    cause: Cause,
    *,
    own: bool = False,
    strategy_window: float | None = None,
) -> Permission:
    """Decide whether a stored response may be used although it is stale.

    `strategy_window` belongs to the cause "revalidating": the seconds since the response arrived within which
    the stale-while-revalidate strategy answers at once; infinity for no bound, None for other strategies.

    Request directives are wishes (RFC 9111 section 5.2.1 calls them advisory). A reload's `no-cache` or
    `max-age=0` wishes that the origin be asked; when that was done and failed, the wish was granted and the stored
    response is better than an error. So they count only for "revalidating", which asks too late. A stated limit
    on staleness, `max-stale=N`, holds always, unless the request's own `stale-if-error` reaches further.
    """
    refusal = _mismatch(request, stored) or _foreign(request, stored, rules, own) or validation_required(stored)
    if refusal:
        return Permission(False, refusal)
    wishes = request_directives(request, rules)
    state = freshness(stored, rules, now)
    if cause == "revalidating" and (wish := _asks_for_newer(wishes, stored, state) or _asks_for_fresh(wishes, state)):
        return Permission(False, wish)
    if state.fresh:
        return Permission(True, "fresh")
    if refusal := _stale_prohibited(stored) or _too_old(stored, rules, now) or _too_stale(wishes, state):
        return Permission(False, refusal)
    if cause == "revalidating":
        return _while_revalidating(stored, state, now, strategy_window)
    return Permission(True, "fallback") if cause == "fallback" else _if_error(wishes, stored, rules, state, cause)


def _mismatch(request: Request, stored: StoredResponse) -> str | None:
    """Why a response of this method and extent cannot answer the request, or None."""
    if request.method not in _ANSWERS.get(stored.method, ()):
        return "method"
    return "partial" if stored.status == 206 and not answerable(request, stored) else None


def _foreign(request: Request, stored: StoredResponse, rules: Rules, own: bool) -> str | None:
    """Why the stored response is not for this user, or None."""
    if own:
        return None
    directives = response_directives(stored.fields)
    listed = directives.field_names("private")
    if directives.unqualified("private") or any(name in stored.fields for name in listed):
        return "response-private"
    if rules.credentials == "ignore" or not (has_credentials(request) or stored.credentials):
        return None
    if rules.credentials == "bypass":
        # A 304 may have taken away what permitted it when it was stored.
        shared = shareable(request, stored.fields) and shareable_after(stored.credentials, stored.fields)
    else:
        shared = explicitly_shared(stored.fields)
    return None if shared else "credentials"


def _asks_for_newer(wishes: Directives, stored: StoredResponse, state: Freshness) -> str | None:
    """Which request directive a response of this freshness does not satisfy, or None."""
    if "no-cache" in wishes:
        return "request-no-cache"
    limit = wishes.seconds("max-age")
    # RFC 8246: a plain reload (max-age=0) of what is immutable and fresh has nothing to learn from the origin.
    reload_needless = limit == 0 and state.fresh and "immutable" in response_directives(stored.fields)
    if limit is not None and state.age > limit and not reload_needless:
        return "request-max-age"
    if state.fresh and state.ttl < (wishes.seconds("min-fresh") or 0):
        return "request-min-fresh"
    return None


def _asks_for_fresh(wishes: Directives, state: Freshness) -> str | None:
    # RFC 9111 section 5.2.1.1: with max-age, but without max-stale, "the client does not wish to receive a stale
    # response".
    if state.fresh:
        return None
    if "min-fresh" in wishes:
        return "request-min-fresh"
    return "request-max-age" if "max-age" in wishes and "max-stale" not in wishes else None


def _accepts_stale(wishes: Directives, stored: StoredResponse, rules: Rules, state: Freshness, now: float) -> bool:
    """Whether the request's own max-stale makes a stale response good enough.

    Not after a soft purge: the operator knows that something newer exists.
    """
    return (
        "max-stale" in wishes
        and "min-fresh" not in wishes
        and not state.soft_purged
        and not (_stale_prohibited(stored) or _too_old(stored, rules, now) or _too_stale(wishes, state))
    )


def _not_fresh(state: Freshness) -> str | None:
    if state.fresh:
        return None
    if state.soft_purged:
        return "soft-purged"
    return "no-freshness" if state.source == "none" else "stale"


def _stale_prohibited(stored: StoredResponse) -> str | None:
    """Which response directive forbids stale use (RFC 9111 sections 5.2.2.2, 5.2.2.8, 5.2.2.10), or None.

    `s-maxage` does even beside stale-while-revalidate: it carries the meaning of proxy-revalidate.
    """
    directives = response_directives(stored.fields)
    return next((name for name in ("must-revalidate", "proxy-revalidate", "s-maxage") if name in directives), None)


def _too_old(stored: StoredResponse, rules: Rules, now: float) -> str | None:
    return "max-age" if rules.max_age is not None and now - stored.response_time > rules.max_age else None


def _too_stale(wishes: Directives, state: Freshness) -> str | None:
    if wishes.argument("max-stale") is None:  # absent, or any staleness will do (RFC 9111 section 5.2.1.2)
        return None
    limit = max(wishes.seconds("max-stale") or 0, wishes.seconds("stale-if-error") or 0)
    return "request-max-stale" if state.staleness > limit else None


def _while_revalidating(
    stored: StoredResponse, state: Freshness, now: float, strategy_window: float | None
) -> Permission:
    window = response_directives(stored.fields).seconds("stale-while-revalidate")
    if window is not None and state.staleness <= window:
        return Permission(True, "stale-while-revalidate")
    if strategy_window is not None and now - stored.response_time <= strategy_window:
        return Permission(True, "strategy-window")
    over = window is not None or strategy_window is not None
    return Permission(False, "stale-while-revalidate-over" if over else "no-stale-while-revalidate")


def _if_error(wishes: Directives, stored: StoredResponse, rules: Rules, state: Freshness, cause: Cause) -> Permission:
    """RFC 5861 section 4. Without any window an unreachable origin permits it, an error status does not."""
    stated = (
        response_directives(stored.fields).seconds("stale-if-error"),
        wishes.seconds("stale-if-error"),
        rules.stale_if_error,
    )
    windows = [window for window in stated if window is not None]
    if windows:
        allowed = state.staleness <= max(windows)
        return Permission(allowed, "stale-if-error" if allowed else "stale-if-error-over")
    if cause == "unreachable":
        return Permission(True, "unreachable")
    return Permission(False, "no-stale-if-error")
