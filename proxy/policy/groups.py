"""Responses that change together, as the origin groups them (RFC 9875)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from proxy.policy.invalidation import invalidates
from proxy.policy.matching import normalised_authority
from proxy.policy.messages import Fields, Request
from proxy.policy.structured import strings


def groups(fields: Fields) -> tuple[str, ...]:
    """The groups a response belongs to by its Cache-Groups; none when the field is not a list of strings."""
    return _members(fields, "Cache-Groups")


def invalidated_groups(request: Request, response_fields: Fields, *, status: int = 200) -> tuple[str, ...]:
    """The groups that a response with `status` invalidates by its Cache-Group-Invalidation (RFC 9875 section 3).

    None after a safe method, where the field MUST be ignored, and none after an error, as nothing changed then. A
    name speaks only of groups of the request's own origin: compare it through `group_tags`.
    """
    return _members(response_fields, "Cache-Group-Invalidation") if invalidates(request.method, status) else ()


def group_tags(request: Request, names: Iterable[str]) -> tuple[str, ...]:
    """Purge tags for groups: equal only for one name at one origin, compared character by character (section 2.1).

    They hold a space and quotes, which no Surrogate-Key has.
    """
    origin = f"{request.scheme}://{normalised_authority(request.scheme, request.host)}"
    return tuple(f"{origin} {json.dumps(name)}" for name in names)


def _members(fields: Fields, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(strings(fields.all(name)) or ())) if name in fields else ()
