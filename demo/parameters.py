"""Input from outside, parsed into values; what does not parse becomes a 400 that says what would be right."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from demo.problems import Problem, bad_request

USER_ID = re.compile(r"u[1-9][0-9]{0,5}", re.ASCII)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def single(request: web.Request, name: str) -> str | None:
    """The query parameter `name`, or None when it is absent or empty."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise bad_request(f"The parameter {name} is given {len(values)} times; give it once.")
    return (values[0] or None) if values else None


def choice(request: web.Request, name: str, allowed: Collection[str]) -> str | None:
    """A query parameter that must be one of `allowed`, or None when absent."""
    value = single(request, name)
    if value is not None and value not in allowed:
        raise bad_request(f"{name}={value[:60]!r} is not known; use one of: {', '.join(allowed)}.")
    return value


def count(request: web.Request, name: str, default: int, *, most: int) -> int:
    """A query parameter that must be a whole number from 1 to `most`."""
    value = single(request, name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or not 1 <= int(value) <= most:
        raise bad_request(f"{name}={value[:60]!r} is not a whole number from 1 to {most}.")
    return int(value)


def user_id(request: web.Request, name: str = "user") -> str | None:
    """A query parameter that must look like a user id, or None when absent."""
    value = single(request, name)
    return None if value is None else parse_user_id(value, name)


def parse_user_id(value: object, name: str) -> str:
    """A user id such as `u7`."""
    if not isinstance(value, str) or not USER_ID.fullmatch(value):
        raise bad_request(f"{name} must be a user id such as u7, not {str(value)[:60]!r}.")
    return value


def text(document: Mapping[str, Any], name: str, *, longest: int, default: str | None = None) -> str:
    """A text of `document`, stripped, from 1 to `longest` characters."""
    value = document.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise bad_request(f"{name} must be a text that is not empty.")
    value = value.strip()
    if len(value) > longest:
        raise bad_request(f"{name} has {len(value)} characters; at most {longest} are allowed.")
    if CONTROL.search(value):
        raise bad_request(f"{name} contains control characters; send plain text.")
    # A lone surrogate parses as JSON but cannot be stored or sent as UTF-8.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise bad_request(f"{name} contains half a character (a lone surrogate); send valid Unicode.")
    return value


async def json_object(request: web.Request, *, typed: bool = True) -> dict[str, Any]:
    """The request body as a JSON object.

    Other content types are refused: a page of another site can post a form here without asking, JSON it cannot.
    `typed` False takes any, for what `curl -d` sends.
    """
    if typed and request.content_type != "application/json":
        raise Problem(415, "Send a JSON object with Content-Type: application/json.")
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise bad_request("The request body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise bad_request('The request body must be a JSON object, such as {"key": "value"}.')
    return document
