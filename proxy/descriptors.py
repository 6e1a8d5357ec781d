"""Open files that this process may have: every connection is one, and the usual limit of 1024 is soon reached."""

from __future__ import annotations

import resource


def provide(wanted: int) -> int:
    """Raise the limit to `wanted` if it is lower, as far as this user may; how many there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if granted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return max(granted, soft)
