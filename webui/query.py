"""The cache pages' question, as it stands in the URL: which stored responses, in which order, as a list or a tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from urllib.parse import urlencode

from webui.amounts import parse_size, parse_span, written_size, written_span
from webui.parameters import whole

STATES = ("fresh", "stale")
TIERS = ("memory", "disk")
VIEWS = ("list", "tree")
SORTS = {"stored": True, "url": False, "status": False, "size": True, "fresh": False, "hits": True}
"""What the list can be sorted by, and whether its natural order is descending."""

TREE_SORTS = {"count": True, "url": False, "size": True, "fresh": False, "hits": True}
"""The same of the tree, whose branches have neither a status nor an age."""

NAMES = frozenset(
    "q state route tag type status tier larger older at view sort order page limit".split()  # noqa: SIM905 (as in a URL)
)
"""The parameters of an address that say something here."""

PAGE_SIZE = 50
MAX_TEXT = 500
MAX_PREFIX = 4000
MAX_PAGE = 1_000_000
MAX_LIMIT = 1_000


class Filterable(Protocol):
    """The part of a stored response a query looks at."""

    @property
    def url(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def length(self) -> int: ...
    @property
    def stored_at(self) -> float: ...
    @property
    def fresh_until(self) -> float: ...
    @property
    def in_memory(self) -> bool: ...
    @property
    def on_disk(self) -> bool: ...


_MOST_KNOWN = 1_000
"""Content types that are remembered: origins make them up as they like."""

Test = Callable[[Filterable], bool]
Masked = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class CacheQuery:
    """Which stored responses, in which order; a filter that is empty or 0 leaves nothing out.

    `larger` is bytes, `older` the seconds since a response was stored, `kind` the beginning of its content type.
    `at` is where in the URLs: the list shows what is below it, the tree is open there. `view` "" is the tree,
    unless a text is sought: what was found is a list.
    """

    text: str = ""
    state: str = ""
    route: str = ""
    tag: str = ""
    kind: str = ""
    status: int = 0
    tier: str = ""
    larger: int = 0
    older: int = 0
    at: str = ""
    view: str = ""
    sort: str = ""
    descending: bool = True
    page: int = 1
    limit: int = PAGE_SIZE

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> CacheQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        text = _text(parameters, "q")
        view = _choice(parameters, "view", VIEWS)
        sorts = TREE_SORTS if _is_tree(view, text) else SORTS
        sort = parameters.get("sort", "")
        if sort not in ("", *SORTS, *TREE_SORTS):
            raise ValueError(f"sort must be one of {', '.join(dict.fromkeys((*SORTS, *TREE_SORTS)))}")
        order = _choice(parameters, "order", ("asc", "desc"))
        if sort and sort not in sorts:
            # The other view's order: what was typed into a tree is found in a list.
            sort, order = "", ""
        return cls(
            text=text,
            state=_choice(parameters, "state", STATES),
            route=_text(parameters, "route"),
            tag=_text(parameters, "tag"),
            kind=_text(parameters, "type").lower(),
            status=whole(parameters, "status", 0, 100, 599),
            tier=_choice(parameters, "tier", TIERS),
            larger=_amount(parameters, "larger", parse_size),
            older=_amount(parameters, "older", parse_span),
            at=_text(parameters, "at", MAX_PREFIX),
            view=view,
            sort=sort,
            descending=order == "desc" if order else sorts[sort or next(iter(sorts))],
            page=whole(parameters, "page", 1, 1, MAX_PAGE),
            limit=whole(parameters, "limit", PAGE_SIZE, 1, MAX_LIMIT),
        )

    @property
    def tree(self) -> bool:
        """It is shown as a tree."""
        return _is_tree(self.view, self.text)

    @property
    def sorts(self) -> Mapping[str, bool]:
        """What its view can be sorted by; the first is the default."""
        return TREE_SORTS if self.tree else SORTS

    @property
    def by(self) -> str:
        """What it is sorted by."""
        return self.sort or next(iter(self.sorts))

    @property
    def narrowed(self) -> bool:
        """A filter besides text, state and route is set."""
        return bool(self.tag or self.kind or self.status or self.tier or self.larger or self.older)

    @property
    def filtered(self) -> bool:
        """It leaves something out, wherever it looks."""
        return bool(self.text or self.state or self.route or self.narrowed)

    @property
    def scoped(self) -> bool:
        """Its list leaves something out."""
        return self.filtered or bool(self.at)

    @property
    def parameters(self) -> dict[str, str]:
        """The query as URL parameters, defaults left out."""
        order = "desc" if self.descending else "asc"
        found = {
            "view": self.view,
            "at": self.at,
            "q": self.text,
            "state": self.state,
            "route": self.route,
            "tag": self.tag,
            "type": self.kind,
            "status": str(self.status or ""),
            "tier": self.tier,
            "larger": written_size(self.larger),
            "older": written_span(self.older),
            "sort": self.sort if self.sort != next(iter(self.sorts)) else "",
            "order": order if self.descending != self.sorts[self.by] else "",
            "page": str(self.page) if self.page > 1 else "",
            "limit": str(self.limit) if self.limit != PAGE_SIZE else "",
        }
        return {name: value for name, value in found.items() if value}

    @property
    def url_query(self) -> str:
        """The same as text; empty for the default query."""
        return urlencode(self.parameters)

    @property
    def path(self) -> str:
        """The page's own address."""
        return _address("/cache", self)

    @property
    def purge_path(self) -> str:
        """Where it is counted and asked whether to purge what the list of the query holds."""
        return _address("/cache/purge/count", self)

    @property
    def words(self) -> str:
        """What it accepts, as a phrase: `what is stale and is of route api`; `everything stored` without a filter."""
        tests = (
            (self.at, f"lies below {self.at}"),
            (self.text, f'contains "{self.text}"'),
            (self.state, f"is {self.state}"),
            (self.route, f"is of route {self.route}"),
            (self.tag, f"is tagged {self.tag}"),
            (self.kind, f"is of type {self.kind}"),
            (self.status, f"has status {self.status}"),
            (self.tier, f"is in {'memory' if self.tier == 'memory' else 'the disk tier'}"),
            (self.larger, f"is larger than {written_size(self.larger)}"),
            (self.older, f"was stored more than {written_span(self.older)} ago"),
        )
        said = " and ".join(words for value, words in tests if value)
        return f"what {said}" if said else "everything stored"

    def sorted_by(self, sort: str) -> CacheQuery:
        """The first page in another order; asked for the present order, its reverse."""
        descending = not self.descending if sort == self.by else self.sorts[sort]
        return replace(self, sort=sort, descending=descending, page=1)

    def turned(self, page: int) -> CacheQuery:
        """The same list, another page."""
        return replace(self, page=page)

    def opened(self, prefix: str) -> CacheQuery:
        """The same tree, open at another place."""
        return replace(self, at=prefix, page=1)

    def seen_as(self, view: str) -> CacheQuery:
        """The same as a list or as a tree, in that view's natural order."""
        other = replace(self, view=view, sort="", page=1)
        return replace(other, descending=next(iter(other.sorts.values())))

    def below(self, prefix: str) -> CacheQuery:
        """What it accepts below a place of the tree, as a list."""
        return replace(self.seen_as("list"), at=prefix)

    def accepts(self, entry: Filterable, now: float) -> bool:
        """The stored response is one the query asks for."""
        return self.accepting(now)(entry)

    def accepting(self, now: float, masked: Masked = str) -> Test:
        """The question for one response after the other. Text is sought in URL, route, content type and tags.

        `masked` is a URL as pages show it, and no more of it is sought in: a secret cannot be guessed letter by letter.
        """
        tests: list[Test] = []
        if self.state:
            tests.append(partial(_is_fresh, now, self.state == "fresh"))
        if self.route:
            tests.append(lambda entry: entry.route == self.route)
        if self.status:
            tests.append(lambda entry: entry.status == self.status)
        if self.larger:
            tests.append(lambda entry: entry.length > self.larger)
        if self.older:
            tests.append(lambda entry: now - entry.stored_at > self.older)
        if self.tier:
            in_memory = self.tier == "memory"
            tests.append(lambda entry: entry.in_memory if in_memory else entry.on_disk)
        if self.tag:
            tests.append(lambda entry: self.tag in entry.tags)
        if self.kind:
            tests.append(_of_kind(self.kind))
        if self.at:
            tests.append(partial(_is_below, self.at, masked))
        if self.text:
            tests.append(_containing(self.text.lower(), masked))
        return tests[0] if len(tests) == 1 else partial(_all, tests)


def target_start(url: str) -> int:
    """Where a URL's path begins."""
    slash = url.find("/", url.find("://") + 3)
    return slash if slash >= 0 else len(url)


def _all(tests: list[Test], entry: Filterable) -> bool:
    for test in tests:  # noqa: SIM110 (asked 100,000 times: a generator expression takes twice as long)
        if not test(entry):
            return False
    return True


def _is_fresh(now: float, wanted: bool, entry: Filterable) -> bool:
    return (entry.fresh_until > now) == wanted


def _is_below(prefix: str, masked: Masked, entry: Filterable) -> bool:
    # A path without scheme and host means every host's. Only queries have something to hide.
    url = masked(entry.url) if "?" in prefix else entry.url
    return url.startswith(prefix, target_start(url) if prefix.startswith("/") else 0)


def _of_kind(prefix: str) -> Test:
    known: dict[str, bool] = {}

    def of_kind(entry: Filterable) -> bool:
        found = known.get(entry.content_type)
        if found is None:
            if len(known) > _MOST_KNOWN:
                known.clear()
            found = known[entry.content_type] = entry.content_type.lower().startswith(prefix)
        return found

    return of_kind


def _containing(text: str, masked: Masked) -> Test:
    # Routes and content types are few, and each is looked at once.
    known: dict[str, bool] = {}
    stars = "*" in text

    def is_in(value: str) -> bool:
        if len(known) > _MOST_KNOWN:
            known.clear()
        found = known[value] = text in value.lower()
        return found

    def contains(entry: Filterable) -> bool:
        # Written out, because it is asked 100,000 times.
        url = entry.url.lower()
        found_at, query = url.find(text), url.find("?")
        if found_at >= 0 and (query < 0 or (found_at + len(text) <= query and url.find(";", 0, query) < 0)):
            return True
        # Masking costs more than looking, and puts nothing there but stars.
        if query >= 0 and (stars or found_at >= 0) and text in masked(entry.url).lower():
            return True
        found = known.get(entry.route)
        if is_in(entry.route) if found is None else found:
            return True
        found = known.get(entry.content_type)
        if is_in(entry.content_type) if found is None else found:
            return True
        return bool(entry.tags) and text in "\0".join(entry.tags).lower()

    return contains


def _is_tree(view: str, text: str) -> bool:
    return view == "tree" or (not view and not text)


def _address(path: str, query: CacheQuery) -> str:
    return f"{path}?{text}" if (text := query.url_query) else path


def _text(parameters: Mapping[str, str], name: str, most: int = MAX_TEXT) -> str:
    text = parameters.get(name, "").strip()
    if len(text) > most:
        raise ValueError(f"{name} must not be longer than {most} characters")
    return text


def _choice(parameters: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = parameters.get(name, "")
    if value not in ("", *choices):
        raise ValueError(f"{name} must be {' or '.join(choices)}, or be left out")
    return value


def _amount(parameters: Mapping[str, str], name: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(parameters.get(name, ""))
    except ValueError as problem:
        raise ValueError(f"{name} {problem}") from None
