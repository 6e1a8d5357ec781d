"""Open files that this process may have: every connection is one, and the usual limit of 1024 is soon reached."""

from __future__ import annotations

import logging
import resource

from proxy.config.model import Config

SPARE = 500
"""Open files for bodies on disk, the stores, listeners and operators."""

_log = logging.getLogger("cachewire")


def provide_for(config: Config) -> None:
    """Let this process open as many files as the configuration may need, or say that it cannot."""
    wanted = config.server.max_connections + config.origin.max_connections + SPARE
    if (granted := provide(wanted)) < wanted:
        _log.warning(
            "this process may open %d files, but server.max_connections alone may need %d; raise `ulimit -Hn`"
            " (LimitNOFILE= of systemd), or lower the setting",
            granted,
            wanted,
        )


def provide(wanted: int) -> int:
    """Raise the limit to `wanted` if it is lower, as far as this user may; how many there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if granted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return max(granted, soft)
