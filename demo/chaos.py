"""Misbehaviour on demand: `/demo/chaos` makes this origin slow, failing or dead for the paths of a glob."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Literal, get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from demo.answers import json_answer
from demo.glob import path_pattern
from demo.parameters import json_object
from demo.problems import Problem, bad_request

Mode = Literal["ok", "slow", "errors", "down"]
MODES: tuple[Mode, ...] = get_args(Mode)
LONGEST_DELAY = 300.0
HERE = "/demo/"
"""Never disturbed, so that a dead origin can be brought back to life."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the origin behaves: `delay` in seconds is what `slow` waits before it answers paths that `match`."""

    mode: Mode = "ok"
    delay: float = 3.0
    match: str = "/**"
    pattern: re.Pattern[str] = re.compile(r".*", re.DOTALL)

    def concerns(self, path: str) -> bool:
        return self.mode != "ok" and not path.startswith(HERE) and self.pattern.fullmatch(path) is not None

    def document(self) -> dict[str, object]:
        return {"mode": self.mode, "delay": self.delay, "match": self.match}


HEALTHY = Behaviour()


class Chaos:
    """The origin's current behaviour, and the middleware that acts on it."""

    def __init__(self) -> None:
        self.behaviour = HEALTHY

    async def show(self, request: web.Request) -> web.Response:
        return json_answer(request, self.behaviour.document(), {"Cache-Control": "no-store"})

    async def change(self, request: web.Request) -> web.Response:
        self.behaviour = parse_behaviour(await json_object(request, typed=False))
        return await self.show(request)

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
            behaviour = self.behaviour
            if behaviour.concerns(request.path):
                if behaviour.mode == "down":
                    _hang_up(request)
                if behaviour.mode == "errors":
                    raise Problem(503, "The demo origin was told to fail. POST /demo/chaos with mode ok heals it.")
                await asyncio.sleep(behaviour.delay)
            return await handler(request)

        return misbehave


def parse_behaviour(document: dict[str, object]) -> Behaviour:
    """A behaviour from `{"mode", "delay", "match"}`; what is left out has its default."""
    unknown = set(document) - {"mode", "delay", "match"}
    if unknown:
        raise bad_request(f"{min(unknown)[:60]!r} is not known; the keys are mode, delay and match.")
    mode = document.get("mode")
    if mode not in MODES:
        raise bad_request(f"mode must be one of: {', '.join(MODES)}.")
    delay = document.get("delay", HEALTHY.delay)
    # Written so that NaN, which JSON as Python reads it may contain, does not pass.
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= LONGEST_DELAY:
        raise bad_request(f"delay must be a number of seconds from 0 to {LONGEST_DELAY:.0f}.")
    match = document.get("match", HEALTHY.match)
    if not isinstance(match, str):
        raise bad_request("match must be a path glob such as /api/**.")
    return Behaviour(mode, float(delay), match, path_pattern(match))


def _hang_up(request: web.Request) -> None:
    """Close the connection without an answer, as a process that dies would."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError
