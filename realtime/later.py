"""An answer that is known later: a future without a loop, for what happens hundreds of times a second.

The rule of this room: it comes once and never fails, and what nobody wants to know costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Later(Generic[Value]):
    """What a handler may return instead of a future, if it has left the socket's data alone.

    `wanted`: somebody waits for it, or may still come to.
    """

    __slots__ = ("_listeners", "known", "wanted")

    def __init__(self) -> None:
        self.known = False
        self.wanted = True
        self._listeners: list[Callable[[Value], None]] | None = None

    def answer(self) -> Value:
        """What is answered, once it is known."""
        raise NotImplementedError

    def then(self, tell: Callable[[Value], None]) -> None:
        """Have `tell` called with the answer: at once when it is known."""
        if self.known:
            tell(self.answer())
        elif self._listeners is None:
            self._listeners = [tell]
        else:
            self._listeners.append(tell)

    def dismiss(self) -> None:
        """Whoever got this does not want to know."""
        self.wanted = self._listeners is not None

    def became_known(self) -> None:
        """For whoever knows the answer to call, once."""
        self.known = True
        listeners, self._listeners = self._listeners, None
        for tell in listeners or ():
            tell(self.answer())
