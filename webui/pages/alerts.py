"""The alerts: what fires, what it means, what to do; their rules, their history, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from aiohttp import web

from webui.alerts_shown import AlertActions, AlertsShown, FiringAlert, Refused
from webui.frame import Frame, actor, is_live

FIELDS = ("threshold", "release", "for", "resolve_after", "severity")
"""What the form of a rule has, besides its switch."""

_DONE = {
    "changed": "is changed, until the next restart",
    "kept": "is changed, and stays so across restarts",
    "reset": "is as configured again",
}


def setup(
    frame: Frame,
    shown: Callable[[], AlertsShown],
    firing: Callable[[], Sequence[FiringAlert]],
    actions: AlertActions,
) -> None:
    """Register the page, and tell all pages what fires. The sources are asked on the event loop, at every look."""
    pages = _Alerts(frame, shown, actions)
    frame.add("alerts", "/alerts", "Alerts")
    frame.offer(firing_alerts=firing)
    frame.app.router.add_get("/alerts", pages.show)
    frame.app.router.add_post("/alerts/test-webhook", pages.try_webhook)
    frame.app.router.add_post("/alerts/{name}", pages.change)
    frame.app.router.add_post("/alerts/{name}/reset", pages.reset)


class _Alerts:
    def __init__(self, frame: Frame, shown: Callable[[], AlertsShown], actions: AlertActions) -> None:
        self._frame = frame
        self._shown = shown
        self._actions = actions

    async def show(self, request: web.Request) -> web.Response:
        return self._page(request, self._message(request.query.get("done", ""), request.query.get("alert", "")))

    async def change(self, request: web.Request) -> web.Response:
        name, form = request.match_info["name"], await request.post()
        settings: dict[str, object] = {field: str(form[field]).strip() for field in FIELDS if field in form}
        # An unticked box is not sent; an empty release means: the threshold itself.
        settings["enabled"] = form.get("enabled") == "yes"
        if settings.get("release") == "":
            settings["release"] = None
        keep = form.get("keep") == "yes"
        try:
            await self._actions.change(name, settings, keep=keep, by=actor(request))
        except Refused as refusal:
            return self._refused(request, name, refusal, settings)
        return self._done(request, "kept" if keep else "changed", name)

    async def reset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._actions.reset(name, by=actor(request))
        except Refused as refusal:
            return self._refused(request, name, refusal, {})
        return self._done(request, "reset", name)

    async def try_webhook(self, request: web.Request) -> web.Response:
        try:
            self._actions.try_webhook(by=actor(request))
        except Refused as refusal:
            return self._refused(request, "", refusal, {})
        return self._done(request, "tested", "")

    def _done(self, request: web.Request, what: str, name: str) -> web.Response:
        if is_live(request):
            return self._page(request, self._message(what, name))
        raise web.HTTPSeeOther(f"/alerts?{urlencode({'done': what, 'alert': name})}")

    def _refused(
        self, request: web.Request, name: str, refusal: Refused, entered: Mapping[str, object]
    ) -> web.Response:
        if is_live(request):
            raise web.HTTPBadRequest(text=str(refusal))
        return self._page(request, "", problem=str(refusal), entered=(name, entered), status=400)

    def _message(self, what: str, name: str) -> str:
        """What was done, in words; nothing for what no page of ours links to."""
        if what == "tested":
            return "A test message is on its way; how it went is told below."
        known = name.replace("-", "").isalpha() and len(name) < 40
        return f"The alert {name} {_DONE[what]}." if known and what in _DONE else ""

    def _page(
        self,
        request: web.Request,
        message: str,
        *,
        problem: str = "",
        entered: tuple[str, Mapping[str, object]] = ("", {}),
        status: int = 200,
    ) -> web.Response:
        try:
            shown = self._shown()
        except Exception:
            return self._frame.failed(request, "alerts")
        response = self._frame.render(
            request,
            "alerts.html",
            page="alerts",
            status=status,
            a=shown,
            message=message,
            problem=problem,
            entered_of=entered[0],
            entered=entered[1],
        )
        # The address bar forgets what is told already.
        response.headers["HX-Replace-Url"] = "/alerts"
        return response
