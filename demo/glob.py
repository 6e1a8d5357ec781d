"""Path globs: `*` within a segment, `**` across segments."""

from __future__ import annotations

import re

from demo.problems import bad_request

MOST_WILDCARDS = 8


def path_pattern(glob: str) -> re.Pattern[str]:
    """`glob` as a pattern for whole paths; raises a 400 problem when it is not one.

    The number of wildcards is bounded because each one multiplies the work of a match that fails.
    """
    if not glob.startswith("/") or len(glob) > 200 or glob.count("*") > 2 * MOST_WILDCARDS:
        raise bad_request(
            f"match must be a path glob of at most 200 characters and {MOST_WILDCARDS} wildcards that starts with"
            " a slash, such as /api/** (* within a segment, ** across segments)."
        )
    parts = [part for part in re.split(r"(\*+)", glob) if part]
    wildcards = {"*": "[^/]*"}
    if sum(part.startswith("*") for part in parts) > MOST_WILDCARDS:
        raise bad_request(f"match has more than {MOST_WILDCARDS} wildcards.")
    return re.compile(
        "".join(wildcards.get(part, ".*") if part.startswith("*") else re.escape(part) for part in parts), re.DOTALL
    )
