"""What others than clients have to say: a publication is parsed, joined with profiles and likes, and told.

The rule of this room: what is told of one channel is told in the order in which it was published, and stored
responses that a publication makes out of date are purged before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from realtime.alarm import Wake
from realtime.channels import Channels, Mode, Release, Update
from realtime.member import CHANNEL, CONVERSATION, USER
from realtime.settings import ChannelRule
from realtime.socketio import MOST_DEPTH, RESERVED
from realtime.stats import RealtimeStats
from realtime.tasks import Tasks

PurgeTags = Callable[[Sequence[str]], Awaitable[int]]
Lookup = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]]]
"""Profiles, or likes, of ids, as far as they are to be had. Never raises."""

_MEMBERS = {"channel", "event", "data", "key", "purge_tags"}
_LONGEST_NAME = 300
_LONGEST_PLACE = 100
_MOST_TAGS = 100
_MOST_WAITING = 10_000

_log = logging.getLogger("cachewire.realtime")


class BadPublication(ValueError):
    """A publication that says no sense; the message is for its author."""


@dataclass(frozen=True, slots=True)
class Publication:
    """An event for a channel, a conversation ("conversation:<id>") or all sockets of a user ("user:<id>").

    Of updates with the same `key`, a conflated channel tells only the latest.
    """

    channel: str
    event: str
    data: Any
    key: str | None = None
    purge_tags: tuple[str, ...] = ()


def parse_publication(document: object) -> Publication:
    """Raises BadPublication."""
    if not isinstance(document, Mapping):
        raise BadPublication("A publication is an object: {channel, event, data, key?, purge_tags?}.")
    if unknown := set(document) - _MEMBERS:
        raise BadPublication(f"A publication has no member {min(map(str, unknown))[:40]!r}.")
    event = _name(document.get("event"), "event")
    if event in RESERVED:
        raise BadPublication(f"{event!r} is a word of the protocol's.")
    key = document.get("key")
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if "data" not in document:
        raise BadPublication("A publication has data; say null where there is none.")
    if (flaw := _flaw(document["data"], MOST_DEPTH)) is not None:
        where, what = flaw
        raise BadPublication(f"{f'data{where}'[:_LONGEST_PLACE]} {what}.")
    return Publication(
        _name(document.get("channel"), "channel"),
        event,
        document["data"],
        None if key is None else _name(key, "key"),
        _tags(document.get("purge_tags", ())),
    )


def rule_for(rules: Iterable[ChannelRule], channel: str, users: Iterable[str] | None = None) -> ChannelRule | None:
    """The first rule that covers a channel; with `users`, the first that lets one of them subscribe."""
    return next((rule for rule in rules if _covers(rule.match, channel, users)), None)


class Publisher:
    """Publications on their way to whom they concern. `emit` is the namespace's.

    While profiles and likes are looked up, only so many may wait on a channel; `stats` counts those beyond.
    """

    def __init__(
        self,
        rules: Sequence[ChannelRule],
        *,
        delay: float,
        emit: Callable[..., int],
        profiles: Lookup | None,
        likes: Lookup | None,
        purge_tags: PurgeTags | None,
        stats: RealtimeStats,
        tasks: Tasks,
        wake: Wake,
        now: Callable[[], float],
    ) -> None:
        self.rules = rules
        self._channels = Channels(self._mode, delay)
        self._emit = emit
        self._profiles = profiles
        self._likes = likes
        self._purge_tags = purge_tags
        self._stats = stats
        self._told_of_drops = False
        self._tasks = tasks
        self._wake = wake
        self._now = now
        self._releases: dict[str, deque[Release]] = {}  # of channels that are being looked up for

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return self._channels.deadline

    @property
    def conflated(self) -> int:
        """Updates that later ones took the place of."""
        return self._channels.conflated

    def apply(self, rules: Sequence[ChannelRule], delay: float) -> None:
        self.rules = rules
        self._channels.debounce = delay

    async def publish(self, publication: Publication) -> int:
        """Purge, and tell those concerned, at once or when their channel's window ends; the number purged."""
        purged = 0
        if publication.purge_tags and self._purge_tags is not None:
            purged = await self._purge_tags(publication.purge_tags)
        self.tell(publication)
        return purged

    def tell(self, publication: Publication) -> None:
        """Take a publication without tags to purge."""
        name, event, data = publication.channel, publication.event, publication.data
        if name.startswith((CONVERSATION, USER)):
            self._send(name, event, data)
            return
        release = self._channels.publish(name, Update(event, data, publication.key), self._now())
        if release is not None:
            self._release(release)
        self._wake(self._channels.deadline)

    def due(self, now: float) -> None:
        for release in self._channels.due(now):
            self._release(release)

    def flush(self) -> None:
        """Everything that waits is told now: the core stops."""
        for release in self._channels.flush():
            self._release(release)

    def _mode(self, channel: str) -> Mode:
        rule = rule_for(self.rules, channel)
        return rule.mode if rule is not None else "append"

    def _release(self, release: Release) -> None:
        rule = rule_for(self.rules, release.channel)
        joins = rule is not None and bool((self._profiles and rule.profiles) or (self._likes and rule.likes))
        if release.channel in self._releases:
            self._queue(self._releases[release.channel], release)
        elif rule is None or not joins:
            self._tell(release.channel, release.updates, rule)
        else:
            self._releases[release.channel] = deque([release])
            self._tasks.spawn(self._join_and_tell(release.channel, rule), "publication")

    def _queue(self, waiting: deque[Release], release: Release) -> None:
        if len(waiting) < _MOST_WAITING:
            waiting.append(release)
            return
        self._stats.publications_dropped += len(release.updates)
        if not self._told_of_drops:
            self._told_of_drops = True
            _log.warning("publications are dropped: profiles or likes come too slowly for channel %r", release.channel)

    async def _join_and_tell(self, channel: str, rule: ChannelRule) -> None:
        waiting = self._releases[channel]
        try:
            while waiting:
                # What has come meanwhile is looked up together.
                count, updates = len(waiting), [update for release in waiting for update in release.updates]
                joined = await self._joined(updates, rule)
                for _ in range(count):
                    waiting.popleft()
                self._tell(channel, joined, rule)
        finally:
            del self._releases[channel]

    async def _joined(self, updates: Sequence[Update], rule: ChannelRule) -> list[Update]:
        """The updates with author and likes; both are looked up at the same time, for all updates at once."""
        authors, likes = await asyncio.gather(
            _look_up(self._profiles, updates, rule.profiles), _look_up(self._likes, updates, rule.likes)
        )
        joined = []
        for update in updates:
            found = {"author": authors.get(_id(update, rule.profiles)), "likes": likes.get(_id(update, rule.likes))}
            extra = {name: value for name, value in found.items() if value is not None}
            joined.append(update._replace(data={**update.data, **extra}) if extra else update)
        return joined

    def _tell(self, channel: str, updates: Iterable[Update], rule: ChannelRule | None) -> None:
        conflates = rule is not None and rule.mode == "conflate"
        for update in updates:
            # A client too slow for the first gets only the latest here as well.
            key = f"{channel}\0{update.event}\0{update.key}" if conflates and update.key is not None else None
            self._send(CHANNEL + channel, update.event, update.data, conflate=key)

    def _send(self, room: str, event: str, data: Any, conflate: str | None = None) -> None:
        """Emit it; what JSON has no word for is lost alone, and not with what leaves in the same moment."""
        try:
            self._emit(room, event, data, conflate=conflate)
        except (TypeError, ValueError) as error:
            self._stats.publications_dropped += 1
            _log.warning("a publication was dropped: %r for %r cannot be sent: %s", event, room, error)


async def _look_up(lookup: Lookup | None, updates: Sequence[Update], member: str | None) -> Mapping[str, Any]:
    if lookup is None or member is None:
        return {}
    ids = dict.fromkeys(_id(update, member) for update in updates)
    ids.pop("", None)
    return await lookup(list(ids)) if ids else {}


def _id(update: Update, member: str | None) -> str:
    """The id that a member of the data holds; "" when there is none."""
    value = update.data.get(member) if member is not None and isinstance(update.data, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _covers(pattern: str, channel: str, users: Iterable[str] | None) -> bool:
    prefix, placeholder, suffix = pattern.partition("{user}")
    if not placeholder:
        return _matches(pattern, channel)
    if users is None:
        return _matches(f"{prefix}*{suffix}", channel)
    # A user's id stands for itself, whatever characters it has.
    return any(channel == f"{prefix}{user}{suffix}" for user in users)


def _matches(pattern: str, name: str) -> bool:
    """Whether `name` is what `pattern` says, `*` being anything. Linear: nothing is tried twice."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    place, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise BadPublication(f"{what} must be a text of 1 to {_LONGEST_NAME} printable characters.")
    return value


def _flaw(value: object, levels: int) -> tuple[str, str] | None:
    """What in a value cannot be sent: where it is, and why; None if all of it can."""
    if value is None or isinstance(value, str | int | bytes | bytearray | memoryview):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else ("", "is no number that JSON has a word for")
    if not isinstance(value, dict | list | tuple):
        return "", f"is of a kind that cannot be sent ({type(value).__name__})"
    if not levels:
        return "", f"is nested deeper than {MOST_DEPTH} levels"
    for place, item in value.items() if isinstance(value, dict) else enumerate(value):
        if (flaw := _flaw(item, levels - 1)) is not None:
            return f"[{place!r}]{flaw[0]}", flaw[1]
    return None


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_TAGS:
        raise BadPublication(f"purge_tags must be a list of at most {_MOST_TAGS} tags.")
    return tuple(_name(tag, "each of purge_tags") for tag in value)
