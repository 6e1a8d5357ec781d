"""What the edge adds to and takes from a message on its way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.forwarding import (
    HOP_BY_HOP,
    REROUTING,
    client_behind,
    end_to_end,
    forwarded_scheme,
    looped,
    to_client,
    to_origin,
    upgrade_to_origin,
)
from proxy.policy.messages import Fields, Request


def ask(*lines: tuple[str, str], host: str = "example.org", client: str = "192.0.2.7", scheme: str = "http") -> Request:
    return Request("GET", "/", host, Fields(lines), scheme, client)


def forwarded(request: Request, *, trusted: bool = False, shared: bool = False) -> Fields:
    return to_origin(request, origin_host=None, trusted=trusted, shared=shared)


# Hop by hop


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_a_field_of_the_connection_goes_no_further(name: str) -> None:
    """RFC 9110 section 7.6.1."""
    assert end_to_end(Fields([(name.title(), "x"), ("Accept", "*/*")])) == Fields([("Accept", "*/*")])


def test_fields_that_connection_lists_go_no_further() -> None:
    """RFC 9110 section 7.6.1."""
    fields = Fields([("Connection", "close, X-A"), ("x-a", "1"), ("X-B", "2"), ("connection", "x-c"), ("X-C", "3")])

    assert end_to_end(fields) == Fields([("X-B", "2")])


@pytest.mark.parametrize(
    "name",
    [
        "Cache-Control",
        "Host",
        "Content-Length",
        "Content-Type",
        "Cookie",
        "Set-Cookie",
        "Authorization",
        "Vary",
        "Range",
    ],
)
def test_connection_cannot_take_a_field_away_that_all_recipients_need(name: str) -> None:
    """RFC 9110 section 7.6.1."""
    assert name in end_to_end(Fields([("Connection", name.lower()), (name, "1")]))


def test_order_case_and_repeated_lines_survive() -> None:
    """RFC 9110 section 5.3."""
    lines = [("X-b", "1"), ("X-A", "2"), ("x-B", "3"), ("Date", "now")]

    assert list(end_to_end(Fields(lines))) == lines


# To the origin


def test_host_comes_first_and_is_the_requests_own_or_the_origins() -> None:
    """RFC 9110 section 7.2."""
    request = ask(("Accept", "*/*"), ("Host", "Example.org"))

    assert next(iter(forwarded(request))) == ("Host", "example.org")
    own = to_origin(request, origin_host="app:3000", trusted=False, shared=False)
    assert own.all("host") == ["app:3000"]
    assert own.all("x-forwarded-host") == ["example.org"]


def test_the_origin_learns_who_asked_for_what() -> None:
    """RFC 7239 section 4, RFC 9110 section 7.6.3, RFC 8586 section 2."""
    fields = forwarded(ask())

    assert fields.all("x-forwarded-for") == ["192.0.2.7"]
    assert fields.all("x-forwarded-host") == ["example.org"]
    assert fields.all("x-forwarded-proto") == ["http"]
    assert fields.all("forwarded") == ["for=192.0.2.7;host=example.org;proto=http"]
    assert fields.all("via") == ["1.1 cachewire"]
    assert fields.all("cdn-loop") == ["cachewire"]


@pytest.mark.parametrize(
    ("client", "host", "element"),
    [
        ("2001:DB8::1", "example.org:8080", 'for="[2001:db8::1]";host="example.org:8080";proto=https'),
        ("fe80::1%eth0", "[::1]", 'for="[fe80::1]";host="[::1]";proto=https'),
        ("", "", "for=unknown;proto=https"),
        ("/run/socket", "a", "for=unknown;host=a;proto=https"),
        ("192.0.2.7", 'a"b\\', 'for=192.0.2.7;host="a\\"b\\\\";proto=https'),
    ],
)
def test_forwarded_quotes_what_is_no_token(client: str, host: str, element: str) -> None:
    """RFC 7239 section 4, RFC 7239 section 6."""
    assert forwarded(ask(client=client, host=host, scheme="https")).all("forwarded") == [element]


def test_a_client_without_an_address_is_not_listed_in_x_forwarded_for() -> None:
    assert "x-forwarded-for" not in forwarded(ask(client=""))


SPOKEN = (
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-For", "10.0.0.2"),
    ("X-Forwarded-Host", "www.example.org"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("X-Real-IP", "10.0.0.1"),
    ("Forwarded", "for=10.0.0.1"),
)


def test_what_a_stranger_says_about_itself_is_replaced() -> None:
    """RFC 7239 section 8."""
    fields = forwarded(ask(*SPOKEN))

    assert fields.all("x-forwarded-for") == ["192.0.2.7"]
    assert fields.all("x-forwarded-host") == ["example.org"]
    assert fields.all("x-forwarded-proto") == ["http"]
    assert fields.all("forwarded") == ["for=192.0.2.7;host=example.org;proto=http"]
    assert "x-forwarded-port" not in fields
    assert "x-real-ip" not in fields


def test_what_a_trusted_proxy_says_about_the_client_is_kept_and_added_to() -> None:
    """RFC 7239 section 4."""
    fields = forwarded(ask(*SPOKEN), trusted=True)

    assert fields.all("x-forwarded-for") == ["10.0.0.1, 10.0.0.2, 192.0.2.7"]
    assert fields.all("x-forwarded-host") == ["www.example.org"]
    assert fields.all("x-forwarded-proto") == ["https"]
    assert fields.all("x-forwarded-port") == ["443"]
    assert fields.all("x-real-ip") == ["10.0.0.1"]
    assert fields.all("forwarded") == ["for=10.0.0.1, for=192.0.2.7;host=example.org;proto=http"]


@pytest.mark.parametrize("trusted", [True, False])
def test_underscores_do_not_smuggle_a_forwarding_field_past_the_edge(trusted: bool) -> None:
    fields = forwarded(
        ask(("X_Forwarded_For", "10.0.0.1"), ("X_Forwarded-Host", "b"), ("X_Ours", "1")), trusted=trusted
    )

    assert "x_forwarded_for" not in fields
    assert "x_forwarded-host" not in fields
    assert "x_ours" in fields
    assert "x_real_ip" not in forwarded(ask(("X_Real_IP", "10.0.0.1")))


@pytest.mark.parametrize("name", sorted(REROUTING))
@pytest.mark.parametrize("trusted", [True, False])
def test_an_answer_that_may_be_stored_cannot_be_changed_by_a_rerouting_field(name: str, trusted: bool) -> None:
    """RFC 9111 section 7.1."""
    for spelling in (name, name.replace("-", "_").upper()):
        assert spelling not in forwarded(ask((spelling, "/admin")), trusted=trusted, shared=True)
    assert name in forwarded(ask((name, "/x")), trusted=True, shared=False)


def test_an_answer_that_may_be_stored_depends_on_host_and_scheme_only_as_the_key_holds_them() -> None:
    """RFC 9111 section 7.1."""
    fields = forwarded(ask(*SPOKEN), trusted=True, shared=True)

    assert fields.all("x-forwarded-host") == ["example.org"]
    assert fields.all("x-forwarded-proto") == ["http"]
    assert fields.all("forwarded") == ["for=192.0.2.7;host=example.org;proto=http"]
    assert fields.all("x-forwarded-for") == ["10.0.0.1, 10.0.0.2, 192.0.2.7"]


def test_a_field_that_the_key_holds_stays() -> None:
    """RFC 9111 section 7.1."""
    request = ask(("X-Forwarded-Prefix", "/app"), ("X-Host", "b"))

    fields = to_origin(request, origin_host=None, trusted=False, shared=True, keyed=("X-Forwarded-Prefix",))
    assert fields.all("x-forwarded-prefix") == ["/app"]
    assert "x-host" not in fields


def test_via_and_cdn_loop_are_added_to_even_if_connection_lists_them() -> None:
    """RFC 9110 section 7.6.3, RFC 8586 section 2."""
    request = ask(("Via", "1.0 a"), ("Via", "2 b"), ("CDN-Loop", "c; x=1"), ("Connection", "via, cdn-loop"))
    fields = to_origin(request, origin_host=None, trusted=False, shared=False, via="edge-1")

    assert fields.all("via") == ["1.0 a, 2 b, 1.1 edge-1"]
    assert fields.all("cdn-loop") == ["c; x=1, edge-1"]


def test_an_upgrade_passes_the_handshake_and_nothing_else_of_the_connection() -> None:
    """RFC 9110 section 7.8, RFC 6455 section 4.1."""
    request = ask(
        ("Connection", "keep-alive, Upgrade, Sec-WebSocket-Key"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "k"),
        ("Sec-WebSocket-Version", "13"),
        ("Keep-Alive", "5"),
    )
    fields = upgrade_to_origin(request, origin_host="app", trusted=False)

    assert next(iter(fields)) == ("Host", "app")
    assert fields.all("connection") == ["Upgrade"]
    assert fields.all("upgrade") == ["websocket"]
    assert fields.all("sec-websocket-key") == ["k"]
    assert fields.all("sec-websocket-version") == ["13"]
    assert "keep-alive" not in fields


@given(st.lists(st.tuples(st.text("XF-orwade_HstVi", min_size=1, max_size=20), st.text(max_size=5)), max_size=5))
def test_exactly_one_line_of_each_forwarding_field_reaches_the_origin(lines: list[tuple[str, str]]) -> None:
    """RFC 7239 section 4, RFC 9110 section 7.2, RFC 9110 section 7.6.3."""
    fields = forwarded(ask(*lines, *SPOKEN))

    for name in ("host", "via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "cdn-loop"):
        assert len(fields.all(name)) == 1


# To the client


def test_the_client_gets_the_origins_own_date_and_a_via() -> None:
    """RFC 9110 section 6.6.1, RFC 9110 section 7.6.3."""
    fields = Fields(
        [("Date", "then"), ("Keep-Alive", "5"), ("Via", "1.1 app"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
    )

    assert list(to_client(fields)) == [
        ("Date", "then"),
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
        ("Via", "1.1 app, 1.1 cachewire"),
    ]
    assert to_client(Fields(), "edge-1") == Fields([("Via", "1.1 edge-1")])


# Loops


@pytest.mark.parametrize(
    "line",
    [
        ("CDN-Loop", "Edge-1"),
        ("CDN-Loop", "other, edge-1; v=1"),
        ("Via", "1.1 edge-1"),
        ("Via", "1.0 a, HTTP/1.1 EDGE-1 (comment)"),
    ],
)
def test_a_request_that_was_here_before_is_recognised(line: tuple[str, str]) -> None:
    """RFC 8586 section 2, RFC 9110 section 7.6.3."""
    assert looped(Fields([("Via", "1.1 b"), line]), "edge-1")


def test_what_the_edge_forwards_is_recognised_as_its_own() -> None:
    """RFC 8586 section 2, RFC 9110 section 7.6.3."""
    fields = to_origin(ask(), origin_host=None, trusted=False, shared=True, via="edge-1")

    assert looped(fields.without("via"), "edge-1")
    assert looped(fields.without("cdn-loop"), "edge-1")


@pytest.mark.parametrize(
    "line", [("CDN-Loop", "edge-10"), ("Via", "1.1 edge-10, edge-1"), ("X", "edge-1"), ("Via", "")]
)
def test_another_edge_is_no_loop(line: tuple[str, str]) -> None:
    """RFC 8586 section 2, RFC 9110 section 7.6.3."""
    assert not looped(Fields([line]), "edge-1")


@pytest.mark.parametrize(
    ("value", "scheme"), [("https", "https"), ("HTTPS, http", "https"), ("http", "http"), ("wss", None), ("", None)]
)
def test_a_trusted_proxys_scheme_is_read_if_it_is_one(value: str, scheme: str | None) -> None:
    assert forwarded_scheme(Fields([("X-Forwarded-Proto", value)])) == scheme


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", '"[2001:db8::7]:4711"', "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxys_own(peer: str, said: str, client: str) -> None:
    """RFC 7239 section 8.1: only what trusted proxies say counts."""
    fields = Fields([("X-Forwarded-For", said)])
    assert client_behind(fields, peer, lambda address: address.startswith("10.")) == client
