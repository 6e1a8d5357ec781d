"""What an application does when an event comes: its functions, called with as many arguments as they take.

A client decides how many arguments an event has, so a wrong number may never be an error: what is missing is None,
what is too much is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


class Handler:
    """A function and the number of arguments it takes after the socket: at least `least`, at most `most`."""

    __slots__ = ("_call", "_least", "_most")

    def __init__(self, call: Callable[..., Any]) -> None:
        """Raises ValueError when `call` cannot be called with a socket and a client's arguments."""
        parameters = list(inspect.signature(call).parameters.values())
        positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
        endless = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
        if not positional and not endless:
            raise ValueError(f"{call!r} takes no socket")
        if any(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is p.empty for p in parameters):
            raise ValueError(f"{call!r} needs an argument by name, which no client can give")
        self._call = call
        self._least = sum(parameter.default is parameter.empty for parameter in positional) - 1
        self._most = None if endless else len(positional) - 1

    def __call__(self, socket: Any, arguments: Sequence[Any]) -> Any:
        """What the function returns, which may be an awaitable; its exceptions pass through."""
        missing = self._least - len(arguments)
        if missing > 0:
            return self._call(socket, *arguments, *(None,) * missing)
        return self._call(socket, *arguments[: self._most])


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
