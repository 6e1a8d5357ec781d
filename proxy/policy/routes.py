"""Which route takes a request, and whether one route leaves anything to another.

The rule of this room: a route sees the path as an origin may understand it, percent-decoded where RFC 3986 says
equivalent and without dot segments, so that no spelling slips past a route.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from proxy.policy.globs import Glob, alternatives
from proxy.policy.matching import normalised_authority, normalised_path
from proxy.policy.messages import Request, media_type

T = TypeVar("T")

_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Which requests a route takes; every condition that is not empty must hold.

    `path` is a glob over the path without its query: `*` within a segment, `**` across segments, `?` one
    character, `{a,b}` alternatives; `/api/**` takes `/api` too. With `regex` it is a regular expression that must
    match the whole path. `methods` are case-sensitive and `GET` does not imply `HEAD`. `hosts` are globs without
    port, in which `*` also spans dots. `content_types` (`image/*`) are compared with the type that the path's
    extension stands for, as the route is chosen before there is a response.
    Raises ValueError, saying what would be right, for a condition that could never hold.
    """

    path: str
    regex: bool = False
    methods: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    _glob: Glob = field(init=False, repr=False, compare=False)
    _expression: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _hosts: Glob = field(init=False, repr=False, compare=False)
    _types: frozenset[str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for method in self.methods:
            _check_method(method)
        object.__setattr__(self, "_expression", _expression(self.path) if self.regex else None)
        object.__setattr__(self, "_glob", Glob(["/**"] if self.regex else [_path_glob(self.path)], "/"))
        object.__setattr__(self, "_hosts", Glob([_host_glob(host) for host in self.hosts] or ["*"]))
        object.__setattr__(self, "_types", _types(self.content_types))

    def matches(self, request: Request) -> bool:
        """Whether this route takes `request`."""
        return self._takes(request.method, _hostname(request), normalised_path(request.path))

    def admits(self, content_type: str | None) -> bool:
        """Whether a response's actual Content-Type is one this route is for.

        A route chosen by extension must ask this before it stores: `/account/x.css` may be answered with the
        account page (web cache deception).
        """
        if not self.content_types:
            return True
        name = media_type(content_type)
        name = _TYPE_ALIASES.get(name, name)
        return any(fnmatchcase(name, _type_pattern(pattern)) for pattern in self.content_types)

    def _takes(self, method: str, host: str, path: str) -> bool:
        return (
            (not self.methods or method in self.methods)
            and (not self.content_types or content_type_of(path) in self._types)
            and (not self.hosts or self._hosts.matches(host))
            and (self._glob.matches(path) if self._expression is None else bool(self._expression.fullmatch(path)))
        )


class Routes(Generic[T]):
    """Routes in order; the first that takes a request has it."""

    def __init__(self, routes: Sequence[tuple[RouteMatch, T]]) -> None:
        self._routes = tuple(routes)
        self._found: dict[tuple[str, str, str], T | None] = {}

    def find(self, request: Request) -> T | None:
        """What the first matching route stands for, or None."""
        if len(request.path) + len(request.host) > _LONGEST_REMEMBERED:
            return self._first(request)
        question = (request.method, request.host, request.path)
        try:
            return self._found[question]
        except KeyError:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            found = self._found[question] = self._first(request)
            return found

    def _first(self, request: Request) -> T | None:
        host, path = _hostname(request), normalised_path(request.path)
        for match, route in self._routes:
            if match._takes(request.method, host, path):
                return route
        return None


def covers(a: RouteMatch, b: RouteMatch) -> bool:
    """Whether every request that `b` takes is taken by `a` too, so that `b` after `a` is never reached.

    True is always right. Exact for globs of ordinary size; a regular expression is covered only by itself or by
    a glob for every path.
    """
    same_expression = a.regex and b.regex and a.path == b.path
    return (
        (same_expression or (not a.regex and a._glob.includes(b._glob, "/")))
        and (not a.methods or (bool(b.methods) and set(b.methods) <= set(a.methods)))
        and a._types >= b._types
        and a._hosts.includes(b._hosts)
    )


def overlaps(a: RouteMatch, b: RouteMatch) -> bool:
    """Whether some request may be taken by both.

    False is always right. True is approximate: a regular expression counts as matching every path, and path and
    content type are looked at apart from each other.
    """
    return (
        (not a.methods or not b.methods or not set(a.methods).isdisjoint(b.methods))
        and not a._types.isdisjoint(b._types)
        and a._hosts.meets(b._hosts)
        and a._glob.meets(b._glob, "/")
    )


def content_type_of(path: str) -> str | None:
    """The content type that the extension of a path's last segment stands for, or None."""
    stem, dot, extension = path.rpartition("/")[2].rpartition(".")
    return CONTENT_TYPES.get(extension.lower()) if dot and stem else None


CONTENT_TYPES = {
    "aac": "audio/aac",
    "apng": "image/apng",
    "atom": "application/atom+xml",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "css": "text/css",
    "csv": "text/csv",
    "eot": "application/vnd.ms-fontobject",
    "flac": "audio/flac",
    "gif": "image/gif",
    "gz": "application/gzip",
    "heic": "image/heic",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/x-icon",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "jxl": "image/jxl",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "map": "application/json",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "rss": "application/rss+xml",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ts": "video/mp2t",
    "ttf": "font/ttf",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "zip": "application/zip",
}
"""Extensions and what they stand for: our own table, so that every machine chooses the same route."""

_TYPE_ALIASES = {
    "application/font-woff": "font/woff",
    "application/font-woff2": "font/woff2",
    "application/javascript": "text/javascript",
    "application/x-javascript": "text/javascript",
    "image/jpg": "image/jpeg",
    "image/vnd.microsoft.icon": "image/x-icon",
    "text/xml": "application/xml",
}

_KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PURGE")


def _hostname(request: Request) -> str:
    """The host without port, and without the dot by which a DNS name may end."""
    authority = normalised_authority(request.scheme, request.host)
    name = authority if authority.endswith("]") else re.sub(":[0-9]*$", "", authority)
    return name.removesuffix(".")


def _check_method(method: str) -> None:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", method):
        raise ValueError(
            f"{method!r} is not a method; write a name such as GET or POST, or leave methods empty for any"
        )
    if method not in _KNOWN_METHODS and method.upper() in _KNOWN_METHODS:
        raise ValueError(f"{method!r} would never match, as methods are case-sensitive; write {method.upper()}")


def _expression(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{pattern!r} is not a regular expression ({error}); leave `regex` out to write a glob such as /api/**"
        ) from None


def _path_glob(pattern: str) -> str:
    """The pattern in the spelling that normalised paths have."""
    if re.search(r"[\x00-\x20\x7f#]", pattern):
        raise ValueError(f"{pattern!r} has a character no path contains; write a space as %20 and # as %23")
    escaped = "".join(c if c.isascii() else "".join(f"%{byte:02X}" for byte in _utf8(c, pattern)) for c in pattern)
    for plain in alternatives(escaped):
        if not plain.startswith("/"):
            raise ValueError(
                f"{pattern!r} does not begin with a slash; write /{pattern} or, at any depth, /**/{pattern}"
            )
        if not {".", ".."}.isdisjoint(plain.split("/")):
            raise ValueError(
                f"{pattern!r} has a dot segment, which is resolved before matching; write the path without"
            )
    return normalised_path(escaped)


def _utf8(char: str, pattern: str) -> bytes:
    try:
        return char.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{pattern!r} has a character that is no text; write it percent-encoded") from None


def _host_glob(pattern: str) -> str:
    host = pattern.lower().removesuffix(".")
    if not host or re.search(r"[\x00-\x20\x7f/@]", host) or re.search(r":[0-9]*$", re.sub(r"\[[^]]*\]$", "", host)):
        raise ValueError(f"{pattern!r} is not a host; write it without scheme, port and path, as in *.example.org")
    return host


def _type_pattern(pattern: str) -> str:
    lower = pattern.lower()
    return _TYPE_ALIASES.get(lower, lower)


def _types(patterns: tuple[str, ...]) -> frozenset[str | None]:
    """The types of the table that the patterns name; all of them, and no type at all, when there is no pattern."""
    known = sorted(set(CONTENT_TYPES.values()))
    if not patterns:
        return frozenset([*known, None])
    types: set[str | None] = set()
    for pattern in patterns:
        named = [name for name in known if fnmatchcase(name, _type_pattern(pattern))]
        if not named or "/" not in pattern:
            near = difflib.get_close_matches(pattern.lower(), [*known, "image/*", "font/*", "video/*", "audio/*"], 1)
            hint = f"did you mean {near[0]}?" if near else "write a type such as image/* or text/css"
            raise ValueError(f"{pattern!r} is not a content type that a file extension stands for; {hint}")
        types.update(named)
    return frozenset(types)
