"""Small files that outlive the process, in JSON: written whole or not at all, readable by their owner only.

The rule of this room: what cannot be read, or is not what it has to be, costs a warning that names the file, what is
wrong with it and what happens now; never a start. No warning quotes what the file holds.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from proxy.whole_file import write_whole

T = TypeVar("T")

LARGEST = 64 * 2**10
LONGEST_PLACE = 100

_log = logging.getLogger("cachewire")


class KeptFile(Generic[T]):
    """The file at `path`. `otherwise` says what happens where it cannot be used. Everything here blocks."""

    def __init__(
        self, path: Path, content: TypeAdapter[T], *, otherwise: str, largest: int = LARGEST, indent: int | None = 2
    ) -> None:
        self.path = path
        self._content = content
        self._otherwise = otherwise
        self._largest = largest
        self._indent = indent

    def read(self) -> T | None:
        """What the file says; None if there is no file, or it cannot be used."""
        try:
            with self.path.open("rb") as file:
                content = file.read(self._largest + 1)
            if len(content) > self._largest:
                raise ValueError(f"it is larger than {self._largest // 1024} KiB")
            return self._content.validate_json(content, strict=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("%s is not used (%s): %s", self.path, what_is_wrong(error), self._otherwise)
            return None

    def write(self, content: T) -> None:
        """Let the file say this. Raises OSError."""
        write_whole(self.path, self._content.dump_json(content, indent=self._indent) + b"\n")


def what_is_wrong(error: OSError | ValueError) -> str:
    """The first thing that is wrong, with its place, on one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        return f"{place[:LONGEST_PLACE]}: {what}" if place else what
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
