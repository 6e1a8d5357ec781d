"""Rules between settings: each value is fine by itself, but together they cannot work."""

from __future__ import annotations

import importlib.util
import ipaddress
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from proxy.config.model import Config, Match, Route
from proxy.config.problems import KeyPath, Place, Problem
from proxy.config.realtime import Realtime
from proxy.config.units import Address
from proxy.config.validation import Tree
from proxy.policy.routes import RouteMatch, covers, overlaps

SHORTEST_TOKEN = 16
"""Characters of `admin.token` where others than this machine can try some."""


def problems_between_settings(config: Config, tree: Tree) -> list[Problem]:
    """Everything that cannot work together."""
    return [
        *_listeners(config, tree),
        *_origin_tls(config, tree),
        *_routes(config.routes, tree),
        *_realtime(config.realtime, tree),
    ]


def overlap_notes(routes: Sequence[Route]) -> list[str]:
    """A sentence for each route that may match what earlier ones take, unless it contains them.

    A general route after a special one is how routes are meant, and no note.
    """
    matches = [route_match(route.match) for route in routes]
    notes = []
    for index, match in enumerate(matches):
        earlier = [first for first in range(index) if overlaps(matches[first], match)]
        sharing = [_title(routes, first) for first in earlier if not covers(match, matches[first])]
        if sharing:
            notes.append(f"{_title(routes, index)} may match requests that earlier routes take: {', '.join(sharing)}.")
    return notes


def realtime_notes(realtime: Realtime) -> list[str]:
    """A sentence for each thing about the realtime core that works, but hardly as it was meant."""
    notes = []
    if realtime.enabled and realtime.auth == "trusted":
        notes.append("realtime.auth is trusted: whoever connects is believed to be whoever they say.")
    if realtime.enabled and realtime.auth == "origin" and realtime.origin.session is None:
        notes.append(
            "realtime.auth is origin, but realtime.origin.session is not set: nobody can authenticate. Name a path that"
            ' answers 200 with {"user": {"id": ...}}, or 401 where nobody is logged in.'
        )
    if realtime.enabled and "*" in realtime.allowed_origins:
        notes.append("realtime.allowed_origins has *: any web page can connect with your users' cookies.")
    return notes


def takes_everything(routes: Sequence[Route]) -> bool:
    """Whether some route takes every request that reaches it."""
    return any(covers(route_match(route.match), RouteMatch("/**")) for route in routes)


def route_match(match: Match) -> RouteMatch:
    """The matcher of a route's `match`. Raises ValueError for a bad glob or regular expression."""
    return RouteMatch(
        path=match.path,
        regex=match.regex,
        methods=match.methods,
        hosts=match.hosts,
        content_types=match.content_types,
    )


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a listener on `host`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _listeners(config: Config, tree: Tree) -> Iterator[Problem]:
    server, admin = config.server.listen, config.admin.listen
    origin = _origin_address(config.origin.url)
    if _collide(server, admin):
        yield _problem(
            tree, ("admin", "listen"), f"is the address of server.listen ({server})", "Give it another port."
        )
    for name, listen in (("server", server), ("admin", admin)):
        if _collide(listen, origin):
            what = f"leads back to {name}.listen ({listen}), so requests would go round in a loop"
            yield _problem(tree, ("origin", "url"), what, "Name the address of your application.", (name, "listen"))
    if not is_loopback(admin.host) and not config.admin.guarded:
        what = f"{admin} can be reached from other machines, but nobody is asked who they are"
        advice = (
            "Run `cachewire password` and set admin.password_hash to what it prints; or set CACHEWIRE__ADMIN__TOKEN"
            " to a long random secret; or listen on 127.0.0.1."
        )
        yield _problem(tree, ("admin", "listen"), what, advice)
    token = config.admin.token
    if token is not None and len(token) < SHORTEST_TOKEN and not is_loopback(admin.host):
        what = f"has {len(token)} characters, and {admin} can be reached from other machines"
        advice = f"Make it random and {SHORTEST_TOKEN} or longer, as `openssl rand -hex 16` prints it."
        yield _problem(tree, ("admin", "token"), what, advice, ("admin", "listen"))


def _origin_tls(config: Config, tree: Tree) -> Iterator[Problem]:
    path = config.origin.tls_ca_file
    if path is not None and not path.is_file():
        yield _problem(tree, ("origin", "tls_ca_file"), f"{path} is not a file", "Name a file of PEM certificates.")


def _realtime(realtime: Realtime, tree: Tree) -> Iterator[Problem]:
    jwt, path = realtime.jwt, ("realtime", "jwt")
    if not realtime.enabled or realtime.auth != "jwt":
        return
    if importlib.util.find_spec("jwt") is None:
        what = "needs the extra `jwt`, which is not installed"
        yield _problem(tree, ("realtime", "auth"), what, "Install it: pip install 'cachewire[jwt]'.")
    shared = {algorithm for algorithm in jwt.algorithms if algorithm.startswith("HS")}
    if shared and shared != set(jwt.algorithms):
        # A public key that were also taken for a shared secret would let anybody sign.
        what = "mixes algorithms of a shared secret (HS...) with those of a public key"
        yield _problem(tree, (*path, "algorithms"), what, "Name those of one kind.")
    elif shared and not jwt.secret:
        advice = "Set CACHEWIRE__REALTIME__JWT__SECRET, or name a public key and its algorithms."
        yield _problem(tree, (*path, "secret"), "is not set, but realtime.auth is jwt", advice, ("realtime", "auth"))
    elif not shared and (jwt.public_key_file is None or not jwt.public_key_file.is_file()):
        yield _problem(
            tree, (*path, "public_key_file"), "is not a file", "Name a file that holds the public key (PEM)."
        )


def _routes(routes: Sequence[Route], tree: Tree) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    earlier: list[tuple[int, RouteMatch]] = []
    for index, route in enumerate(routes):
        path: KeyPath = ("routes", index)
        if route.name in seen:
            what = f"{route.name!r} is also the name of routes[{seen[route.name]}]"
            yield _problem(tree, (*path, "name"), what, "Give each route a name of its own.")
        seen.setdefault(route.name, index)
        try:
            match = route_match(route.match)
        except ValueError as error:
            what, _, advice = str(error).partition("; ")
            yield _problem(tree, (*path, "match", "path"), what, advice and f"{advice[0].upper()}{advice[1:]}.")
            continue
        for first, other in earlier:
            if covers(other, match):
                yield _shadowed(tree, routes, first, index, same=match == other)
                break
        earlier.append((index, match))


def _shadowed(tree: Tree, routes: Sequence[Route], first: int, index: int, *, same: bool) -> Problem:
    other = _title(routes, first)
    place = tree.place(("routes", first))
    where = f" ({place.label})" if place else ""
    if same:
        what = f"matches exactly what {other}{where} matches"
        return _problem(tree, ("routes", index, "match"), what, "Delete one of the two.")
    what = f"never takes a request: {other}{where} comes first and takes them all"
    advice = f"Reorder: put {_title(routes, index)} before routes[{first}]."
    return _problem(tree, ("routes", index, "match"), what, advice)


def _problem(tree: Tree, path: KeyPath, what: str, advice: str, otherwise: KeyPath = ()) -> Problem:
    place = tree.place(path) or tree.place(otherwise) or Place("the defaults")
    return Problem(place, path, what, advice)


def _title(routes: Sequence[Route], index: int) -> str:
    return f"routes[{index}] `{routes[index].name}`"


def _origin_address(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])


def _collide(listen: Address, other: Address) -> bool:
    """Whether a connection to `other` arrives at `listen`, as far as the names alone tell."""
    if listen.port != other.port or listen.port == 0:
        return False
    hosts = (listen.host.lower(), other.host.lower())
    if hosts[0] == hosts[1]:
        return True
    local = all(host in _ANY or is_loopback(host) for host in hosts)
    return local and any(host in (*_ANY, "localhost") for host in hosts)


_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
