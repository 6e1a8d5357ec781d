"""The alerts as JSON on the admin listener, for scripts: `/api/alerts`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from proxy.admin import actor, problem_response
from proxy.errors import RequestRefused
from proxy.operations.alert_rules import SHIPPED
from proxy.operations.alerting import AlertWatch
from proxy.operations.alerts import Standing
from proxy.operations.timeline import Timeline
from proxy.operations.webhook import Webhook

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AlertsApi:
    """The handlers."""

    def __init__(self, watch: AlertWatch, webhook: Webhook) -> None:
        self._watch = watch
        self._webhook = webhook

    def setup(self, app: web.Application) -> None:
        """Register the paths. They answer errors as problem documents (RFC 9457)."""
        app.router.add_get("/api/alerts", self.alerts)
        app.router.add_post("/api/alerts/test-webhook", _answering(self.try_webhook))
        app.router.add_post("/api/alerts/{name}", _answering(self.change))
        app.router.add_post("/api/alerts/{name}/reset", _answering(self.reset))

    async def alerts(self, _request: web.Request) -> web.Response:
        """How every alert stands, its settings and what differs from the configuration; and what has been."""
        return web.json_response(
            {
                "enabled": self._watch.settings.enabled,
                "firing": [standing.rule.name for standing in self._watch.firing()],
                "alerts": [self._alert(standing) for standing in self._watch.standings()],
                "history": [asdict(episode) for episode in self._watch.episodes()],
                "webhook": webhook_report(self._webhook),
            }
        )

    async def change(self, request: web.Request) -> web.Response:
        """`{threshold?, release?, for?, resolve_after?, severity?, enabled?, keep?}`, written as configured."""
        name = request.match_info["name"]
        document = await _object(request)
        keep = document.pop("keep", False)
        if not isinstance(keep, bool):
            raise RequestRefused(400, "bad-setting", "keep is true or false")
        await self._watch.change(name, document, by=actor(request), keep=keep)
        return self._one(name)

    async def reset(self, request: web.Request) -> web.Response:
        """As configured again."""
        name = request.match_info["name"]
        await self._watch.reset(name, by=actor(request))
        return self._one(name)

    async def try_webhook(self, request: web.Request) -> web.Response:
        """Send a message that says it is a test; `/api/alerts` tells how that went."""
        queue_test(self._webhook, self._watch.timeline, actor(request))
        return web.json_response({"queued": True}, status=202)

    def _one(self, name: str) -> web.Response:
        standing = next(each for each in self._watch.standings() if each.rule.name == name)
        return web.json_response(self._alert(standing))

    def _alert(self, standing: Standing) -> dict[str, Any]:
        name, meaning = standing.rule.name, SHIPPED[standing.rule.name]
        changed = {
            key: {"configured": configured, "effective": effective}
            for key, (configured, effective) in self._watch.changes_of(name).items()
        }
        return {
            "alert": name,
            "title": meaning.title,
            "state": standing.state,
            "since": standing.since,
            "value": standing.value,
            "peak": standing.peak,
            "left": standing.left,
            "reading": meaning.reading,
            "unit": meaning.unit,
            "settings": self._watch.settings_of(name),
            "changed": changed,
            "kept": self._watch.is_kept(name),
        }


def queue_test(webhook: Webhook, timeline: Timeline, by: str) -> None:
    """Raises RequestRefused when there is nobody to tell."""
    if not webhook.configured:
        raise RequestRefused(409, "no-webhook", "no webhook is configured: set alerts.webhook.url")
    webhook.test()
    timeline.add("alert", by, "a test was sent to the webhook")


def webhook_report(webhook: Webhook) -> dict[str, Any]:
    """How the webhook is doing. Its path and token stay out."""
    return {
        "configured": webhook.configured,
        "host": webhook.host,
        "waiting": webhook.waiting,
        "results": {result: webhook.results[result] for result in ("delivered", "failed", "dropped")},
        "last": None if webhook.last is None else asdict(webhook.last),
    }


def _answering(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestRefused as error:
            return problem_response(error)

    return answered


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise RequestRefused(400, "bad-json", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestRefused(400, "bad-json", 'the body is not a JSON object, as in {"threshold": "1s"}')
    return document
