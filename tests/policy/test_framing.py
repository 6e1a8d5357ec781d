"""Heads that could be understood in two ways are refused (RFC 9112)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestRefused
from proxy.policy.framing import Limits, check_response_framing, parse_head
from proxy.policy.messages import Fields, Request

LIMITS = Limits(max_target=1000, max_head=4000, max_body=10_000)
HOST = ("Host", "example.org")


def parse(
    *lines: tuple[str, str], method: str = "GET", target: str = "/", version: tuple[int, int] = (1, 1)
) -> Request:
    return parse_head(
        method=method,
        target=target,
        version=version,
        fields=Fields(lines),
        scheme="http",
        client="192.0.2.7",
        limits=LIMITS,
    )


def attempt(
    *lines: tuple[str, str], method: str, target: str, version: tuple[int, int]
) -> tuple[RequestRefused | None, Request | None]:
    try:
        return None, parse(*lines, method=method, target=target, version=version)
    except RequestRefused as refused:
        return refused, None


def refusal(
    *lines: tuple[str, str], method: str = "GET", target: str = "/", version: tuple[int, int] = (1, 1)
) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as caught:
        parse(*lines, method=method, target=target, version=version)
    assert str(caught.value)
    return caught.value.status, caught.value.reason


def test_a_plain_head_is_understood_as_it_came() -> None:
    """RFC 9112 section 3."""
    request = parse(("host", "Example.ORG:8080"), ("Accept", "*/*"), target="/a/../%7e?b=c|d")

    assert request == Request(
        "GET",
        "/a/../%7e?b=c|d",
        "example.org:8080",
        Fields([("host", "Example.ORG:8080"), ("Accept", "*/*")]),
        "http",
        "192.0.2.7",
        has_body=False,
    )


# Version and method


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0)])
def test_another_version_is_not_spoken(version: tuple[int, int]) -> None:
    """RFC 9110 section 15.6.6, RFC 9112 section 2.3."""
    assert refusal(HOST, version=version) == (505, "http-version")


@pytest.mark.parametrize("method", ["", "G T", "GET\r\n", "G\xc9T", "G:T"])
def test_a_method_that_is_no_token_is_refused(method: str) -> None:
    """RFC 9112 section 3.1."""
    assert refusal(HOST, method=method) == (400, "bad-method")


def test_connect_is_not_served() -> None:
    """RFC 9110 section 9.3.6."""
    assert refusal(HOST, method="CONNECT", target="example.org:443") == (405, "connect")


def test_an_unknown_method_passes() -> None:
    """RFC 9110 section 16.1."""
    assert parse(HOST, method="BREW").method == "BREW"


# Body length (RFC 9112 section 6)


@pytest.mark.parametrize(
    ("lines", "has_body"),
    [
        ((), False),
        ((("Content-Length", "0"),), False),
        ((("Content-Length", "000"),), False),
        ((("Content-Length", "7"),), True),
        ((("Content-Length", "10000"),), True),
        ((("Content-Length", "0" * 50 + "7"),), True),
        ((("Transfer-Encoding", "chunked"),), True),
        ((("transfer-encoding", "Chunked"),), True),
    ],
)
def test_clear_framing_says_whether_there_is_a_body(lines: tuple[tuple[str, str], ...], has_body: bool) -> None:
    """RFC 9112 section 6.3."""
    assert parse(HOST, *lines, method="POST").has_body is has_body


@pytest.mark.parametrize(
    "lines",
    [
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "5, 5")],
        [("Content-Length", "")],
        [("Content-Length", "+5")],
        [("Content-Length", "-5")],
        [("Content-Length", "0x5")],
        [("Content-Length", "5 ")],
        [("Content-Length", "\xb2")],
        [("Transfer-Encoding", "")],
        [("Transfer-Encoding", "identity")],
        [("Transfer-Encoding", "chunked, chunked")],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked, gzip")],
        [("Transfer-Encoding", "chunked,")],
        [("Transfer-Encoding", ",chunked")],
        [("Transfer-Encoding", "chunked;a=b")],
        [("Transfer-Encoding", "\x0bchunked")],
        [("Transfer-Encoding", "xchunked")],
    ],
)
def test_a_length_that_two_readers_could_differ_about_is_refused(lines: list[tuple[str, str]]) -> None:
    """RFC 9112 section 6.3, RFC 9112 section 11.2."""
    assert refusal(HOST, *lines, method="POST")[0] == 400


def test_a_transfer_coding_that_is_not_understood_is_answered_501() -> None:
    """RFC 9112 section 6.1."""
    assert refusal(HOST, ("Transfer-Encoding", "gzip, chunked")) == (501, "unknown-transfer-coding")
    assert refusal(HOST, ("Transfer-Encoding", "gzip"), ("Transfer-Encoding", "chunked"))[0] == 501


def test_http_1_0_has_no_transfer_encoding() -> None:
    """RFC 9112 section 6.1."""
    assert refusal(HOST, ("Transfer-Encoding", "chunked"), version=(1, 0)) == (400, "transfer-encoding-1.0")


@pytest.mark.parametrize("length", ["10001", "9" * 5000])
def test_a_body_over_the_limit_is_refused_before_it_is_read(length: str) -> None:
    """RFC 9110 section 15.5.14."""
    fields = Fields([HOST, ("Content-Length", length)])
    with pytest.raises(RequestRefused) as caught:
        parse_head(
            method="POST",
            target="/",
            version=(1, 1),
            fields=fields,
            scheme="http",
            client="",
            limits=Limits(1000, 9000, 10_000),
        )

    assert (caught.value.status, caught.value.reason) == (413, "body-too-large")


# Lines


@pytest.mark.parametrize("value", ["a\r\n b", "a\nb", "a\rb", "a\0b", "a\x7f", "\x1b[2J", "\u20ac"])
def test_control_characters_and_folded_lines_are_refused(value: str) -> None:
    """RFC 9110 section 5.5, RFC 9112 section 5.2."""
    assert refusal(HOST, ("X", value)) == (400, "bad-field-value")


@pytest.mark.parametrize("name", ["", "X ", " X", "X:", "X\r\nY", "X\xe9", "X\0"])
def test_a_field_name_that_is_no_token_is_refused(name: str) -> None:
    """RFC 9110 section 5.1, RFC 9112 section 5.1."""
    assert refusal(HOST, (name, "1")) == (400, "bad-field-name")


def test_tabs_and_bytes_above_ascii_are_values() -> None:
    """RFC 9110 section 5.5."""
    assert parse(HOST, ("X", "a\tb\xe9\x80")).fields.all("x") == ["a\tb\xe9\x80"]


# Host (RFC 9112 section 3.2)


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "a.b-c_d~e",
        "127.0.0.1:1",
        "a:65535",
        "a:",
        "[::1]",
        "[::ffff:1.2.3.4]:80",
        "[v1.fe80::a+en1]",
    ],
)
def test_a_host_name_or_address_is_accepted(host: str) -> None:
    """RFC 9110 section 7.2, RFC 3986 section 3.2.2."""
    assert parse(("Host", host)).host == host.lower()


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a/b",
        "u@a",
        "a\\b",
        "a?b",
        "a#b",
        "a:b",
        "a:0",
        "a:65536",
        "a:123456",
        "a:1:2",
        "a:\xb2",
        "::1",
        "[::1",
        "[]",
        "[1]",
        "[::1%25eth0]",
        "[::1%eth0]",
        "[::1]a",
        "[v1]",
        "\xe9.org",
        "%zz",
        "%4",
        ":80",
        "http://a",
        "<a>",
    ],
)
def test_anything_else_is_no_host(host: str) -> None:
    """RFC 9112 section 3.2, RFC 3986 section 3.2.2."""
    assert refusal(("Host", host)) == (400, "bad-host")


def test_a_missing_host_is_refused_except_by_http_1_0() -> None:
    """RFC 9112 section 3.2."""
    assert refusal() == (400, "missing-host")
    assert parse(version=(1, 0)).host == ""


def test_a_repeated_host_is_refused_even_if_equal() -> None:
    """RFC 9112 section 3.2."""
    assert refusal(HOST, ("HOST", "example.org")) == (400, "repeated-host")
    assert refusal(HOST, HOST, version=(1, 0)) == (400, "repeated-host")


# Target (RFC 9112 section 3.2)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "a",
        "?a",
        "*",
        "/a b",
        "/a#b",
        "/a\r\n",
        "/a\0",
        "/\xe9",
        "/\u20ac",
        "example.org:80",
        "mailto:a@b",
        "http:/a",
    ],
)
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    """RFC 9112 section 3.2."""
    assert refusal(HOST, target=target) == (400, "bad-target")


def test_options_may_ask_about_the_server_as_a_whole() -> None:
    """RFC 9110 section 9.3.7, RFC 9112 section 3.2.4."""
    assert parse(HOST, method="OPTIONS", target="*").target == "*"
    assert parse(HOST, method="OPTIONS", target="http://example.org").target == "*"
    assert parse(HOST, method="OPTIONS", target="http://example.org/").target == "/"


@pytest.mark.parametrize(
    ("target", "host", "origin_form"),
    [
        ("http://Other.org/a/../%7e?b", "other.org", "/a/../%7e?b"),
        ("HTTP://other.org:81", "other.org:81", "/"),
        ("http://other.org?b", "other.org", "/?b"),
        ("http://[::1]//a", "[::1]", "//a"),
    ],
)
def test_the_authority_of_an_absolute_target_replaces_host(target: str, host: str, origin_form: str) -> None:
    """RFC 9112 section 3.2.2."""
    request = parse(HOST, ("X", "1"), target=target)

    assert (request.host, request.target) == (host, origin_form)
    assert [value.lower() for value in request.fields.all("host")] == [host]
    assert parse(target=target, version=(1, 0)).host == host


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://u:p@example.org/", "bad-host"),
        ("http:///a", "bad-host"),
        ("http://a:x/", "bad-host"),
        ("http://a\\b/", "bad-host"),
        ("https://example.org/", "bad-target"),
        ("ftp://example.org/", "bad-target"),
    ],
)
def test_an_absolute_target_with_userinfo_or_of_another_scheme_is_refused(target: str, reason: str) -> None:
    """RFC 9110 section 4.2.4, RFC 9112 section 3.2.2."""
    assert refusal(HOST, target=target) == (400, reason)


def test_an_absolute_target_does_not_excuse_a_missing_or_bad_host() -> None:
    """RFC 9112 section 3.2."""
    assert refusal(target="http://a/") == (400, "missing-host")
    assert refusal(("Host", "a b"), target="http://a/") == (400, "bad-host")


# Limits


def test_a_target_of_exactly_the_limit_passes_and_one_byte_more_is_too_long() -> None:
    """RFC 9110 section 15.5.15, RFC 9112 section 3."""
    assert parse(HOST, target="/" + "a" * 999)
    assert refusal(HOST, target="/" + "a" * 1000) == (414, "target-too-long")


def test_a_head_of_exactly_the_limit_passes_and_one_byte_more_is_too_large() -> None:
    """RFC 9110 section 5.4, RFC 6585 section 5."""
    head = len("GET / HTTP/1.1\r\n" + "Host: example.org\r\n" + "X: \r\n")

    assert parse(HOST, ("X", "a" * (4000 - head)))
    assert refusal(HOST, ("X", "a" * (4001 - head))) == (431, "head-too-large")


def test_many_small_lines_count_towards_the_head() -> None:
    """RFC 9110 section 5.4, RFC 6585 section 5."""
    assert refusal(HOST, *[("X", "")] * 1000) == (431, "head-too-large")


# Anything at all

anything = st.text(max_size=12) | st.text("/a:@[]#* \r\n\0%", max_size=12)
named = st.sampled_from(["Host", "Content-Length", "Transfer-Encoding", "X"]) | anything
values = anything | st.sampled_from(["a", "5", "chunked", "example.org", "[::1]:80"])


@given(
    st.sampled_from(["GET", "OPTIONS", "POST"]) | anything,
    anything | anything.map("/".__add__) | anything.map("http://".__add__),
    st.lists(st.tuples(named, values), max_size=4),
    st.sampled_from([(1, 0), (1, 1)]),
)
def test_any_head_is_refused_clearly_or_has_one_meaning(
    method: str, target: str, lines: list[tuple[str, str]], version: tuple[int, int]
) -> None:
    """RFC 9112 section 11.2."""
    refused, request = attempt(*lines, method=method, target=target, version=version)
    if request is None:
        assert refused is not None
        assert refused.status in (400, 405, 413, 414, 431, 501, 505)
        assert refused.reason
        return
    head = "".join(f"{name}{value}" for name, value in request.fields) + request.method + request.target + request.host
    assert not {"\r", "\n", "\0"} & set(head)
    assert request.target.startswith("/") or (request.method, request.target) == ("OPTIONS", "*")
    assert not {" ", "/", "@", "#", "?"} & set(request.host)
    assert not ("content-length" in request.fields and "transfer-encoding" in request.fields)
    assert len(request.fields.all("host")) <= 1


# Responses


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, []),
        (200, [("Content-Length", "5")]),
        (200, [("Content-Length", "5"), ("Content-Length", "5")]),
        (200, [("Content-Length", "5, 5")]),
        (200, [("Transfer-Encoding", "Chunked")]),
        (204, [("Content-Length", "0")]),
        (304, [("Content-Length", "5")]),
        (103, []),
    ],
)
def test_a_clearly_framed_response_passes(status: int, lines: list[tuple[str, str]]) -> None:
    """RFC 9112 section 6.3."""
    assert check_response_framing(status, Fields(lines)) is None


@pytest.mark.parametrize(
    ("status", "lines", "why"),
    [
        (200, [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], "both"),
        (200, [("Content-Length", "5"), ("Content-Length", "6")], "differ"),
        (200, [("Content-Length", "5, 6")], "differ"),
        (200, [("Content-Length", "5,")], "differ"),
        (200, [("Content-Length", "five")], "not a number"),
        (200, [("Content-Length", "")], "not a number"),
        (200, [("Content-Length", "\xb2")], "not a number"),
        (200, [("Transfer-Encoding", "gzip, chunked")], "exactly one chunked"),
        (200, [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], "exactly one chunked"),
        (204, [("Transfer-Encoding", "chunked")], "cannot have a body"),
        (204, [("Content-Length", "5")], "cannot have a body"),
        (100, [("Content-Length", "5")], "cannot have a body"),
    ],
)
def test_an_ambiguous_response_is_described(status: int, lines: list[tuple[str, str]], why: str) -> None:
    """RFC 9112 section 6.3."""
    sentence = check_response_framing(status, Fields(lines))

    assert sentence is not None
    assert why in sentence
