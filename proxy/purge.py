"""What a purge covers: parsed once from an operator's words into a question about an entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import urlsplit

from proxy.errors import RequestRefused
from proxy.policy.globs import Glob
from proxy.policy.matching import normalised_escapes, typed_target, under
from proxy.policy.messages import Request
from proxy.storage.base import Entry

Listed = Callable[[Request], tuple[str, tuple[str, ...]]]
"""How a request's URL is listed in the store: as which URL, and under which keys besides (No-Vary-Search)."""

KINDS = ("url", "prefix", "glob", "tag", "route", "everything")


@dataclass(frozen=True, slots=True)
class Purge:
    """`covers` says which entries go; `soft` keeps them as stale ones; `dry_run` only counts."""

    covers: Callable[[Entry], bool]
    words: str
    soft: bool = False
    dry_run: bool = False


def parse_purge(document: object, listed: Listed) -> Purge:
    """A purge from its JSON form; `listed` tells how a URL is listed.

    Raises RequestRefused(400) that says what would be right.
    """
    if not isinstance(document, Mapping):
        _refuse("the body is not a JSON object")
    unknown = sorted(set(document) - {*KINDS, "soft", "dry_run"})
    if unknown:
        _refuse(f"{unknown[0]!r} is not known here")
    for flag in ("soft", "dry_run", "everything"):
        if not isinstance(document.get(flag, False), bool):
            _refuse(f"{flag!r} is true or false")
    chosen = [kind for kind in KINDS if document.get(kind) not in (None, False)]
    if len(chosen) != 1:
        _refuse("say exactly one of them")
    kind = chosen[0]
    value = document[kind]
    if kind != "everything" and (not isinstance(value, str) or not value):
        _refuse(f"{kind!r} is a text that is not empty")
    covers = (lambda _entry: True) if kind == "everything" else covering(kind, str(value), listed)
    words = "everything" if kind == "everything" else f"{kind} {value}"
    return Purge(covers, words, document.get("soft", False), document.get("dry_run", False))


def covering(kind: str, value: str, listed: Listed) -> Callable[[Entry], bool]:
    """Whether an entry is meant by `kind` and `value`. A path without scheme and host means every host's."""
    if kind == "tag":
        return lambda entry: value in entry.tags
    if kind == "route":
        return lambda entry: entry.route == value
    absolute = "://" in value
    if kind == "url":
        # Browsers escape what other clients send as it is: both are meant.
        found = [listed(request) for request in (request_for(value), _request(value))]
        urls, keys = {url for url, _ in found}, {key for _, also in found for key in also}
        if not absolute:
            targets = {target_of(url) for url in urls}
            return lambda entry: target_of(entry.url) in targets
        return lambda entry: entry.url in urls or any(under(entry.key, key) for key in keys)
    value = normalised_escapes(value)
    if not absolute and not value.startswith(("/", "*")):
        _refuse(f"the {kind} {value!r} begins with neither / nor a scheme such as http://")
    if kind == "prefix":
        return lambda entry: (entry.url if absolute else target_of(entry.url)).startswith(value)
    try:
        glob = Glob([value], "/")
    except ValueError as error:
        _refuse(str(error))
    return lambda entry: glob.matches(entry.url if absolute else target_of(entry.url))


def target_of(url: str) -> str:
    """The path and query of a stored URL."""
    start = url.find("/", url.find("://") + 3)
    return url[start:] if start >= 0 else "/"


def request_for(url: str, scheme: str = "http", host: str = "") -> Request:
    """The GET request of an absolute URL, or of a path on `host`, as a browser makes it of what is typed.

    Raises RequestRefused(400) for anything else.
    """
    asked = _request(url, scheme, host)
    return replace(asked, target=typed_target(asked.target))


def _request(url: str, scheme: str = "http", host: str = "") -> Request:
    url = url.strip()
    if url.startswith("/"):
        return Request("GET", url.partition("#")[0], host.lower(), scheme=scheme)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        what = f"{url!r} is not a URL; write http://host/path, or a path that begins with /"
        raise RequestRefused(400, "bad-url", what)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request("GET", target, parts.netloc.lower(), scheme=parts.scheme)


def _refuse(what: str) -> NoReturn:
    ways = '{"url": "..."}, {"prefix": "..."}, {"glob": "..."}, {"tag": "..."}, {"route": "..."}, {"everything": true}'
    raise RequestRefused(400, "bad-purge", f'{what}; a purge is one of {ways}, with "soft" and "dry_run" as wished')
