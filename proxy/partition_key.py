"""The key of the digests that keep users apart: it lasts as long as the responses stored under them."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

SIZE = 32

_log = logging.getLogger("cachewire")


def partition_key(directory: Path | None) -> bytes:
    """32 bytes; with a directory the same ones at every start, as long as its file can be read."""
    if directory is None:
        return secrets.token_bytes(SIZE)
    path = directory / "partition.key"
    try:
        existing = path.read_bytes()
        if len(existing) == SIZE:
            return existing
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("%s cannot be read (%s): private copies stored before are lost", path, error)
    secret = secrets.token_bytes(SIZE)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secret)
    except OSError as error:
        _log.warning("%s cannot be written (%s): private copies will not outlive this process", path, error)
    return secret
