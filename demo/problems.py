"""What goes wrong, as RFC 9457 problem documents."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

log = logging.getLogger("demo")


class Problem(Exception):
    """An answer that says what is wrong and what would be right."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def answer(self) -> web.Response:
        """The problem as `application/problem+json`."""
        body = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        return web.Response(
            status=self.status,
            text=json.dumps(body | {"detail": self.detail}, ensure_ascii=False),
            content_type="application/problem+json",
            headers={"Cache-Control": "no-store", **self.headers},
        )


def bad_request(detail: str) -> Problem:
    """A 400; `detail` says what is wrong and what would be right."""
    return Problem(400, detail)


def not_found(what: str) -> Problem:
    """A 404 for `what`."""
    return Problem(404, f"There is no {what}.")


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn problems, aiohttp's own refusals and unforeseen errors into problem documents; nothing internal leaks."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.answer()
    except web.HTTPMethodNotAllowed as refusal:
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return Problem(405, f"{request.path} answers {allowed}.", {"Allow": allowed}).answer()
    except web.HTTPNotFound:
        return not_found(f"page at {request.path}").answer()
    except web.HTTPRequestEntityTooLarge:
        return Problem(413, "The request body is larger than this application accepts.").answer()
    except web.HTTPException as refusal:
        if refusal.status < 400:
            raise
        return Problem(refusal.status, refusal.reason).answer()
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return Problem(500, "Something unforeseen happened here; the log has the details.").answer()
