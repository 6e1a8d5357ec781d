"""How often a password may be tried, and who is logged in: pure, with the clock as an argument."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui import attempts
from webui.attempts import FREE, Attempts, source
from webui.client_address import client_address
from webui.sessions import MOST_SESSIONS, Sessions

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


def failing(tries: Attempts, address: str, now: float, times: int) -> None:
    for _ in range(times):
        tries.begin(address, now)


def test_some_attempts_are_free_and_then_each_doubles_the_wait() -> None:
    tries, now = Attempts(), 1000.0
    assert [tries.begin(HERE, now).wait for _ in range(FREE)] == [0.0] * FREE
    assert tries.begin(HERE, now).wait == 30.0
    assert tries.begin(HERE, now + 20).wait == 10.0
    for wait in (60.0, 120.0, 240.0):
        now += wait / 2
        assert tries.begin(HERE, now).locked == wait
    for _ in range(20):
        now += 3600
        locked = tries.begin(HERE, now).locked
    assert locked == attempts.LONGEST_WAIT


def test_the_attempt_that_locks_says_so_and_one_that_is_refused_does_not_count() -> None:
    tries = Attempts()
    assert [tries.begin(HERE, 0.0).locked for _ in range(FREE)] == [0.0] * (FREE - 1) + [30.0]
    failing(tries, HERE, 1.0, 100)
    assert tries.begin(HERE, 30.0).locked == 60.0


def test_one_address_does_not_lock_another_one() -> None:
    tries = Attempts()
    failing(tries, HERE, 0.0, 50)
    assert tries.begin(ELSEWHERE, 0.0).wait == 0.0


def test_a_login_that_succeeds_is_forgiven_what_failed_before() -> None:
    tries = Attempts()
    failing(tries, HERE, 0.0, FREE)
    tries.succeeded(HERE)
    assert tries.begin(HERE, 0.0).wait == 0.0


def test_what_was_long_ago_is_forgotten() -> None:
    tries = Attempts()
    failing(tries, HERE, 0.0, FREE)
    assert tries.begin(HERE, 30.0 + attempts.FORGOTTEN_AFTER + 1).locked == 0.0


def test_many_addresses_are_bounded_together_but_never_lock_out_who_was_here_before_nor_this_machine() -> None:
    tries = Attempts()
    tries.begin(HERE, 0.0)
    tries.succeeded(HERE)
    looked_at = 0
    for number in range(2000):
        looked_at += tries.begin(f"203.0.{number // 250}.{number % 250}", 0.0).wait == 0.0
    assert looked_at == attempts.FREE_IN_ALL
    assert tries.begin(ELSEWHERE, 0.0).wait > 0
    assert tries.begin(ELSEWHERE, 61.0).wait == 0.0
    assert tries.begin(HERE, 0.0).wait == 0.0
    assert tries.begin("127.0.0.1", 0.0).wait == 0.0
    assert tries.begin("::1", 0.0).wait == 0.0


def test_what_is_remembered_is_bounded_whatever_addresses_come() -> None:
    tries = Attempts()
    for number in range(attempts.MOST_ADDRESSES + 500):
        tries.begin(f"address {number}", 0.0)
        tries.succeeded(f"address {number}")
        tries.begin(f"other {number}", 0.0)
    assert len(tries._by_address) <= attempts.MOST_ADDRESSES
    assert len(tries._known) <= attempts.MOST_ADDRESSES


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_network_of_one_person_counts_as_one_address(address: str, counted: str) -> None:
    assert source(address) == counted


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5000), st.booleans()), max_size=200))
def test_nobody_ever_waits_longer_than_the_longest_wait(steps: list[tuple[str, float, bool]]) -> None:
    tries, now = Attempts(), 0.0
    for address, pause, right in steps:
        now += pause
        verdict = tries.begin(address, now)
        assert 0 <= verdict.wait <= attempts.LONGEST_WAIT
        if right and not verdict.wait:
            tries.succeeded(address)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.9", ["10.0.0.1"], "192.0.2.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.1, 192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["192.0.2.1,10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["", ","], "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_who_asked_them(peer: str, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded, [ip_network("10.0.0.0/8")]) == address


class TestSessions:
    def test_a_cookie_names_its_session_until_it_is_ended(self) -> None:
        sessions = Sessions(max_age=100, idle=10)
        cookie = sessions.begin("viewer", 0.0)
        session = sessions.find(cookie, 1.0)
        assert session is not None
        assert session.role == "viewer"
        sessions.end(session)
        assert sessions.find(cookie, 1.0) is None
        assert not sessions.renew(session, 1.0)

    def test_it_goes_on_while_it_is_used_but_never_beyond_its_age(self) -> None:
        sessions = Sessions(max_age=100, idle=10)
        cookie = sessions.begin("operator", 0.0)
        for now in range(9, 100, 9):
            assert sessions.find(cookie, now)
        assert sessions.find(cookie, 100.0) is None

    def test_it_ends_when_nobody_uses_it(self) -> None:
        sessions = Sessions(max_age=100, idle=10)
        cookie = sessions.begin("operator", 0.0)
        assert sessions.find(cookie, 10.0) is None
        assert len(sessions) == 0

    def test_a_cookie_that_was_changed_or_signed_elsewhere_is_worth_nothing(self) -> None:
        sessions = Sessions(max_age=100, idle=10)
        cookie = sessions.begin("operator", 0.0)
        named, _, signature = cookie.partition(".")
        other = Sessions(100, 10).begin("operator", 0.0)
        for forged in ("", ".", named, f"{named}.", f"{named}x.{signature}", f"{named}.{signature[:-1]}", other):
            assert sessions.find(forged, 0.0) is None
        assert sessions.find(cookie, 0.0)

    @given(st.text(max_size=200))
    def test_no_cookie_makes_it_stumble(self, cookie: str) -> None:
        assert Sessions(100, 10).find(cookie, 0.0) is None

    def test_one_too_many_ends_the_one_that_was_idle_for_longest(self) -> None:
        sessions = Sessions(max_age=1000, idle=1000)
        first, second = sessions.begin("operator", 0.0), sessions.begin("operator", 0.0)
        sessions.find(first, 1.0)
        for _ in range(MOST_SESSIONS - 1):
            sessions.begin("operator", 2.0)
        assert len(sessions) == MOST_SESSIONS
        assert sessions.find(first, 3.0)
        assert sessions.find(second, 3.0) is None
