"""Tuning for scripts: the JSON paths of the admin listener. Errors are problem documents (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from proxy.admin import actor, problem_response
from proxy.tuning.control import Tuning, TuningRefused
from proxy.tuning.knobs import KNOBS
from proxy.tuning.optimiser import Event
from proxy.tuning.presets import PRESETS
from proxy.tuning.state import Change

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[["TuningApi", web.Request, dict[str, Any]], dict[str, Any]]


class TuningApi:
    """The handlers. A POST has a JSON object with the members that its handler names; others are errors."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning

    def setup(self, app: web.Application) -> None:
        app.router.add_get("/api/tuning", self.report)
        app.router.add_get("/api/tuning/preview", self.preview)
        app.router.add_post("/api/tuning/preset", self._posted(TuningApi.choose, preset=str, keep=bool))
        app.router.add_post("/api/tuning/set", self._posted(TuningApi.set, key=str, value=None, keep=bool))
        app.router.add_post("/api/tuning/reset", self._posted(TuningApi.reset, key=str, all=bool))
        app.router.add_post("/api/tuning/auto", self._posted(TuningApi.switch, enabled=bool, keep=bool))
        app.router.add_post("/api/tuning/undo", self._posted(TuningApi.undo, event=int))

    async def report(self, _request: web.Request) -> web.Response:
        """The preset, every key with its configured and effective value and origin, and what was done by itself."""
        state, optimiser, kept = self._tuning.state, self._tuning.optimiser, self._tuning.kept
        keys = {key: self._key(key) for key in state.configured}
        return web.json_response(
            {
                "preset": asdict(state.preset),
                "presets": {name: {"for": p.for_whom, "summary": p.summary} for name, p in PRESETS.items()},
                "keys": keys,
                "kept": {
                    "preset": None if kept.preset is None else kept.preset.name,
                    "values": {key: KNOBS[key].text(hand.value) for key, hand in kept.values.items()},
                    "auto": kept.auto,
                },
                "auto": {
                    "enabled": optimiser.enabled,
                    "rules": [
                        {
                            "alert": watch.rule.alert,
                            "do": watch.rule.actions,
                            "firing": watch.firing,
                            "since": watch.since,
                            "taken": watch.taken,
                            "most": watch.rule.most,
                            "yielded": watch.yielded,
                        }
                        for watch in optimiser.watches
                    ],
                    "events": [_event(event) for event in optimiser.events()],
                },
            }
        )

    async def preview(self, request: web.Request) -> web.Response:
        """What switching to `preset` would change, and what stays because it was set by hand or by a rule."""
        preset = request.query.get("preset", "")
        try:
            changes = self._tuning.preview(preset)
        except TuningRefused as error:
            return problem_response(error)
        state = self._tuning.state
        held = [{**_change(change), "by": state.effective(change.key).words} for change in state.held(preset)]
        return web.json_response({"preset": preset, "changes": [_change(c) for c in changes], "held": held})

    def choose(self, request: web.Request, asked: dict[str, Any]) -> dict[str, Any]:
        _needs(asked, "preset")
        changes = self._tuning.choose(asked["preset"], keep=asked.get("keep", False), by=actor(request))
        return {"preset": asked["preset"], "changes": [_change(change) for change in changes]}

    def set(self, request: web.Request, asked: dict[str, Any]) -> dict[str, Any]:
        _needs(asked, "key", "value")
        change = self._tuning.set(asked["key"], asked["value"], keep=asked.get("keep", False), by=actor(request))
        return _change(change)

    def reset(self, request: web.Request, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("all") is True and "key" not in asked:
            return {"changes": [_change(change) for change in self._tuning.reset_all(by=actor(request))]}
        if "key" not in asked or "all" in asked:
            raise TuningRefused(400, "bad-tuning", 'say what to reset: {"key": "..."}, or {"all": true}')
        return _change(self._tuning.reset(asked["key"], by=actor(request)))

    def switch(self, request: web.Request, asked: dict[str, Any]) -> dict[str, Any]:
        _needs(asked, "enabled")
        self._tuning.switch(asked["enabled"], keep=asked.get("keep", False), by=actor(request))
        return {"enabled": asked["enabled"]}

    def undo(self, request: web.Request, asked: dict[str, Any]) -> dict[str, Any]:
        _needs(asked, "event")
        return {"undone": self._tuning.undo(asked["event"], by=actor(request))}

    def _key(self, key: str) -> dict[str, Any]:
        knob, state = KNOBS[key], self._tuning.state
        now = state.effective(key)
        return {
            "name": knob.name,
            "configured": knob.text(state.configured[key]),
            "effective": knob.text(now.value),
            "origin": now.origin,
            "by": now.words,
            "since": now.since,
            "takes": knob.hint,
            "takes_effect": knob.takes_effect,
        }

    def _posted(self, answer: Answer, **members: type | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return web.json_response(answer(self, request, await _asked(request, members)))
            except TuningRefused as error:
                return problem_response(error)

        return handle


async def _asked(request: web.Request, members: dict[str, type | None]) -> dict[str, Any]:
    """The JSON object of a request with nothing in it but these members. Raises TuningRefused."""
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise TuningRefused(400, "bad-json", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise TuningRefused(400, "bad-tuning", f"the body is not an object with {', '.join(members)}")
    for name, value in document.items():
        if name not in members:
            raise TuningRefused(400, "bad-tuning", f"{name!r} is not known here; there are {', '.join(members)}")
        kind = members[name]
        if kind is not None and type(value) is not kind:
            raise TuningRefused(400, "bad-tuning", f"{name!r} is not {_KINDS[kind]}")
    return document


_KINDS = {str: "a text", bool: "true or false", int: "a whole number"}


def _needs(asked: dict[str, Any], *names: str) -> None:
    for name in names:
        if name not in asked:
            raise TuningRefused(400, "bad-tuning", f"{name!r} is missing")


def _change(change: Change) -> dict[str, Any]:
    text = KNOBS[change.key].text
    return {"key": change.key, "before": text(change.before), "after": text(change.after), "why": change.why}


def _event(event: Event) -> dict[str, Any]:
    return {**asdict(event), "changes": [_change(change) for change in event.changes]}
