"""Why newcomers of the realtime core are refused, in words: which limit, what its key is, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.config.realtime import Realtime

_BEHIND_PROXY = "If it is a proxy in front of this edge, name it in server.trusted_proxies"


class Lately(Protocol):
    """The refusals of the last minute as the core knows them: by why, and from how many places."""

    @property
    def by_reason(self) -> Mapping[str, int]: ...
    @property
    def places(self) -> int: ...
    @property
    def more(self) -> bool: ...
    @property
    def busiest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RefusedSessions:
    """New sessions that were refused for one reason: `lately` in the last minute, `in_all` since the start.

    `because` and `advice` are sentences; `everybody`: no newcomer is let in, from wherever it comes. `whence` says
    where all refused newcomers of the last minute came from.
    """

    reason: str
    because: str
    advice: str
    lately: int
    in_all: int
    everybody: bool = False
    whence: str = ""


def refused_sessions(in_all: Mapping[str, int], lately: Lately, settings: Realtime) -> list[RefusedSessions]:
    """What was refused since the start, the reason that counts most in the last minute first."""
    whence = _whence(lately)
    refused = [
        RefusedSessions(
            reason,
            *_words(reason, settings),
            lately=lately.by_reason.get(reason, 0),
            in_all=count,
            everybody=reason == "full",
            whence=whence,
        )
        for reason, count in in_all.items()
    ]
    return sorted(refused, key=lambda each: (-each.lately, -each.in_all, each.reason))


def newcomers(sessions: int, refused: Sequence[RefusedSessions], settings: Realtime) -> list[str]:
    """Whether newcomers get in, and why not, in sentences."""
    lines = [f"{sessions:,} of {settings.max_sessions:,} sessions are open (realtime.max_sessions)."]
    lines += [
        f"In the last minute {each.lately:,} were refused: {each.because} {each.advice}"
        for each in refused
        if each.lately
    ]
    return lines


def _words(reason: str, settings: Realtime) -> tuple[str, str]:
    limits = settings.limits
    if reason == "address":
        share, of_all, entering = limits.address_share, settings.max_sessions, limits.entering
        return (
            f"One address may have {share} % of all sessions: {max(of_all * share // 100, 1):,} of {of_all:,}"
            f" (realtime.max_sessions), or {max(entering * share // 100, 1):,} that have entered nothing yet"
            " (realtime.limits.entering). The share is realtime.limits.address_share.",
            f"{_BEHIND_PROXY}; if many people share it, raise realtime.limits.address_share.",
        )
    if reason == "full":
        return (
            f"All {settings.max_sessions:,} sessions are taken (realtime.max_sessions), or {limits.entering:,} have"
            " entered nothing yet (realtime.limits.entering).",
            "Raise realtime.max_sessions, and server.max_connections with it; or run another edge beside this one.",
        )
    if reason == "handshakes":
        return (
            f"One address begins more than {limits.handshakes:,} sessions a second (realtime.limits.handshakes).",
            f"They come again by themselves. {_BEHIND_PROXY}; if many people share it, raise the limit.",
        )
    return "This edge is shutting down and takes nobody new.", "They come again by themselves."


def _whence(lately: Lately) -> str:
    if not lately.places:
        return ""
    if lately.places == 1:
        return f"from one address ({lately.busiest})"
    return f"from {lately.places:,}{' or more' if lately.more else ''} addresses, most from {lately.busiest}"
