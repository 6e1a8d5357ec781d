"""Passwords as hashes, and the command that makes them."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli import main
from proxy.passwords import PasswordHash

PASSWORD = "correct horse battery stäple"


def test_a_hash_knows_its_password_and_no_other() -> None:
    made = PasswordHash.parse(str(PasswordHash.of(PASSWORD)))
    assert made.verifies(PASSWORD)
    for other in ("", PASSWORD[:-1], PASSWORD.upper(), f"{PASSWORD} ", "x" * 100_000):
        assert not made.verifies(other)


def test_two_hashes_of_one_password_differ_and_show_nothing_of_it() -> None:
    first, second = PasswordHash.of(PASSWORD), PasswordHash.of(PASSWORD)
    assert first.digest != second.digest
    assert PASSWORD not in str(first)
    assert str(first).rpartition("$")[2] not in repr(first)


def test_an_accent_is_the_same_however_a_keyboard_composes_it() -> None:
    assert PasswordHash.of("Ga\u0308ste-WLAN").verifies("G\u00e4ste-WLAN")


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025])
def test_a_password_that_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="has 8 to 1024 characters"):
        PasswordHash.of(password)


@pytest.mark.parametrize(
    "parameters",
    [
        "2$8$1",
        "16383$8$1",
        "0$8$1",
        "16384$0$1",
        "16384$8$0",
        "16384$8$17",
        "1048576$8$1",
        "4194304$99$1",
        "16384$-1$1",
    ],
)
def test_parameters_that_are_weak_or_would_take_the_machines_memory_are_refused(parameters: str) -> None:
    with pytest.raises(ValueError, match="cachewire password"):
        PasswordHash.parse(f"scrypt${parameters}$c2FsdHNhbHRzYWx0$" + "A" * 43)


@given(
    st.text(max_size=200)
    | st.from_regex(r"scrypt\$[0-9]{0,8}\$[0-9]{0,3}\$[0-9]{0,3}\$[\w=-]*\$[\w=-]*", fullmatch=True)
)
def test_no_text_makes_the_parser_stumble_and_none_is_repeated(text: str) -> None:
    told = ""
    try:
        parsed = PasswordHash.parse(text)
    except ValueError as error:
        told = str(error)
    else:
        assert 128 * parsed.n * parsed.r <= 256 * 2**20
    assert len(text) < 5 or text not in told


def test_the_command_prints_a_hash_and_nothing_else_on_standard_output() -> None:
    result = CliRunner().invoke(main, ["password", "--stdin"], input=f"{PASSWORD}\nmore\n")
    assert result.exit_code == 0
    assert re.fullmatch(r"scrypt\$\S+\n", result.stdout)
    assert PasswordHash.parse(result.stdout).verifies(PASSWORD)
    assert "admin:\n    password_hash:" in result.stderr
    assert PASSWORD not in result.output


def test_the_command_asks_twice_and_again_until_both_are_the_same() -> None:
    typed = f"{PASSWORD}\nanother one\n{PASSWORD}\n{PASSWORD}\n"
    result = CliRunner().invoke(main, ["password"], input=typed)
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert PasswordHash.parse(result.stdout.strip().splitlines()[-1]).verifies(PASSWORD)


def test_the_command_refuses_what_is_too_short_without_a_trace() -> None:
    result = CliRunner().invoke(main, ["password", "--stdin"], input="short\n")
    assert result.exit_code == 1
    assert result.stderr == "Error: a password has 8 to 1024 characters\n"
