"""The index: which responses are stored, in which order they may leave, and nothing of their bytes.

Use is ordered per route, and the least recently used entry of all is the oldest head of the routes' orders:
there are few routes, and one order less is kept up to date with each hit. Coded copies have an order per route and
coding, so that a route's `max_entries` keeps counting responses and not their copies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from proxy.policy.codings import coding_of
from proxy.policy.messages import Vary
from proxy.storage.base import Entry


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What a route's `expiration` allows: how many entries, how old in seconds; None is no limit."""

    max_entries: int | None = None
    max_age: float | None = None


class Index:
    """Entries by key, URL, tag and record number, bounded by count, by memory and by the bytes of the disk tier.

    `max_bytes` bounds the index itself, whose keys and tags are as long as clients and origin like to make them.
    `limits` tells a route's bounds by its name and is asked each time, so that they may change.
    """

    def __init__(
        self, *, max_entries: int, max_variants: int, max_bytes: int, disk: int, limits: Callable[[str], RouteLimits]
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._max_variants = max_variants
        self._disk_limit = disk
        self._limits = limits
        self._records: dict[int, Entry] = {}
        self._variants: dict[str, tuple[Entry, ...]] = {}
        self._urls = _Groups()
        self._tags = _Groups()
        self._routes: dict[tuple[str, str], OrderedDict[Entry, None]] = {}
        self._disk: OrderedDict[Entry, int] = OrderedDict()
        self._disk_bytes = 0
        self.changes = 0
        """Entries that came or went since the start: whoever ordered them knows by it whether that still holds."""

    def __len__(self) -> int:
        return len(self._records)

    @property
    def index_bytes(self) -> int:
        """About what the entries themselves occupy in memory; never above the bound."""
        return self._bytes

    @property
    def disk_bytes(self) -> int:
        """The sizes of all entries on disk; never above the bound."""
        return self._disk_bytes

    @property
    def disk_entries(self) -> int:
        return len(self._disk)

    def entries(self) -> Collection[Entry]:
        """Every entry, as it is now."""
        return self._records.values()

    def current(self, record: int) -> Entry | None:
        """The entry that stands for a record at present."""
        return self._records.get(record)

    def variants(self, key: str) -> Sequence[Entry]:
        """The entries under a key, newest first."""
        return self._variants.get(key, ())

    def variant(self, key: str, vary: Vary) -> Entry | None:
        """The entry under a key that was selected by exactly these request fields."""
        return next((entry for entry in self.variants(key) if entry.vary == vary), None)

    def keys(self) -> list[str]:
        """Every key, as a copy."""
        return list(self._variants)

    def with_url(self, url: str) -> list[Entry]:
        return self._urls.members(url)

    def tagged(self, tag: str) -> list[Entry]:
        return self._tags.members(tag)

    def insert(self, entry: Entry, disk_size: int = 0) -> list[Entry]:
        """Add an entry as the one used last; returns what had to leave for it, which may be the entry itself.

        `disk_size` is what its disk copy occupies; 0 when it has none.
        """
        self.changes += 1
        displaced = self._same_or_surplus(entry)
        self._records[entry.record] = entry
        self._bytes += index_weight(entry)
        self._variants[entry.key] = (entry, *self.variants(entry.key))
        self._urls.add(entry.url, entry)
        for tag in dict.fromkeys(entry.tags):
            self._tags.add(tag, entry)
        self._routes.setdefault(_order_of(entry), OrderedDict())[entry] = None
        if disk_size:
            self._disk[entry] = disk_size
            self._disk_bytes += disk_size
        displaced += self._over_route_limit(entry)
        displaced += self._over_limits()
        return displaced

    def replace(self, old: Entry, new: Entry) -> list[Entry]:
        """Put `new` in the place of `old`, with its disk copy; returns what had to leave, as `insert` does."""
        size = self._disk.get(old, 0)
        self.discard(old)
        return self.insert(new, size)

    def discard(self, entry: Entry) -> bool:
        """Forget an entry; whether it was known."""
        if self._records.get(entry.record) is not entry:
            return False
        self.changes += 1
        del self._records[entry.record]
        self._bytes -= index_weight(entry)
        rest = tuple(other for other in self._variants[entry.key] if other is not entry)
        if rest:
            self._variants[entry.key] = rest
        else:
            del self._variants[entry.key]
        self._urls.discard(entry.url, entry)
        for tag in dict.fromkeys(entry.tags):
            self._tags.discard(tag, entry)
        order = self._routes[_order_of(entry)]
        del order[entry]
        if not order:
            del self._routes[_order_of(entry)]
        self.left_disk(entry)
        return True

    def left_disk(self, entry: Entry) -> None:
        """Its disk copy is gone."""
        self._disk_bytes -= self._disk.pop(entry, 0)

    def touch(self, entry: Entry, now: float) -> None:
        """It was used: it becomes the last to leave."""
        entry.last_used = now
        entry.hits += 1
        order = self._routes.get(_order_of(entry))
        if order is not None and entry in order:
            order.move_to_end(entry)
        if entry in self._disk:
            self._disk.move_to_end(entry)

    def expired(self, now: float) -> list[Entry]:
        """Entries older than their route's `max_age`, counted from when they were stored or validated."""
        gone: list[Entry] = []
        for (route, _), order in self._routes.items():
            max_age = self._limits(route).max_age
            if max_age is not None:
                gone += [entry for entry in order if now - entry.stored_at > max_age]
        return gone

    def _same_or_surplus(self, entry: Entry) -> list[Entry]:
        displaced = []
        same = self.variant(entry.key, entry.vary)
        if same is not None:
            displaced.append(same)
            self.discard(same)
        while len(variants := self.variants(entry.key)) >= self._max_variants:
            displaced.append(min(variants, key=lambda variant: variant.last_used))
            self.discard(displaced[-1])
        return displaced

    def _over_route_limit(self, entry: Entry) -> list[Entry]:
        displaced: list[Entry] = []
        most, name = self._limits(entry.route).max_entries, _order_of(entry)
        while most is not None and (order := self._routes.get(name)) is not None and len(order) > most:
            displaced.append(next(iter(order)))
            self.discard(displaced[-1])
        return displaced

    def _over_limits(self) -> list[Entry]:
        displaced: list[Entry] = []
        while len(self._records) > self._max_entries or self._bytes > self._max_bytes:
            heads = (next(iter(order)) for order in self._routes.values())
            displaced.append(min(heads, key=lambda entry: entry.last_used))
            self.discard(displaced[-1])
        while self._disk_bytes > self._disk_limit:
            displaced.append(next(iter(self._disk)))
            self.discard(displaced[-1])
        return displaced


def index_weight(entry: Entry) -> int:
    """About the bytes of memory that an entry takes in the index, its share of tables included."""
    vary = sum(200 + len(name) + len(value or "") for name, value in entry.vary)
    return 1500 + len(entry.key) + len(entry.url) + vary + sum(250 + len(tag) for tag in entry.tags)


def _order_of(entry: Entry) -> tuple[str, str]:
    return entry.route, coding_of(entry.key)


class _Groups:
    """Entries by a name. Most groups have one member, which then stands for itself: 100,000 sets are heavy."""

    def __init__(self) -> None:
        self._groups: dict[str, Entry | dict[Entry, None]] = {}

    def members(self, name: str) -> list[Entry]:
        group = self._groups.get(name)
        if group is None:
            return []
        return [group] if isinstance(group, Entry) else list(group)

    def add(self, name: str, entry: Entry) -> None:
        group = self._groups.get(name)
        if group is None:
            self._groups[name] = entry
        elif isinstance(group, Entry):
            self._groups[name] = {group: None, entry: None}
        else:
            group[entry] = None

    def discard(self, name: str, entry: Entry) -> None:
        group = self._groups.get(name)
        if group is entry:
            del self._groups[name]
        elif isinstance(group, dict):
            group.pop(entry, None)
            if not group:
                del self._groups[name]
