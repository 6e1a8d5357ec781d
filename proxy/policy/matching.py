"""Which stored response a request selects: the primary key, the partition, and Vary (RFC 9111 sections 2 and 4.1).

The rule of this room: two requests share a key only if no origin may tell them apart by anything that the key
leaves out. Normalisation is for comparing; what is forwarded is never changed here.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar
from urllib.parse import unquote

from proxy.policy.globs import Glob
from proxy.policy.messages import Fields, Request, Vary


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What of a request, besides method, host and path, its primary key holds.

    `query_mode` is `all`, `none`, `only` or `except`; the latter two speak of the parameters whose percent-decoded
    name matches a glob in `query_names`. Raises ValueError for another mode or a pattern that is not a glob.
    """

    query_mode: str = "all"
    query_names: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.query_mode not in ("all", "none", "only", "except"):
            raise ValueError(f"{self.query_mode!r} is not a query mode; write all, none, only or except")
        _names(self.query_names)


class Selectable(Protocol):
    """Anything stored that was selected by request fields."""

    @property
    def vary(self) -> Vary: ...


T = TypeVar("T", bound=Selectable)


def primary_key(request: Request, rules: KeyRules, partition: str = "") -> str:
    """The key under which responses to `request` are stored, such as `GET http://example.org/path?q=1`.

    HEAD has GET's key. What the rules add follows after a space, which no URL contains, as JSON.
    """
    method = "GET" if request.method == "HEAD" else request.method
    key = f"{method} {normalised_url(request, rules)}"
    if partition:
        key += f" partition={json.dumps(partition)}"
    headers = {name.lower(): value for name in rules.headers if (value := normalised(name, request)) is not None}
    if headers:
        key += f" headers={json.dumps(headers, sort_keys=True, separators=(',', ':'))}"
    cookies = _kept_cookies(request, rules)
    if cookies:
        key += f" cookies={json.dumps(cookies, sort_keys=True, separators=(',', ':'))}"
    return key


def credential_partition(request: Request, secret: bytes) -> str:
    """An unguessable name for the bearer of the request's Authorization and Cookie values; "" when it has neither."""
    credentials = [request.fields.all("authorization"), request.fields.all("cookie")]
    if not any(credentials):
        return ""
    return hmac.digest(secret, json.dumps(credentials).encode(), "sha256").hex()[:32]


def vary_of(request: Request, fields: Fields) -> Vary | None:
    """The request fields that select a response with these fields; None when `*` says that nothing known does."""
    names = {name.lower() for name in fields.members("vary")}
    if "*" in names:
        return None
    return tuple((name, normalised(name, request)) for name in sorted(names))


def selects(vary: Vary, request: Request) -> bool:
    """Whether every field a response was selected by has an equivalent value in `request` (RFC 9111 section 4.1)."""
    return all(normalised(name, request) == value for name, value in vary)


def choose(entries: Sequence[T], request: Request) -> T | None:
    """The first of `entries` that `request` selects, or None."""
    for entry in entries:
        if selects(entry.vary, request):
            return entry
    return None


def normalised(name: str, request: Request) -> str | None:
    """The value of a request field such that equivalent values are equal; None when it is absent.

    RFC 9111 section 4.1 allows only what is known to keep the meaning: lines are joined and whitespace around
    commas is folded, except in fields that are not lists; members of the negotiation fields are ordered by
    weight, their weights written one way, duplicates dropped. A member that is not understood keeps its
    field as it came.
    """
    values = request.fields.all(name)
    if not values:
        return None
    value = ", ".join(values)
    # Attackers choose long values; remembering only short ones keeps the memory of the memo bounded.
    return _remembered(name.lower(), value) if len(value) <= 256 else _equivalent(name.lower(), value)


def normalised_url(request: Request, rules: KeyRules | None = None) -> str:
    """The request's URL such that equivalent ones are equal (RFC 3986 sections 6.2.2 and 6.2.3).

    Its query is left as it is, but for parameters that `rules` keep out of the key.
    """
    target = request.target if rules is None else _kept_target(request, rules)
    path, mark, query = target.partition("?")
    authority = normalised_authority(request.scheme, request.host)
    return _printable(f"{request.scheme}://{authority}{normalised_path(path)}{mark}{query}")


@lru_cache(maxsize=256)
def normalised_authority(scheme: str, host: str) -> str:
    """Host and port in lower case, without the scheme's default port or an empty one."""
    # A second decoding gives the escapes that remain their upper-case digits back.
    authority = _decoded(_decoded(host).lower())
    name, colon, port = authority.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{0,5}", port) or (":" in name and not name.endswith("]")):
        return authority
    if not port or int(port) == {"http": 80, "https": 443}.get(scheme):
        return name
    return f"{name}:{int(port)}"


def normalised_path(path: str) -> str:
    """A path with unreserved characters decoded, escapes in upper case and dot segments removed.

    A `%` that begins no escape counts as `%25`. What does not begin with `/`, as in `OPTIONS *`, stays as it is.
    """
    if not path:
        return "/"
    if not path.startswith("/") or ("%" not in path and "/." not in path):
        return path
    return _without_dot_segments(_decoded(path))


def has_dot_segments(path: str) -> bool:
    """Whether the path has `.` or `..` segments, written plainly or escaped; an origin may not resolve them."""
    return "." in path.replace("%2e", ".").replace("%2E", ".") and any(
        segment in (".", "..") for segment in _decoded(path).split("/")
    )


_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})?")


def _decoded(text: str) -> str:
    return _ESCAPE.sub(_plain, text) if "%" in text else text


def _plain(escape: re.Match[str]) -> str:
    # A stray % must not join decoded digits into an escape nobody sent, so it is written as what it can only mean.
    if escape[1] is None:
        return "%25"
    char = chr(int(escape[1], 16))
    return char if char in _UNRESERVED else escape[0].upper()


def _without_dot_segments(path: str) -> str:
    """RFC 3986 section 5.2.4 for a path that begins with `/`."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _printable(url: str) -> str:
    """`url` with every byte that no URL may contain escaped, so that a space ends it beyond doubt."""
    if url.isascii() and url.isprintable() and " " not in url:
        return url
    return re.sub(r"[^\x21-\x7e]", lambda m: "".join(f"%{byte:02X}" for byte in _octets(m[0])), url)


def _octets(char: str) -> bytes:
    return char.encode("latin-1") if char <= "\xff" else char.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def _names(patterns: tuple[str, ...]) -> Glob:
    return Glob(patterns)


def _kept_target(request: Request, rules: KeyRules) -> str:
    path, mark, query = request.target.partition("?")
    if not mark or rules.query_mode == "all":
        return request.target
    if rules.query_mode == "none":
        return path
    kept = [parameter for parameter in query.split("&") if _keeps(parameter, rules)]
    return f"{path}?{'&'.join(kept)}" if kept else path


def _keeps(parameter: str, rules: KeyRules) -> bool:
    # Some origins also split at `;`: what looks like one ignorable parameter may hide one that matters.
    if ";" in parameter:
        return True
    name = parameter.partition("=")[0]
    if "%" in name or "+" in name:
        name = unquote(name.replace("+", " "))
    return _names(rules.query_names).matches(name) == (rules.query_mode == "only")


def _kept_cookies(request: Request, rules: KeyRules) -> dict[str, list[str]]:
    lines = request.fields.all("cookie") if rules.cookies else []
    # Origins disagree whether a quoted value may hold `;`, so the whole field is what distinguishes then.
    if any('"' in line for line in lines):
        return {"": lines}
    kept: dict[str, list[str]] = {}
    for pair in ";".join(lines).split(";"):
        name, _, value = pair.partition("=")
        if (name := name.strip(" \t")) in rules.cookies:
            kept.setdefault(name, []).append(value.strip(" \t"))
    return kept


_NOT_LISTS = frozenset(
    (
        "authorization",
        "cookie",
        "date",
        "dnt",
        "from",
        "host",
        "if-modified-since",
        "if-range",
        "if-unmodified-since",
        "origin",
        "proxy-authorization",
        "range",
        "referer",
        "user-agent",
    )
)
_NEGOTIATION = frozenset(("accept", "accept-charset", "accept-encoding", "accept-language"))
_CODING_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def _equivalent(name: str, value: str) -> str:
    if name in _NOT_LISTS:
        return value
    members = _split(value, ",")
    if members is None:
        return value
    if name in _NEGOTIATION:
        preferences = {_preference(name, member) for member in members if member}
        if None not in preferences:
            # RFC 9110 section 12.5: order says nothing, weight does.
            return ", ".join(text for _, text in sorted(p for p in preferences if p))
    return ", ".join(members)


_remembered = lru_cache(maxsize=1024)(_equivalent)


def _preference(name: str, member: str) -> tuple[float, str] | None:
    """A member of a negotiation field as (order, text), heaviest first; None when it is not understood."""
    value, *parameters = _split(member, ";") or [""]
    text, weight = value.lower(), 1.0
    if name == "accept-encoding":
        text = _CODING_ALIASES.get(text, text)
    for parameter in parameters:
        key, equals, argument = parameter.partition("=")
        if key.lower() == "q":
            if not _WEIGHT.fullmatch(argument):
                return None
            weight = float(argument)
        elif name != "accept" or not equals:
            return None
        else:
            text += f";{key.lower()}={argument}"
    return (-weight, text if weight == 1 else f"{text};q={weight:g}") if value else None


def _split(value: str, separator: str) -> list[str] | None:
    """The stripped parts between separators outside quoted strings; None when a quoted string never ends."""
    if '"' not in value:
        return [part.strip(" \t") for part in value.split(separator)]
    parts, begun, quoted, escaped = [], 0, False, False
    for at, char in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(value[begun:at].strip(" \t"))
            begun = at + 1
    return None if quoted else [*parts, value[begun:].strip(" \t")]
