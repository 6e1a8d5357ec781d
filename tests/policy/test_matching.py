"""Which stored response a request selects: keys, partitions and Vary."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.matching import (
    KeyRules,
    choose,
    credential_partition,
    has_dot_segments,
    normalised,
    normalised_authority,
    normalised_path,
    normalised_url,
    primary_key,
    selects,
    vary_of,
)
from proxy.policy.messages import Fields, Request, Vary

EVERYTHING = KeyRules("all")


def get(target: str = "/", *lines: tuple[str, str], host: str = "example.org", method: str = "GET") -> Request:
    return Request(method, target, host, Fields(lines))


# The primary key


def test_a_key_reads_as_method_and_url() -> None:
    """RFC 9111 section 2."""
    assert primary_key(get("/a/b?c=d&e"), EVERYTHING) == "GET http://example.org/a/b?c=d&e"


def test_head_has_the_key_of_get_and_other_methods_have_their_own() -> None:
    """RFC 9110 section 9.3.2, RFC 9111 section 2."""
    assert primary_key(get("/a", method="HEAD"), EVERYTHING) == primary_key(get("/a"), EVERYTHING)
    assert primary_key(get("/a", method="POST"), EVERYTHING) == "POST http://example.org/a"


@pytest.mark.parametrize(
    ("scheme", "host", "authority"),
    [
        ("http", "Example.ORG", "example.org"),
        ("http", "example.org:80", "example.org"),
        ("https", "example.org:443", "example.org"),
        ("https", "example.org:80", "example.org:80"),
        ("http", "example.org:", "example.org"),
        ("http", "example.org:08080", "example.org:8080"),
        ("http", "%65xample.org", "example.org"),
        ("http", "%c3%a9.org", "%C3%A9.org"),
        ("http", "[2001:DB8::1]:80", "[2001:db8::1]"),
        ("http", "[::1]", "[::1]"),
        ("http", "", ""),
        ("http", "example.org:123456", "example.org:123456"),
    ],
)
def test_an_authority_is_normalised_by_rfc_3986_section_6_2(scheme: str, host: str, authority: str) -> None:
    """RFC 3986 section 6.2.2.1, RFC 3986 section 6.2.2.2, RFC 3986 section 6.2.3."""
    assert normalised_authority(scheme, host) == authority


@pytest.mark.parametrize(
    ("path", "same_as"),
    [
        ("/%61pi", "/api"),
        ("/%7euser", "/~user"),
        ("/a%2fb", "/a%2Fb"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/../..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a//../b", "/a/b"),
        ("/a//b", "/a//b"),
        ("/100%", "/100%25"),
        ("/%%34%31", "/%2541"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/...", "/a/..."),
        ("", "/"),
        ("*", "*"),
    ],
)
def test_a_path_is_normalised_only_where_rfc_3986_says_equivalent(path: str, same_as: str) -> None:
    """RFC 3986 section 6.2.2."""
    assert normalised_path(path) == same_as


@given(st.text("/.%2eE7a~ é;*", max_size=20))
def test_normalising_twice_is_normalising_once(rest: str) -> None:
    """RFC 3986 section 6.2.2."""
    once = normalised_path("/" + rest)
    url = normalised_url(get("/" + rest))

    assert normalised_path(once) == once
    assert normalised_url(get(url.removeprefix("http://example.org"))) == url


@given(st.from_regex(r"[A-Za-z0-9%.\[\]:-]{0,12}(:[0-9]{0,6})?", fullmatch=True))
def test_normalising_an_authority_twice_is_normalising_it_once(host: str) -> None:
    """RFC 3986 section 6.2.2."""
    once = normalised_authority("http", host)

    assert normalised_authority("http", once) == once


def test_reserved_characters_are_not_decoded_as_they_may_mean_something_else() -> None:
    """RFC 3986 section 2.2."""
    assert primary_key(get("/a%2Fb"), EVERYTHING) != primary_key(get("/a/b"), EVERYTHING)
    assert primary_key(get("/a%3Bb"), EVERYTHING) != primary_key(get("/a;b"), EVERYTHING)


def test_a_query_keeps_its_order_its_empty_values_and_its_reserved_characters() -> None:
    """RFC 3986 section 2.2."""
    targets = ["/?b=1&a=2", "/?a=2&b=1", "/?a=", "/?a", "/?", "/", "/?a=/", "/?a=%2F", "/?a=1&&b=2", "/?a=+", "/?a=%20"]

    assert len({primary_key(get(target), EVERYTHING) for target in targets}) == len(targets)


@pytest.mark.parametrize(("one", "other"), [("/?%61=", "/?a="), ("/?a=%2f", "/?a=%2F"), ("/?a=%7Eb", "/?a=~b")])
def test_percent_encoding_of_a_query_is_normalised_like_that_of_a_path(one: str, other: str) -> None:
    """RFC 3986 section 6.2.2.1, RFC 3986 section 6.2.2.2."""
    assert primary_key(get(one), EVERYTHING) == primary_key(get(other), EVERYTHING)


@pytest.mark.parametrize(
    ("rules", "target", "kept"),
    [
        (KeyRules("except", ("utm_*", "gclid")), "/?utm_source=x&a=1&gclid=7&b", "/?a=1&b"),
        (KeyRules("except", ("utm_*",)), "/?utm_source=x", "/"),
        (KeyRules("except", ("utm_*",)), "/?", "/?"),
        (KeyRules("except", ("utm_*",)), "/?utm%5Fsource=x&a", "/?a"),
        (KeyRules("except", ("utm_*",)), "/", "/"),
        (KeyRules("only", ("id", "p{age,ages}")), "/?id=1&x=2&page=3&id=4", "/?id=1&page=3&id=4"),
        (KeyRules("only", ("id",)), "/?%69d=1&x=2", "/?id=1"),
        (KeyRules("only", ("a b",)), "/?a+b=1&x=2", "/?a+b=1"),
        (KeyRules("only", ("id",)), "/?x=2", "/"),
        (KeyRules("none"), "/?id=1", "/"),
        (KeyRules("none"), "/?", "/"),
    ],
)
def test_a_route_chooses_which_parameters_distinguish(rules: KeyRules, target: str, kept: str) -> None:
    assert primary_key(get(target), rules) == f"GET http://example.org{kept}"
    assert normalised_url(get(target), rules) == f"http://example.org{kept}"


def test_a_parameter_hidden_behind_a_semicolon_still_distinguishes() -> None:
    rules = KeyRules("except", ("utm_*",))

    assert primary_key(get("/?utm_x=1;id=2"), rules) == "GET http://example.org/?utm_x=1;id=2"


def test_an_unknown_query_mode_or_a_bad_glob_is_refused() -> None:
    with pytest.raises(ValueError, match="write all, none, only or except"):
        KeyRules("some")
    with pytest.raises(ValueError, match="without its"):
        KeyRules("only", ("{a",))


def test_chosen_headers_are_part_of_the_key_and_an_absent_one_differs_from_an_empty_one() -> None:
    rules = KeyRules("all", headers=("X-Device",))

    assert primary_key(get("/", ("X-Device", "tv")), rules) == 'GET http://example.org/ headers={"x-device":"tv"}'
    assert primary_key(get("/", ("X-Device", "")), rules) != primary_key(get("/"), rules)


def test_chosen_cookies_are_part_of_the_key_byte_for_byte_and_in_order() -> None:
    rules = KeyRules("all", cookies=("lang", "ab"))
    request = get("/", ("Cookie", "x=1; lang=de; LANG=fr"), ("Cookie", "lang=en;ab=a=b"))

    assert primary_key(request, rules) == 'GET http://example.org/ cookies={"ab":["a=b"],"lang":["de","en"]}'
    assert primary_key(get("/", ("Cookie", "x=1")), rules) == "GET http://example.org/"


def test_a_quoted_cookie_cannot_pretend_to_be_another_cookie() -> None:
    rules = KeyRules("all", cookies=("lang",))
    pretender = get("/", ("Cookie", 'x="; lang=de; y="'))

    assert primary_key(pretender, rules) != primary_key(get("/", ("Cookie", "lang=de")), rules)


def test_no_url_can_imitate_a_partition_a_header_or_a_cookie() -> None:
    keyed = primary_key(get("/", ("X-Device", "tv")), KeyRules("all", headers=("X-Device",)), "abc")
    imitation = get(keyed.removeprefix("GET http://example.org"))

    assert primary_key(imitation, EVERYTHING) != keyed
    assert " " not in primary_key(imitation, EVERYTHING).removeprefix("GET ")


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_different_header_values_never_share_a_key(a: str, b: str, c: str, d: str) -> None:
    rules = KeyRules("all", headers=("user-agent", "referer"))
    one = get("/", ("User-Agent", a), ("Referer", b))
    two = get("/", ("User-Agent", c), ("Referer", d))

    assert (primary_key(one, rules) == primary_key(two, rules)) == ((a, b) == (c, d))


# Partitions


def test_a_request_without_credentials_has_no_partition() -> None:
    assert credential_partition(get(), b"secret") == ""


def test_a_partition_is_32_hex_digits_that_depend_on_secret_and_credentials() -> None:
    requests = [
        get("/", ("Authorization", "Bearer a")),
        get("/", ("Cookie", "Bearer a")),
        get("/", ("Cookie", "s=1")),
        get("/", ("Cookie", "s=1"), ("Authorization", "Bearer a")),
        get("/", ("Cookie", "s=1"), ("Cookie", "t=2")),
        get("/", ("Cookie", "s=1, t=2")),
        get("/", ("Cookie", "")),
    ]
    partitions = [credential_partition(request, secret) for request in requests for secret in (b"one", b"two")]

    assert len(set(partitions)) == len(partitions)
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in partitions)


def test_the_same_user_has_the_same_partition_whatever_else_is_sent() -> None:
    one = get("/a", ("Cookie", "s=1"), ("Accept", "*/*"))

    assert credential_partition(one, b"k") == credential_partition(get("/b", ("cookie", "s=1")), b"k")
    assert credential_partition(one, b"k") in primary_key(one, EVERYTHING, credential_partition(one, b"k"))


# Vary


def test_vary_star_anywhere_selects_nothing() -> None:
    """RFC 9111 section 4.1."""
    for value in ("*", "Accept, *", "*,*", ", *"):
        assert vary_of(get(), Fields([("Vary", value)])) is None
    assert vary_of(get(), Fields([("Vary", "Foo"), ("Vary", "*")])) is None


def test_vary_names_are_lower_case_sorted_and_said_once() -> None:
    """RFC 9111 section 4.1."""
    fields = Fields([("Vary", "Foo, ,bar"), ("vary", "FOO")])

    assert vary_of(get("/", ("Foo", "1")), fields) == (("bar", None), ("foo", "1"))


def test_a_response_without_vary_is_selected_by_every_request() -> None:
    """RFC 9111 section 4.1."""
    assert vary_of(get(), Fields()) == ()
    assert selects((), get("/", ("Foo", "1")))


def test_an_absent_field_selects_only_requests_without_it() -> None:
    """RFC 9111 section 4.1."""
    vary: Vary = (("foo", None),)

    assert selects(vary, get())
    assert not selects(vary, get("/", ("Foo", "")))


EQUIVALENT = [
    ("Foo", ["1,2"], ["1, 2"]),
    ("Foo", ["1", "2"], ["1 ,2"]),
    ("Accept-Encoding", ["gzip, br"], ["br,gzip"]),
    ("Accept-Encoding", ["GZIP;q=1.0"], ["x-gzip"]),
    ("Accept-Encoding", ["gzip;q=0.50, br"], ["br, gzip ; Q=0.5"]),
    ("Accept-Encoding", ["gzip, gzip"], ["gzip"]),
    ("Accept-Language", ["de, en;q=0.8"], ["en;q=0.80,DE"]),
    ("Accept-Language", ["en", "de"], ["de, en"]),
    ("Accept", ["text/html, */*;q=0.1"], ["*/*;q=0.1,TEXT/HTML"]),
    ("Accept", ['text/html;Level="1;,"'], ['text/html; level="1;,"']),
    ("Accept-Charset", ["utf-8"], ["UTF-8"]),
]
DIFFERENT = [
    ("Foo", ["1, 2"], ["2, 1"]),
    ("Foo", ["a"], ["A"]),
    ("Foo", ['"a,b"'], ['"a, b"']),
    ("Foo", ['"a\\",b"'], ['"a\\", b"']),
    ("Foo", ['"a,b'], ['"a, b']),
    ("User-Agent", ["X (KHTML,like)"], ["X (KHTML, like)"]),
    ("Cookie", ["a=1,b"], ["a=1, b"]),
    ("Accept-Encoding", ["gzip"], ["gzip;q=0"]),
    ("Accept-Encoding", [""], []),
    ("Accept-Encoding", ["gzip;q=2"], ["gzip"]),
    ("Accept-Encoding", ["gzip;x=1"], ["gzip"]),
    ("Accept-Language", ["en, de;q=0.5"], ["de, en;q=0.5"]),
    ("Accept", ["text/html;level=1"], ["text/html;level=2"]),
    ("Accept", ["text/html;level"], ["text/html"]),
    ("Accept", ['text/html;a="'], ["text/html"]),
    ("Accept", [";q=0.5"], ["*/*"]),
]


def lines(name: str, values: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for value in values]


@pytest.mark.parametrize(("name", "one", "other"), EQUIVALENT)
def test_equivalent_values_select_the_same_variant(name: str, one: list[str], other: list[str]) -> None:
    """RFC 9111 section 4.1."""
    vary = vary_of(get("/", *lines(name, one)), Fields([("Vary", name)]))

    assert vary is not None
    assert selects(vary, get("/", *lines(name, other)))


@pytest.mark.parametrize(("name", "one", "other"), DIFFERENT)
def test_values_that_may_mean_something_else_select_another_variant(
    name: str, one: list[str], other: list[str]
) -> None:
    """RFC 9111 section 4.1."""
    vary = vary_of(get("/", *lines(name, one)), Fields([("Vary", name)]))

    assert vary is not None
    assert not selects(vary, get("/", *lines(name, other)))


weighted = st.lists(
    st.tuples(st.sampled_from(["gzip", "br", "zstd", "*"]), st.integers(0, 1000)), min_size=1, unique_by=lambda m: m[0]
)


@given(weighted.flatmap(lambda members: st.tuples(st.just(members), st.permutations(members))))
def test_order_and_spelling_of_weights_never_matter(
    orders: tuple[list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    """RFC 9110 section 12.4.2, RFC 9111 section 4.1."""
    members, shuffled = orders
    one = ", ".join(f"{coding};q={weight / 1000:.3f}" for coding, weight in members)
    other = ",".join(f"{coding.upper()} ; q={weight / 1000:g}" for coding, weight in shuffled)

    assert normalised("accept-encoding", get("/", ("Accept-Encoding", one))) == normalised(
        "accept-encoding", get("/", ("Accept-Encoding", other))
    )


@given(st.sampled_from(["foo", "accept", "accept-language", "x-any"]), st.text('a,;q=0.1" \\*/', max_size=300))
def test_a_normalised_value_is_its_own_normal_form(name: str, value: str) -> None:
    """RFC 9111 section 4.1."""
    once = normalised(name, get("/", (name, value)))

    assert once is not None
    assert normalised(name, get("/", (name, once))) == once


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "Proxy-Authorization"])
def test_credentials_select_variants_without_being_kept(name: str) -> None:
    """RFC 9111 section 4.1."""
    vary = vary_of(get("/", (name, "session=secret")), Fields([("Vary", name)]))
    assert vary is not None
    assert "secret" not in str(vary)
    assert selects(vary, get("/", (name, "session=secret")))
    assert not selects(vary, get("/", (name, "session=other")))


@dataclass
class Variant:
    vary: Vary
    name: str


def test_the_first_entry_that_the_request_selects_is_chosen() -> None:
    """RFC 9111 section 4.1."""
    entries = [Variant((("foo", "1"),), "one"), Variant((("foo", "2"),), "two"), Variant((("foo", "2"),), "old two")]

    assert choose(entries, get("/", ("Foo", "2"))) is entries[1]
    assert choose(entries, get("/", ("Foo", "3"))) is None


def test_a_long_value_of_an_attacker_is_normalised_in_linear_time() -> None:
    value = '"' + '\\"' * 16000

    assert normalised("accept", get("/", ("Accept", value))) == value


def test_headers_in_a_key_are_json() -> None:
    key = primary_key(get("/", ("X-A", 'tv" é')), KeyRules("all", headers=("x-a",)))

    assert json.loads(key.partition(" headers=")[2]) == {"x-a": 'tv" é'}


@pytest.mark.parametrize("path", ["/.", "/a/../b", "/a/%2e%2E/b", "/./a", "/.%2e/"])
def test_dot_segments_are_seen_however_they_are_written(path: str) -> None:
    """RFC 3986 section 5.2.4."""
    assert has_dot_segments(path)


@pytest.mark.parametrize("path", ["/", "/a.b", "/...", "/.well-known/x", "/a..b/%2f..%2f", "/a%252e"])
def test_dots_within_a_segment_are_no_dot_segments(path: str) -> None:
    """RFC 3986 section 5.2.4."""
    assert not has_dot_segments(path)
