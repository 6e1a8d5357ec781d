"""An answer that is known later: a future without a loop, for what happens hundreds of times a second.

The rule of this room: it comes once and never fails, and what nobody wants to know costs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Later(ABC, Generic[Value]):
    """What a handler may return instead of a future, if it has left the socket's data alone.

    `wanted`: somebody waits for it, or may still come to.
    """

    __slots__ = ("_listeners", "wanted")

    def __init__(self) -> None:
        self.wanted = True
        self._listeners: list[Callable[[Value], None]] = []

    @property
    @abstractmethod
    def known(self) -> bool:
        """Whether there is an answer; once there is, it stays."""

    @abstractmethod
    def answer(self) -> Value:
        """What is answered, once it is known."""

    def then(self, tell: Callable[[Value], None]) -> None:
        """Have `tell` called with the answer: at once when it is known."""
        if self.known:
            tell(self.answer())
        else:
            self._listeners.append(tell)

    def dismiss(self) -> None:
        """Whoever got this does not want to know."""
        self.wanted = bool(self._listeners)

    def told(self) -> None:
        """It is known now: for whoever knows it to call, once."""
        listeners, self._listeners = self._listeners, []
        for tell in listeners:
            tell(self.answer())
