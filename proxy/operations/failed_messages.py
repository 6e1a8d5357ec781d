"""Why chat messages fail, in words: what the application or this edge did with those of the last minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "messages_failed:"
"""How the totals of failed messages are called among others, the reason behind it."""

_WORDS = {
    "origin-refused": "the application refused them",
    "origin-away": "the application did not answer",
    "queue-full": "too many were waiting",
    "shutting-down": "this edge is being restarted",
    "internal": "this edge could not deliver them",
}


@dataclass(frozen=True, slots=True)
class FailedMessages:
    """Of `of` chat messages of the last minute `lately` failed; `because` says why, the most frequent first."""

    lately: int
    of: int
    in_all: int
    because: str
    reasons: tuple[str, ...] = ()


def failed_messages(
    grown: Mapping[str, float], in_all: Mapping[str, int], refused_with: int | None = None
) -> FailedMessages:
    """What failed, by what came to the totals in the last minute; `refused_with` is the application's last status."""
    lately = {name.removeprefix(PREFIX): round(more) for name, more in grown.items() if name.startswith(PREFIX)}
    reasons = tuple(sorted((name for name, more in lately.items() if more), key=lambda name: -lately[name]))
    failed = sum(lately.values())
    return FailedMessages(
        lately=failed,
        of=failed + round(grown.get("messages", 0.0)),
        in_all=sum(in_all.values()),
        because=", ".join(_because(name, lately[name], refused_with, len(reasons) == 1) for name in reasons),
        reasons=reasons,
    )


def _because(reason: str, count: int, refused_with: int | None, alone: bool) -> str:
    words = _WORDS.get(reason, reason)
    if reason == "origin-refused" and refused_with is not None:
        words += f" (lately with {refused_with})"
    return words if alone else f"{words} ({count:,})"
