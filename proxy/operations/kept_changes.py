"""A small file beside what is stored, for what an operator changed on a page and wants to keep across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from proxy.config.model import Cache
from proxy.kept_file import KeptFile

Changes = dict[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class _Document:
    version: Literal[1]
    changes: Changes


_DOCUMENT = TypeAdapter(_Document)


class KeptChanges:
    """`{"version": 1, "changes": {name: {key: value}}}` at `path`. Everything here blocks."""

    def __init__(self, path: Path) -> None:
        self._file = KeptFile(path, _DOCUMENT, otherwise="what was kept in it is as configured again")

    @classmethod
    def of_alerts(cls, cache: Cache) -> KeptChanges | None:
        """Where changes of alerts are kept; None where nothing can be."""
        return cls(cache.dir / "alerts.json") if cache.disk else None

    def read(self) -> Changes:
        """What is kept; nothing if there is no file or it is damaged."""
        document = self._file.read()
        return {} if document is None else document.changes

    def write(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        """Keep these, and nothing else. Raises OSError."""
        self._file.write(_Document(1, {name: dict(values) for name, values in changes.items()}))
