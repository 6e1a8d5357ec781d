"""What memory the process may use, and how much is in use: of its control group, the configuration, or the machine.

The smallest limit that applies is the budget. In use is what cannot be given back on demand: the process's resident
memory, or, where the control group has the limit, its anonymous and shared memory if that is more, since others in
the group use up the same limit. The page cache never counts. Functions take the root of the file system to read from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be used, in bytes, and who says so; `group` is the control group's directory."""

    size: int
    source: Literal["configuration", "cgroup", "machine"]
    group: Path | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One look: bytes in use of the budget. `used` is None where the system does not tell."""

    used: int | None
    budget: Budget | None

    @property
    def share(self) -> float | None:
        if self.used is None or self.budget is None:
            return None
        return self.used / self.budget.size


def look(configured: int | None = None, root: Path = ROOT) -> Memory:
    """How memory stands now."""
    limit = budget(configured, root)
    resident = resident_size(root)
    if resident is None:
        return Memory(None, limit)
    shared = 0 if limit is None or limit.group is None else group_size(limit.group)
    return Memory(max(resident, shared), limit)


def budget(configured: int | None = None, root: Path = ROOT) -> Budget | None:
    """The smallest limit; None if there is none to be found."""
    known = [Budget(size, "cgroup", group) for group, size in group_limits(root)]
    if configured:
        known.append(Budget(configured, "configuration"))
    if (machine := machine_size(root)) is not None:
        known.append(Budget(machine, "machine"))
    return min(known, key=lambda each: each.size, default=None)


def group_limits(root: Path = ROOT) -> Iterator[tuple[Path, int]]:
    """The limits of the process's control groups, its own and those around it, of version 2 and 1."""
    hierarchy = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _limits(hierarchy, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(hierarchy / "memory", path, "memory.limit_in_bytes")


def group_size(group: Path) -> int:
    """Bytes that the members of a control group use and cannot give back: anonymous and shared memory."""
    stat = dict(line.split(" ", 1) for line in _text(group / "memory.stat").splitlines() if " " in line)
    # Version 1 counts the groups below only in the keys with `total_`; version 2 has no such keys.
    anonymous = stat.get("anon") or stat.get("total_rss") or "0"
    shared = stat.get("total_shmem") or stat.get("shmem") or "0"
    return (_number(anonymous) or 0) + (_number(shared) or 0)


def resident_size(root: Path = ROOT) -> int | None:
    """Bytes of the process that are in memory."""
    fields = _text(root / "proc/self/statm").split()
    pages = _number(fields[1]) if len(fields) > 1 else None
    return None if pages is None else pages * os.sysconf("SC_PAGE_SIZE")


def machine_size(root: Path = ROOT) -> int | None:
    """Bytes of memory that the machine has."""
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            kibibytes = _number(line.split()[1])
            return None if kibibytes is None else kibibytes * 1024
    return None


def _limits(hierarchy: Path, path: str, name: str) -> Iterator[tuple[Path, int]]:
    """Inside a container the path may be one of the host's, of which only the mounted end is to be seen: so every
    part of it is tried, up to the root of the hierarchy."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for end in range(len(parts), -1, -1):
        group = hierarchy.joinpath(*parts[:end])
        size = _number(_text(group / name).strip())  # `max` is no number: no limit
        if size:
            yield group, size


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
