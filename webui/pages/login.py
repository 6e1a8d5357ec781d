"""The page that asks for the password, and the way out. It works without script and shows nothing of the edge."""

from __future__ import annotations

import asyncio
from math import ceil
from urllib.parse import urlsplit

from aiohttp import web

from webui.asking import asker
from webui.auth import LOGIN, LOGOUT, local_path
from webui.frame import Frame
from webui.login import COOKIE, COOKIES, Login, Welcome

_LARGEST_FORM = 16 * 2**10
_FORM_TIMEOUT = 10.0


def setup(frame: Frame, login: Login) -> None:
    """Register the page and the two actions."""
    page = _LoginPage(frame, login)
    frame.app.router.add_get(LOGIN, page.show)
    frame.app.router.add_post(LOGIN, page.submit)
    frame.app.router.add_post(LOGOUT, page.leave)


class _LoginPage:
    def __init__(self, frame: Frame, login: Login) -> None:
        self._frame = frame
        self._login = login

    async def show(self, request: web.Request) -> web.Response:
        to = local_path(request.query.get("to", "/"))
        if asker(request).session is not None:
            raise web.HTTPSeeOther(to)
        return self._shown(request, to)

    async def submit(self, request: web.Request) -> web.Response:
        password, to = await _form(request)
        found = await self._login.attempt(password, asker(request).address)
        if isinstance(found, Welcome):
            if old := asker(request).session:
                self._login.leave(old)
            raise self._welcomed(request, found, to)
        if found.wait:
            return self._shown(request, to, status=429, wait=max(ceil(found.wait), 1))
        return self._shown(request, to, status=403, wrong=True)

    async def leave(self, request: web.Request) -> web.Response:
        if old := asker(request).session:
            self._login.leave(old)
        answer = web.HTTPSeeOther(LOGIN)
        for name in COOKIES:
            if name in request.cookies:
                answer.del_cookie(name, path="/", secure=name != COOKIE, httponly=True, samesite="Strict")
        raise answer

    def _welcomed(self, request: web.Request, welcome: Welcome, to: str) -> web.HTTPSeeOther:
        answer = web.HTTPSeeOther(to)
        secure = _came_over_https(request)
        answer.set_cookie(
            COOKIES[0] if secure else COOKIE,
            welcome.cookie,
            max_age=int(self._login.max_age),
            path="/",
            secure=secure,
            httponly=True,
            samesite="Strict",
        )
        return answer

    def _shown(
        self, request: web.Request, to: str, *, status: int = 200, wrong: bool = False, wait: int = 0
    ) -> web.Response:
        page = self._frame.render(
            request, "login.html", page="login", status=status, to=to, wrong=wrong, wait=wait, action=LOGIN
        )
        if wait:
            page.headers["Retry-After"] = str(wait)
        return page


async def _form(request: web.Request) -> tuple[str, str]:
    if (request.content_length or 0) > _LARGEST_FORM:
        raise web.HTTPRequestEntityTooLarge(_LARGEST_FORM, request.content_length or 0)
    try:
        async with asyncio.timeout(_FORM_TIMEOUT):
            form = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The form did not arrive in time.\n") from None
    except ValueError:
        raise web.HTTPBadRequest(text="This is not a form.\n") from None
    password, to = form.get("password"), form.get("to")
    return password if isinstance(password, str) else "", local_path(to if isinstance(to, str) else "/")


def _came_over_https(request: web.Request) -> bool:
    """Whether the browser uses https, which some proxy in front then speaks: it says so with every form it sends."""
    return urlsplit(request.headers.get("Origin", "")).scheme == "https"
