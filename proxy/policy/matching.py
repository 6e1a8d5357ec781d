"""Which stored response a request selects: the primary key, the partition, and Vary (RFC 9111 sections 2 and 4.1).

The rule of this room: two requests share a key only if no origin may tell them apart by anything that the key
leaves out. Normalisation is for comparing; what is forwarded is never changed here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar
from urllib.parse import unquote

from proxy.policy.globs import Glob
from proxy.policy.messages import Fields, Request, Vary
from proxy.policy.negotiation import CHOSEN_BY, chosen, equivalent, favourites
from proxy.policy.no_vary_search import DEFAULT, NoVarySearch, canonical_query


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

ADDED = frozenset(("cdn-loop", "forwarded", "via", "x-forwarded-for"))
"""Request fields that tell the origin of the client and the way, in values that only the edge knows."""

CREDENTIALS = frozenset(("authorization", "cookie", "proxy-authorization"))
"""Request fields whose values are kept as digests only."""


def primary_key(
    request: Request,
    rules: KeyRules,
    partition: str = "",
    *,
    content_digest: str = "",
    no_vary_search: NoVarySearch = DEFAULT,
) -> str:
    """The key under which responses to `request` are stored, such as `GET http://example.org/path?q=1`.

    HEAD has GET's key. What the rules add follows after a space, which no URL contains, as JSON.

    `content_digest` is a digest of the request's content, for QUERY: with the fields that say how to read it, it
    tells apart what the URL does not (RFC 10008 section 2.7). Nothing found under such a key answers GET or HEAD.
    `no_vary_search` gives the key of those responses that state exactly this variance; parameters that do not
    matter to them are left out of it. A response is stored under the key of its own variance, and looked up under
    those that its path is known to use.
    """
    method = "GET" if request.method == "HEAD" else request.method
    key = f"{method} {_varying_url(request, rules, no_vary_search)}"
    if partition:
        key += f" partition={json.dumps(partition)}"
    headers = {name.lower(): value for name in rules.headers if (value := normalised(name, request)) is not None}
    if headers:
        key += f" headers={json.dumps(headers, sort_keys=True, separators=(',', ':'))}"
    cookies = _kept_cookies(request, rules)
    if cookies:
        key += f" cookies={json.dumps(cookies, sort_keys=True, separators=(',', ':'))}"
    if content_digest:
        key += f" content={_content(request, content_digest)}"
    return key


def under(key: str, base: str) -> bool:
    """Whether a primary key is `base`, or `base` for one user, one set of headers or one of cookies."""
    return key == base or key.startswith(base + " ")


def is_private(key: str) -> bool:
    """Whether only one user may see what is stored under this primary key."""
    return " partition=" in key


def credential_partition(request: Request, secret: bytes) -> str:
    """An unguessable name for the bearer of the request's Authorization and Cookie values; "" when it has neither."""
    credentials = [request.fields.all("authorization"), request.fields.all("cookie")]
    if not any(credentials):
        return ""
    return hmac.digest(secret, json.dumps(credentials).encode(), "sha256").hex()[:32]


def vary_of(request: Request, fields: Fields, status: int = 200) -> Vary | None:
    """The request fields that select a response with these fields; None when `*` says that nothing known does.

    None as well for fields that this edge adds to on the way: what the origin saw is not what the client sent.

    Where the response states what was chosen by Accept-Encoding or Accept-Language, that follows under its own
    field's name with a colon before it, which no request field can have; `selects` explains why.
    """
    names = {name.lower() for name in fields.members("vary")}
    if "*" in names or not names.isdisjoint(ADDED):
        return None
    asked = tuple((name, normalised(name, request)) for name in sorted(names))
    if names.isdisjoint(CHOSEN_BY) or not 200 <= status < 300:
        return asked  # the language of an error or of a note beside a redirection is not what was chosen
    stated = ((name, chosen(name, fields.combined(CHOSEN_BY[name]) or "")) for name in sorted(names & CHOSEN_BY.keys()))
    return asked + tuple((f":{CHOSEN_BY[name]}", choice) for name, choice in stated if choice is not None)


def selects(vary: Vary, request: Request) -> bool:
    """Whether every field a response was selected by has an equivalent value in `request` (RFC 9111 section 4.1).

    A coding or language may differ in the rest when what the response is is named by the request and wanted no
    less than anything else: weights exist to rank stored responses too, and order says nothing (RFC 9110 section
    12.5.4). Anything less certain, such as a prefix of a language or a wildcard, asks the origin.
    """
    return all(_agrees(name, value, vary, request) for name, value in vary)


def _agrees(name: str, value: str | None, vary: Vary, request: Request) -> bool:
    return name.startswith(":") or normalised(name, request) == value or _prefers(name, vary, request)


def differing(vary: Vary, request: Request) -> list[tuple[str, str | None, str | None]]:
    """The fields by which `request` does not select such a response: name, what it was, and what it is here."""
    return [(name, value, normalised(name, request)) for name, value in vary if not _agrees(name, value, vary, request)]


def choose(
    entries: Sequence[T], request: Request, *, recency: Callable[[T], tuple[float, ...]] | None = None
) -> T | None:
    """The one of `entries` that `request` selects, or None.

    Of several it is the most recent (RFC 9111 section 4.1): the one of the greatest `recency`, such as the
    response's Date in seconds since the epoch; without it, and among equals, the first.
    """
    selected = (entry for entry in entries if selects(entry.vary, request))
    return next(selected, None) if recency is None else max(selected, key=recency, default=None)


def normalised(name: str, request: Request) -> str | None:
    """The value of a request field such that equivalent values are equal; None when it is absent.

    RFC 9111 section 4.1 allows only what is known to keep the meaning: lines are joined, and the rest is
    `negotiation.equivalent`.
    """
    values = request.fields.all(name)
    if not values:
        return None
    if name.lower() in CREDENTIALS:
        # What is stored, listed and explained must not give anybody's credentials away.
        return "sha256:" + hashlib.sha256("\n".join(values).encode("latin-1", "replace")).hexdigest()[:32]
    return equivalent(name.lower(), ", ".join(values))


def normalised_url(request: Request, rules: KeyRules | None = None) -> str:
    """The request's URL such that equivalent ones are equal (RFC 3986 sections 6.2.2 and 6.2.3).

    Of its query the order and the empty parts matter; what `rules` keep out of the key is left out.
    """
    target = request.target if rules is None else _kept_target(request, rules)
    path, mark, query = target.partition("?")
    authority = normalised_authority(request.scheme, request.host)
    return _printable(f"{request.scheme}://{authority}{normalised_path(path)}{mark}{_decoded(query)}")


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


def normalised_escapes(text: str) -> str:
    """A part of a URL, or a pattern for URLs, as a person writes it, escaped as `normalised_url` escapes."""
    return _decoded(_escaped(r'[^\x21-\x7e]|["<>\\^`|]', text))


def typed_target(target: str) -> str:
    """What a browser asks for when a person types this path and query: escaped as UTF-8, by the URL standard's sets."""
    path, mark, query = target.partition("?")
    path = _escaped(r'[^\x21-\x7e]|["<>^`{}]', path.replace("\\", "/"))
    query = _escaped(r"""[^\x21-\x7e]|["'<>]""", query)
    return f"{path}{mark}{query}"


def _escaped(meant: str, text: str) -> str:
    return re.sub(meant, lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode(errors="replace")), text)


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


def _varying_url(request: Request, rules: KeyRules, variance: NoVarySearch) -> str:
    url = normalised_url(request, rules)
    if variance.is_default:
        return url
    location, _, query = url.partition("?")
    canonical = canonical_query(query, variance)
    return f"{location}{'?' if canonical else ''}{canonical} no-vary-search={variance}"


def _content(request: Request, digest: str) -> str:
    """The digest and the fields without which the content has no meaning (RFC 9110 section 8)."""
    lines = {name: request.fields.all(name) for name in ("content-encoding", "content-language", "content-type")}
    stated = {name: values for name, values in lines.items() if values}
    return json.dumps({"digest": digest} | stated, separators=(",", ":"))


def _prefers(name: str, vary: Vary, request: Request) -> bool:
    """Whether the request's own ranking by the field `name` has what the response is among its first."""
    field = CHOSEN_BY.get(name)
    choice = None if field is None else next((value for other, value in vary if other == f":{field}"), None)
    return choice is not None and choice in favourites(name, request.fields.combined(name) or "")


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
