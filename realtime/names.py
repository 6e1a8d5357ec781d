"""Unguessable names, many a second."""

from __future__ import annotations

import secrets

_BYTES = 12  # 96 bits, and sixteen characters without padding
_LENGTH = 16
_AT_ONCE = 256


class Names:
    """Called, gives what `secrets.token_urlsafe(12)` gives, but asks the system for randomness once for many."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: list[str] = []

    def __call__(self) -> str:
        if not self._ready:
            text = secrets.token_urlsafe(_BYTES * _AT_ONCE)
            self._ready = [text[at : at + _LENGTH] for at in range(0, len(text), _LENGTH)]
        return self._ready.pop()
