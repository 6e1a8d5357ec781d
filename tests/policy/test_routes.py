"""Which route takes a request, and which route hides another."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.messages import Request
from proxy.policy.routes import RouteMatch, Routes, content_type_of, covers, overlaps


def get(target: str, host: str = "example.org", method: str = "GET") -> Request:
    return Request(method, target, host)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**", "/"),
        ("/**", "/a/b"),
        ("/api/**", "/api"),
        ("/api/**", "/api/"),
        ("/api/**", "/api/a/b"),
        ("/api/*", "/api/a"),
        ("/api/*", "/api/"),
        ("/**/*.css", "/a.css"),
        ("/**/*.css", "/x/y/a.css"),
        ("/a/**/b", "/a/b"),
        ("/a?c", "/abc"),
        ("/{a,b}/x", "/b/x"),
        ("/app{,.min}.js", "/app.min.js"),
        ("/a**z", "/ab/cz"),
        ("/caf\u00e9/**", "/caf%c3%a9/menu"),
        ("/%61pi/**", "/api/x"),
        ("/a[1]", "/a[1]"),
    ],
)
def test_a_path_glob_takes(pattern: str, path: str) -> None:
    assert RouteMatch(pattern).matches(get(path))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/api/**", "/apis"),
        ("/api/*", "/api"),
        ("/api/*", "/api/a/b"),
        ("/a?c", "/a/c"),
        ("/*.css", "/x/a.css"),
        ("/a", "/a/"),
        ("/a", "/A"),
        ("/**", "*"),
    ],
)
def test_a_path_glob_leaves(pattern: str, path: str) -> None:
    assert not RouteMatch(pattern).matches(get(path))


@pytest.mark.parametrize("path", ["/api/../admin/x", "/%61dmin/x", "/api/%2e%2e/admin/x", "/./admin", "/x/.%2E/admin/"])
def test_no_spelling_of_a_path_slips_past_its_route(path: str) -> None:
    """RFC 3986 section 6.2.2."""
    assert RouteMatch("/admin/**").matches(get(path))
    assert not RouteMatch("/api/**").matches(get(path))
    assert RouteMatch("/admin(/.*)?", regex=True).matches(get(path))


def test_the_query_does_not_take_part() -> None:
    assert RouteMatch("/search").matches(get("/search?q=/../admin"))


def test_a_regular_expression_must_match_the_whole_path() -> None:
    route = RouteMatch(r"/v[0-9]+/.*", regex=True)

    assert route.matches(get("/v12/x"))
    assert not route.matches(get("/a/v12/x"))
    assert not RouteMatch("/v1", regex=True).matches(get("/v1/x"))


def test_methods_are_case_sensitive_and_none_means_any() -> None:
    """RFC 9110 section 9.1."""
    route = RouteMatch("/**", methods=("GET",))

    assert route.matches(get("/"))
    assert not route.matches(get("/", method="get"))
    assert not route.matches(get("/", method="HEAD"))
    assert RouteMatch("/**").matches(get("/", method="BREW"))


@pytest.mark.parametrize("host", ["a.example.org", "A.B.Example.org:8080", "x.example.org.", "%61.example.org"])
def test_a_host_glob_takes_every_spelling_of_its_hosts(host: str) -> None:
    """RFC 3986 section 3.2.2."""
    assert RouteMatch("/**", hosts=("*.example.org",)).matches(get("/", host))


@pytest.mark.parametrize("host", ["example.org", "a.example.com", "a.example.org.evil.com", ""])
def test_a_host_glob_leaves_other_hosts(host: str) -> None:
    assert not RouteMatch("/**", hosts=("*.example.org",)).matches(get("/", host))


def test_an_ipv6_host_is_matched_without_its_port() -> None:
    """RFC 3986 section 3.2.2."""
    route = RouteMatch("/**", hosts=("[::1]",))

    assert route.matches(get("/", "[::1]:8080"))
    assert route.matches(get("/", "[::1]"))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/a.webp", "image/webp"),
        ("/a.AVIF", "image/avif"),
        ("/x.y/a.woff2", "font/woff2"),
        ("/a.js", "text/javascript"),
        ("/a.mjs", "text/javascript"),
        ("/a.css", "text/css"),
        ("/a.svg", "image/svg+xml"),
        ("/a.wasm", "application/wasm"),
        ("/a.mp4", "video/mp4"),
        ("/x.css/a", None),
        ("/css", None),
        ("/.css", None),
        ("/a.unknown", None),
    ],
)
def test_the_extension_tells_the_content_type(path: str, content_type: str | None) -> None:
    assert content_type_of(path) == content_type


def test_content_types_are_matched_by_the_extension() -> None:
    route = RouteMatch("/**", content_types=("image/*", "application/javascript"))

    assert route.matches(get("/a/b.%70ng?v=1.html"))
    assert route.matches(get("/app.js"))
    assert not route.matches(get("/a.css"))
    assert not route.matches(get("/a"))


def test_a_route_for_content_types_does_not_admit_an_answer_of_another_type() -> None:
    route = RouteMatch("/**", content_types=("text/css", "IMAGE/*"))

    assert route.admits("text/css; charset=utf-8")
    assert route.admits("Image/JPG")
    assert not route.admits("text/html")
    assert not route.admits(None)
    assert RouteMatch("/**").admits(None)


@pytest.mark.parametrize(
    ("conditions", "complaint"),
    [
        ({"path": "api/**"}, "write /api/** or, at any depth, /**/api/**"),
        ({"path": ""}, "does not begin with a slash"),
        ({"path": "/{a,b"}, "alternatives are written {a,b}"),
        ({"path": "/a b"}, "write a space as %20"),
        ({"path": "/a/../b"}, "write the path without"),
        ({"path": "/\ud800"}, "write it percent-encoded"),
        ({"path": "/***"}, "write `*` within a segment or `**` across"),
        ({"path": "/(", "regex": True}, "leave `regex` out to write a glob"),
        ({"path": "/**", "methods": ("get",)}, "write GET"),
        ({"path": "/**", "methods": ("G T",)}, "is not a method"),
        ({"path": "/**", "hosts": ("example.org:80",)}, "write it without scheme, port and path"),
        ({"path": "/**", "hosts": ("http://example.org",)}, "write it without scheme, port and path"),
        ({"path": "/**", "hosts": ("",)}, "is not a host"),
        ({"path": "/**", "content_types": ("image/pngg",)}, "did you mean image/png?"),
        ({"path": "/**", "content_types": ("*",)}, "write a type such as image/* or text/css"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused_with_what_would_be_right(
    conditions: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        RouteMatch(**conditions)  # type: ignore[arg-type]  # the table mixes types on purpose


COVERED = [
    (RouteMatch("/a"), RouteMatch("/a")),
    (RouteMatch("/**"), RouteMatch("/anything/*")),
    (RouteMatch("/**"), RouteMatch("/a.*", regex=True)),
    (RouteMatch("/a.*", regex=True), RouteMatch("/a.*", regex=True)),
    (RouteMatch("/api/**"), RouteMatch("/api/x/*")),
    (RouteMatch("/api/**"), RouteMatch("/api")),
    (RouteMatch("/{a,b,c}/**"), RouteMatch("/{b,a}/*")),
    (RouteMatch("/**/*"), RouteMatch("/**/*.css")),
    (RouteMatch("/**/**"), RouteMatch("/**")),
    (RouteMatch("/*"), RouteMatch("/?")),
    (RouteMatch("/**", methods=("GET", "HEAD")), RouteMatch("/**", methods=("GET",))),
    (RouteMatch("/**", hosts=("*",)), RouteMatch("/**")),
    (RouteMatch("/**", hosts=("*.org", "*.com")), RouteMatch("/**", hosts=("a.org", "b.*.com"))),
    (RouteMatch("/**", content_types=("image/*",)), RouteMatch("/**", content_types=("image/png", "image/webp"))),
]
NOT_COVERED = [
    (RouteMatch("/a"), RouteMatch("/b")),
    (RouteMatch("/api/x/*"), RouteMatch("/api/**")),
    (RouteMatch("/api/*"), RouteMatch("/api")),
    (RouteMatch("/?"), RouteMatch("/*")),
    (RouteMatch("/a.*", regex=True), RouteMatch("/a")),
    (RouteMatch("/a.*", regex=True), RouteMatch("/ab.*", regex=True)),
    (RouteMatch("/a.*"), RouteMatch("/a.*", regex=True)),
    (RouteMatch("/**", methods=("GET",)), RouteMatch("/**")),
    (RouteMatch("/**", methods=("GET",)), RouteMatch("/**", methods=("GET", "POST"))),
    (RouteMatch("/**", hosts=("a.org",)), RouteMatch("/**")),
    (RouteMatch("/**", hosts=("a.org",)), RouteMatch("/**", hosts=("*.org",))),
    (RouteMatch("/**", content_types=("image/png",)), RouteMatch("/**", content_types=("image/*",))),
    (RouteMatch("/**", content_types=("*/*",)), RouteMatch("/**")),
]


@pytest.mark.parametrize(("a", "b"), COVERED)
def test_a_route_covers_what_it_leaves_nothing_of(a: RouteMatch, b: RouteMatch) -> None:
    assert covers(a, b)
    assert overlaps(a, b)


@pytest.mark.parametrize(("a", "b"), NOT_COVERED)
def test_a_route_does_not_cover_what_it_leaves_something_of(a: RouteMatch, b: RouteMatch) -> None:
    assert not covers(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (RouteMatch("/a/**"), RouteMatch("/b/**")),
        (RouteMatch("/**", methods=("GET",)), RouteMatch("/**", methods=("POST",))),
        (RouteMatch("/**", hosts=("a.org",)), RouteMatch("/**", hosts=("b.org",))),
        (RouteMatch("/**", content_types=("image/*",)), RouteMatch("/**", content_types=("text/css",))),
    ],
)
def test_routes_that_share_no_request_do_not_overlap(a: RouteMatch, b: RouteMatch) -> None:
    assert not overlaps(a, b)


def test_a_regular_expression_is_taken_to_overlap_every_path() -> None:
    assert overlaps(RouteMatch("/a", regex=True), RouteMatch("/b"))


patterns = st.lists(st.sampled_from(["/", "a", "*", "/**", "{a,/b}"]), max_size=4).map(
    lambda parts: "/" + "".join(parts)
)
route_matches = st.builds(
    RouteMatch,
    patterns.filter(lambda pattern: "***" not in pattern),
    methods=st.sampled_from([(), ("GET",), ("GET", "POST")]),
    hosts=st.sampled_from([(), ("*.org",), ("a.org",)]),
    content_types=st.just(()),
)
requests = st.builds(
    get,
    st.text("/ab", max_size=6).map(lambda rest: "/" + rest),
    st.sampled_from(["a.org", "b.org", "c.com"]),
    st.sampled_from(["GET", "POST", "PUT"]),
)


@given(route_matches, route_matches, st.lists(requests, max_size=20))
def test_no_request_contradicts_covers_or_overlaps(a: RouteMatch, b: RouteMatch, asked: list[Request]) -> None:
    taken_by_b = [request for request in asked if b.matches(request)]
    if covers(a, b):
        assert all(a.matches(request) for request in taken_by_b)
    if not overlaps(a, b):
        assert not any(a.matches(request) for request in taken_by_b)


def test_the_first_route_that_matches_is_found_again_and_again() -> None:
    routes = Routes([(RouteMatch("/api/**"), "api"), (RouteMatch("/**", methods=("GET",)), "rest")])

    for _ in range(2):
        assert routes.find(get("/api/x?q=1")) == "api"
        assert routes.find(get("/x")) == "rest"
        assert routes.find(get("/x", method="POST")) is None


def test_what_is_remembered_of_found_routes_is_bounded() -> None:
    routes = Routes([(RouteMatch("/a*"), "a"), (RouteMatch("/**"), "rest")])

    for number in range(5000):
        assert routes.find(get(f"/a{number}")) == "a"
    assert routes.find(get("/" + "x" * 5000)) == "rest"
    assert len(routes._found) <= 4096
    assert max(len(path) for _, _, path in routes._found) < 512


@given(st.text(max_size=10), st.booleans())
def test_any_text_is_a_route_or_a_value_error(path: str, regex: bool) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(RouteMatch(path, regex=regex).matches(get("/a")), bool)
