"""Which No-Vary-Search variances the responses of a path are known to state, so that their keys can be looked up."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from proxy.policy.matching import KeyRules, normalised_url, primary_key
from proxy.policy.messages import Request
from proxy.policy.no_vary_search import NoVarySearch

MARK = " no-vary-search="
"""What comes before the variance in a primary key (proxy.policy.matching)."""

MOST_PATHS = 10_000
MOST_PER_PATH = 3


class Variances:
    """A bounded memory. What falls out of it costs hits, nothing else."""

    def __init__(self) -> None:
        self._by_path: OrderedDict[str, tuple[NoVarySearch, ...]] = OrderedDict()

    def known(self, url: str) -> tuple[NoVarySearch, ...]:
        """The variances seen for the URL's path, latest first; none for most paths."""
        return self._by_path.get(_path(url), ()) if self._by_path else ()

    def keys(self, request: Request, rules: KeyRules) -> tuple[str, ...]:
        """The keys, besides the plain one, under which a response to GET for this request's URL may be stored."""
        get = replace(request, method="GET")
        known = self.known(normalised_url(get, rules))
        return tuple(
            primary_key(get, replace(rules, headers=(), cookies=()), no_vary_search=variance) for variance in known
        )

    def remember(self, url: str, variance: NoVarySearch) -> None:
        """Note that a response for this URL's path stated `variance`."""
        if variance.is_default:
            return
        path = _path(url)
        others = (other for other in self._by_path.pop(path, ()) if other != variance)
        self._by_path[path] = (variance, *others)[:MOST_PER_PATH]
        if len(self._by_path) > MOST_PATHS:
            self._by_path.popitem(last=False)

    def recall(self, stored: Iterable[tuple[str, str]]) -> None:
        """Remember what the (key, URL) pairs of stored responses tell, after a restart."""
        for key, url in stored:
            stated = key.partition(MARK)[2].partition(" ")[0]
            if stated:
                self.remember(url, _parsed(stated))


def _parsed(text: str) -> NoVarySearch:
    kind, names, key_order = json.loads(text)
    named = frozenset(names)
    return NoVarySearch(None, named, key_order) if kind == "except" else NoVarySearch(named, frozenset(), key_order)


def _path(url: str) -> str:
    return url.partition("?")[0]
