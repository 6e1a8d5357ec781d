"""A small file beside what is stored, for what an operator changed on a page and wants to keep across restarts.

It is written whole or not at all, readable by its owner only. What cannot be read is said once and counts as nothing:
the edge then runs as configured.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

VERSION = 1
LARGEST = 64 * 2**10

_log = logging.getLogger("cachewire")

Changes = dict[str, dict[str, object]]


class KeptChanges:
    """`{"version": 1, "changes": {name: {key: value}}}` at `path`. Everything here blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Changes:
        """What is kept; nothing if there is no file or it is damaged."""
        try:
            with self.path.open("rb") as file:
                content = file.read(LARGEST + 1)
            return _parsed(content)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s cannot be used (%s): what was kept in it is as configured again", self.path, error)
            return {}

    def write(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        """Keep these, and nothing else. Raises OSError."""
        content = json.dumps({"version": VERSION, "changes": changes}, indent=2) + "\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def _parsed(content: bytes) -> Changes:
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 1024} KiB")
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}")
    changes = document.get("changes")
    if not isinstance(changes, dict) or not all(isinstance(each, dict) for each in changes.values()):
        raise ValueError("it holds no changes")
    return changes
