"""GET /api/history: the last fifteen minutes in columns, for the charts and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from webui.problems import problem

MOST_SECONDS = 900
STEPS = (5, 10, 15, 30, 60)

Columns = Callable[[int, int], Mapping[str, Sequence[float | None]]]


def setup(app: web.Application, columns: Columns) -> None:
    """Register the path; `columns` is asked for the last seconds in steps of some seconds."""

    async def history(request: web.Request) -> web.Response:
        seconds = _number(request.query.get("seconds", str(MOST_SECONDS)))
        step = _number(request.query.get("step", str(STEPS[0])))
        if not STEPS[0] <= seconds <= MOST_SECONDS:
            return problem(400, "bad-seconds", f"seconds is a whole number from {STEPS[0]} to {MOST_SECONDS}.")
        if step not in STEPS:
            return problem(400, "bad-step", f"step is one of {', '.join(map(str, STEPS))}.")
        return web.json_response({"step": step, "series": columns(seconds, step)})

    app.router.add_get("/api/history", history)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
