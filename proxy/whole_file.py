"""Small files that are written whole or not at all, and are their owner's alone."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Let the file hold this and nothing else, also when the machine stops meanwhile: another file takes its place.

    A directory that is missing is made (0700). It blocks. Raises OSError, and the file is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
