"""Refusals as pages: who asks with a browser stays within the dashboard; scripts get text or a problem document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from webui.problems import PROBLEM, is_api, problem

Shown = Callable[[web.Request, int, str, str], web.Response]
SHOWN: web.AppKey[Shown] = web.AppKey("refusals shown")
"""Makes the page for a request: with this status, title and sentence."""

_TITLES = {
    400: "The address is not right",
    403: "That is not allowed here",
    404: "There is no such page",
    405: "That cannot be done here",
}
_SENTENCES = {
    404: "Nothing of this dashboard has this address.",
    405: "This address does not take such a request.",
}
_PROBLEMS = {
    401: ("unauthorized", "The admin token is needed, as a bearer token."),
    403: ("forbidden", "That is not allowed here."),
    404: ("not-found", "Nothing of this API has this address."),
    405: ("method-not-allowed", "This address does not take this method; Allow names those that it takes."),
    413: ("body-too-large", "The body is larger than {most:,} bytes, the most that is read here."),
    421: ("misdirected-request", "This host name is not one that the admin listener answers to."),
}
_OWN = frozenset(("content-type", "content-length"))


@web.middleware
async def refused(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Shows what is refused to those who may see the pages, and addresses that do not exist."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        shown = request.app.get(SHOWN)
        if refusal.status < 400 or shown is None or not _for_eyes(request):
            raise
        page = shown(request, refusal.status, _title(refusal.status), _sentence(refusal))
        page.headers.extend({name: value for name, value in refusal.headers.items() if name.lower() not in _OWN})
        return page


@web.middleware
async def as_problem(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tells scripts of every refusal in the same form, whoever refuses: ours, and what aiohttp does by itself."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        if refusal.status < 400 or not is_api(request) or refusal.content_type == PROBLEM:
            raise
        answer = problem(refusal.status, *_problem(request, refusal))
        answer.headers.extend({name: value for name, value in refusal.headers.items() if name.lower() not in _OWN})
        return answer


def _problem(request: web.Request, refusal: web.HTTPException) -> tuple[str, str]:
    reason, sentence = _PROBLEMS.get(refusal.status) or ("refused", f"{HTTPStatus(refusal.status).phrase}.")
    own = "" if refusal.status == 413 else _own_words(refusal)
    return reason, own or sentence.format(most=request.client_max_size)


def _for_eyes(request: web.Request) -> bool:
    asks_part = request.headers.get("HX-Request") == "true" or request.path.startswith("/static/")
    return "text/html" in request.headers.get("Accept", "") and not asks_part and not is_api(request)


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


def _sentence(refusal: web.HTTPException) -> str:
    return _own_words(refusal) or _SENTENCES.get(refusal.status, "")


def _own_words(refusal: web.HTTPException) -> str:
    text = (refusal.text or "").strip()
    return "" if text.startswith(f"{refusal.status}: ") else text  # aiohttp says a number and a phrase by itself
