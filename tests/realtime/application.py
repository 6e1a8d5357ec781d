"""The application behind the core, scripted: it keeps what it is given, knows everybody, and can be down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

ASKS = {
    "session": "/session",
    "persist": "/messages",
    "profiles": "/profiles",
    "likes": "/likes?ids={ids}",
    "authorize": "/conversations/{conversation}/consent?users={users}",
}
"""The settings that let the core ask for everything."""


class Application:
    """What it was asked is in `asked`, what it keeps in `kept`. `down`: connections end without an answer;
    `failures`: so many answers are 503."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.kept: list[dict[str, Any]] = []
        self.down = False
        self.failures = 0
        self._answers: dict[str, web.Response] = {}
        self._batches: dict[str, list[dict[str, Any]]] = {}

    def build(self) -> web.Application:
        app = web.Application(middlewares=[self._up])
        app.router.add_get("/session", self._session)
        app.router.add_get("/profiles", self._profiles)
        app.router.add_get("/likes", self._likes)
        app.router.add_get("/conversations/{id}/consent", self._consent)
        app.router.add_post("/messages", self._persist)
        return app

    def times(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked == path for _, asked in self.asked)

    @web.middleware
    async def _up(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _session(self, request: web.Request) -> web.Response:
        user = request.cookies.get("session")
        authorization = request.headers.get("Authorization", "")
        if authorization.startswith("Bearer for-"):
            user = authorization.removeprefix("Bearer for-")
        elif authorization:
            user = None
        return web.json_response({"user": None if user is None else _profile(user)})

    async def _profiles(self, request: web.Request) -> web.Response:
        return web.json_response({"profiles": [_profile(id_) for id_ in request.query["ids"].split(",")]})

    async def _likes(self, request: web.Request) -> web.Response:
        return web.json_response({"likes": {id_: {"count": 3} for id_ in request.query["ids"].split(",")}})

    async def _consent(self, request: web.Request) -> web.Response:
        return web.Response(status=403 if request.match_info["id"] == "private" else 204)

    async def _persist(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        document = await request.json()
        if any(message["content"] == "forbidden" for message in document["messages"]):
            return web.json_response({"detail": "No such words here."}, status=422)
        if key not in self._batches:
            self._batches[key] = [self._keep(message) for message in document["messages"]]
        return web.json_response({"messages": self._batches[key]}, status=201)

    def _keep(self, message: Mapping[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(json.dumps(message)) | {
            "id": len(self.kept) + 1,
            "created_at": "2027-01-01T00:00:00Z",
        }
        self.kept.append(kept)
        return kept


def _profile(user: str) -> dict[str, Any]:
    return {"id": user, "username": f"user {user}"}
