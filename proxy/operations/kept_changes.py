"""A small file beside what is stored, for what an operator changed on a page and wants to keep across restarts.

It is written whole or not at all, readable by its owner only. What cannot be read is said once and counts as nothing:
the edge then runs as configured.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from proxy.whole_file import write_whole

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
        write_whole(self.path, content.encode())


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
