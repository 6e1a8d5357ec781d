"""Durations, sizes and addresses: what is understood, what is refused and what the refusal says."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.units import Address, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("10m", 600), ("1.5h", 5400), ("7d", 604800), ("2w", 1209600), ("1h30m", 5400)],
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("64KiB", 65536), ("1.5MiB", 1572864), ("10MB", 10_000_000), ("1gib", 2**30), ("0", 0)],
)
def test_a_size_is_a_number_with_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", [0, 0.0, "0", " 0 "])
def test_zero_needs_no_unit(value: object) -> None:
    assert parse_duration(value) == 0
    assert parse_size(value) == 0


@pytest.mark.parametrize("value", [5, 5.5, "5"])
def test_a_number_without_unit_is_told_that_it_lacks_one(value: object) -> None:
    with pytest.raises(ValueError, match=f"{value} has no unit; write {value}s for seconds"):
        parse_duration(value)
    with pytest.raises(ValueError, match=f"{value} has no unit; write {value}KiB or {value}MiB"):
        parse_size(value)


@pytest.mark.parametrize("value", ["soon", "-5s", "5 parsecs", "", True, None, ["5s"], "5s!", "٥s", "s5"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number with its unit"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["9" * 400 + "d", "36526d"])
def test_a_duration_beyond_a_century_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="longer than a century"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["9" * 400 + "TiB", f"{2**21}TiB"])
def test_a_size_beyond_any_disk_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="larger than any disk"):
        parse_size(value)


@given(st.floats(min_value=0.0001, max_value=3e9))
def test_a_formatted_duration_parses_back_to_itself(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-12)


@given(st.integers(min_value=0, max_value=2**60))
def test_a_formatted_size_parses_back_to_itself(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text())
def test_no_text_makes_a_parser_fail_in_another_way_than_by_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size, Address.parse):
        with contextlib.suppress(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        ("edge.internal:65535", Address("edge.internal", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("value", ["8080", ":8080", "::1:8080", "h:65536", "h:80/x", "http://h:80", 8080, None])
def test_what_is_no_address_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not an address; write HOST:PORT, as in 127\.0\.0\.1:8080"):
        Address.parse(value)
