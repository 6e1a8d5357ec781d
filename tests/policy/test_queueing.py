"""Which writes may wait, what their answers mean, and how long until the next attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.messages import Fields, Request
from proxy.policy.queueing import QueueRules, delay, fate, fingerprint, idempotency_key, queueable, retry_after

NOW = 1_800_000_000.0


def request(method: str = "POST", *fields: tuple[str, str], target: str = "/messages") -> Request:
    return Request(method, target, "app.example", Fields(fields), has_body=True)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_writes_may_be_queued(method: str) -> None:
    assert queueable(request(method), QueueRules())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "QUERY", "PURGE", "post"])
def test_other_methods_are_never_queued(method: str) -> None:
    assert not queueable(request(method), QueueRules())


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_a_request_with_credentials_is_queued_only_where_the_route_says_so(name: str) -> None:
    asked = request("POST", (name, "secret"))
    assert not queueable(asked, QueueRules())
    assert queueable(asked, QueueRules(credentials=True))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "done"),
        (201, "done"),
        (303, "done"),
        (400, "dead"),
        (409, "dead"),
        (500, "dead"),
        (501, "dead"),
        (502, "retry"),
        (503, "retry"),
        (504, "retry"),
    ],
)
def test_only_a_gateways_complaint_is_worth_another_attempt(status: int, expected: str) -> None:
    assert fate(status) == expected


def test_the_pause_doubles_from_one_second_to_five_minutes() -> None:
    assert [delay(attempts, 1.0) for attempts in (1, 2, 3, 4, 9, 10, 50)] == [1, 2, 4, 8, 256, 300, 300]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_jitter_takes_at_most_half_of_the_pause_away(attempts: int, chance: float) -> None:
    assert delay(attempts, 1.0) / 2 <= delay(attempts, chance) <= delay(attempts, 1.0) <= 300


@given(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1e12))
def test_what_the_origin_asks_for_is_waited_up_to_the_longest_pause(attempts: int, chance: float, asked: float) -> None:
    """RFC 9110 section 10.2.3."""
    assert delay(attempts, chance, asked) >= min(asked, 300)
    assert delay(attempts, chance, asked) <= 300


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_rfc_9110_section_10_2_3(value: str, seconds: float | None) -> None:
    """RFC 9110 section 10.2.3."""
    assert retry_after(Fields([("Retry-After", value)]), NOW) == seconds


def test_no_retry_after_says_nothing() -> None:
    """RFC 9110 section 10.2.3."""
    assert retry_after(Fields(), NOW) is None


def test_the_clients_own_key_is_used_if_it_is_one() -> None:
    """draft-ietf-httpapi-idempotency-key-header section 2.1."""
    assert idempotency_key(request("POST", ("Idempotency-Key", '"k1"'))) == '"k1"'
    assert idempotency_key(request("POST", ("Idempotency-Key", "a"), ("Idempotency-Key", "b"))) is None
    assert idempotency_key(request("POST", ("Idempotency-Key", "x" * 256))) is None
    assert idempotency_key(request()) is None


def test_a_repetition_is_the_same_key_and_everything_else_the_same() -> None:
    """draft-ietf-httpapi-idempotency-key-header section 2.4."""
    first = fingerprint(request("POST", ("Idempotency-Key", "1"), ("User-Agent", "a")), b"body")
    assert first == fingerprint(request("POST", ("Idempotency-Key", "1"), ("User-Agent", "b")), b"body")
    others = [
        fingerprint(request("POST", ("Idempotency-Key", "2")), b"body"),
        fingerprint(request("PUT", ("Idempotency-Key", "1")), b"body"),
        fingerprint(request("POST", ("Idempotency-Key", "1"), target="/other"), b"body"),
        fingerprint(request("POST", ("Idempotency-Key", "1")), b"other"),
        fingerprint(request("POST", ("Idempotency-Key", "1"), ("Cookie", "user=2")), b"body"),
        fingerprint(request("POST", ("Idempotency-Key", "1"), ("Authorization", "user=2")), b"body"),
    ]
    assert len({first, *others}) == 7


def test_without_a_key_nothing_is_known_to_be_a_repetition() -> None:
    assert fingerprint(request(), b"body") is None
