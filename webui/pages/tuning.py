"""Presets, values that change while running, and what the edge did by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from secrets import token_urlsafe

from aiohttp import web

from webui.frame import Frame, actor, is_live
from webui.tuning_shown import Refusal, TuningActions, TuningShown

_MOST_MESSAGES = 100


def setup(frame: Frame, tuning: Callable[[], TuningShown], actions: TuningActions) -> None:
    """Register the page. The source is asked on the event loop, once per look."""
    pages = _Tuning(frame, tuning, actions)
    frame.add("tuning", "/tuning", "Tuning")
    frame.app.router.add_get("/tuning", pages.show)
    for name in ("preset", "set", "reset", "auto", "undo"):
        frame.app.router.add_post(f"/tuning/{name}", pages.act)


class _Tuning:
    """`preview` in the address shows what a preset would change; `edit` opens one value to be set."""

    def __init__(self, frame: Frame, tuning: Callable[[], TuningShown], actions: TuningActions) -> None:
        self._frame = frame
        self._tuning = tuning
        self._actions = actions
        # What is said after a redirect is remembered here: an address could make anybody's words ours.
        self._messages: OrderedDict[str, str] = OrderedDict()

    async def show(self, request: web.Request) -> web.Response:
        said = self._messages.get(request.query.get("said", ""), "")
        return self._shown(request, said=said, preview=request.query.get("preview", ""))

    async def act(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            said = self._done(request.path.rpartition("/")[2], form, actor(request))
        except Refusal as refusal:
            if is_live(request):
                return web.Response(status=400, text=f"{refusal}\n")
            return self._shown(request, refused=str(refusal), form=form, status=400)
        if is_live(request):
            response = self._shown(request, said=said)
            response.headers["HX-Replace-Url"] = "/tuning"
            return response
        raise web.HTTPSeeOther(f"/tuning?said={self._remember(said)}")

    def _done(self, what: str, form: dict[str, str], by: str) -> str:
        keep = form.get("keep") == "yes"
        match what:
            case "preset":
                return self._actions.choose(form.get("preset", ""), keep=keep, by=by)
            case "set":
                return self._actions.set(form.get("key", ""), form.get("value", ""), keep=keep, by=by)
            case "auto":
                return self._actions.switch(_switch(form.get("enabled", "")), keep=keep, by=by)
            case "undo":
                return self._actions.undo(_number(form.get("event", "")), by=by)
        if form.get("all") == "yes":
            return self._actions.reset_all(by=by)
        return self._actions.reset(form.get("key", ""), by=by)

    def _shown(
        self,
        request: web.Request,
        *,
        said: str = "",
        refused: str = "",
        form: dict[str, str] | None = None,
        preview: str = "",
        status: int = 200,
    ) -> web.Response:
        try:
            shown = self._tuning()
        except Exception:
            return self._frame.failed(request, "tuning")
        card = next((card for card in shown.presets if card.name == preview), None)
        address = "/tuning" if card is None else f"/tuning?preview={card.name}"
        return self._frame.render(
            request,
            "tuning.html",
            page="tuning",
            status=status,
            t=shown,
            card=card,
            address=address,
            said=said,
            refused=refused,
            form=form or {},
        )

    def _remember(self, said: str) -> str:
        name = token_urlsafe(9)
        self._messages[name] = said
        if len(self._messages) > _MOST_MESSAGES:
            self._messages.popitem(last=False)
        return name


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise Refusal("auto-optimisation is either on or off: say enabled=true or enabled=false")
    return text == "true"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal("the number of an event is missing")
    return int(text)
