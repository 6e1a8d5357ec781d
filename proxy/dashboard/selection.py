"""For whom a stored response is, in words that give nobody's credentials away."""

from __future__ import annotations

import json
import re

from proxy.masking import HIDDEN, masked_field
from proxy.partial import PARTS, PLACE
from proxy.policy.codings import coding_of, source_key
from proxy.policy.matching import is_private
from proxy.storage.base import Entry


def selected(entry: Entry) -> tuple[str, ...]:
    """What a request must be like to get it, besides its URL; empty when every request does."""
    said = ["one user's own copy: nobody else gets it"] if is_private(entry.key) else []
    if (method := entry.key.partition(" ")[0]) not in ("GET", ""):
        said.append(f"the answer to {method}")
    said += [f"{name}: {masked_field(name, value)}" for name, value in _members(entry.key, "headers")]
    said += [f"cookie {name or 'field'}: {HIDDEN}" for name, _ in _members(entry.key, "cookies")]
    said += [_varied(name, value) for name, value in entry.vary if name != PLACE]
    places = [value for name, value in entry.vary if name == PLACE and value]
    if places or source_key(entry.key).endswith(PARTS):
        said.append(f"only its bytes {_bytes(places[0])}" if places else "only a part of its bytes")
    if coding := coding_of(entry.key):
        said.append(f"coded as {coding}")
    return tuple(said)


def _bytes(place: str) -> str:
    """A part's place, as `0-100/500` with the byte behind its last one, as one reads it."""
    match = re.fullmatch(r"(\d+)-(\d+)/(\w+)", place)
    return f"{match[1]} to {int(match[2]) - 1} of {match[3]}" if match else place


def _varied(name: str, value: str | None) -> str:
    if value is None:
        return f"without {name}"
    # The key holds a digest of credentials already; there is nothing to learn from it either.
    return f"{name}: {masked_field(name, value) or '(empty)'}"


def _members(key: str, part: str) -> list[tuple[str, str]]:
    """A JSON object that a key holds behind its URL, which has no space in it."""
    match = re.search(rf" {part}=(?={{)", key)
    if match is None:
        return []
    try:
        found, _ = json.JSONDecoder().raw_decode(key, match.end())
    except ValueError:
        return []
    return [(str(name), str(value)) for name, value in found.items()]
