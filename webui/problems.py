"""What scripts get when a question is not right: a problem document (RFC 9457)."""

from __future__ import annotations

from aiohttp import web

PROBLEM = "application/problem+json"


def is_api(request: web.Request) -> bool:
    """Scripts ask here, not people."""
    return request.path.startswith("/api/") or request.path == "/metrics"


def problem(status: int, reason: str, detail: str) -> web.Response:
    """`reason` is a short slug, `detail` a sentence that says what would be right."""
    document = {"title": reason, "status": status, "detail": detail}
    return web.json_response(document, status=status, content_type=PROBLEM)
