"""YAML as Cachewire reads it: the 1.2 core schema, a place for every value, and no way to exhaust the process."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.source import MAX_SIZE, Setting, parse_document, parse_override, parse_value, read_document
from proxy.errors import ConfigurationError


def refusal(text: str) -> str:
    """What the refusal of a document says."""
    with pytest.raises(ConfigurationError) as caught:
        parse_document(text, "config.yaml")
    return str(caught.value)


def test_every_key_and_every_value_has_its_place() -> None:
    document = parse_document("server:\n  listen: h:1\nroutes:\n  - {name: api}\n", "config.yaml")
    place = document.places["routes", 0, "name"]
    assert (place.label, place.text[place.column : place.column + place.width]) == ("config.yaml:4", "api")
    key = document.keys["server", "listen"]
    assert (key.label, key.text[key.column : key.column + key.width]) == ("config.yaml:2", "listen")


def test_words_that_older_yaml_takes_for_booleans_times_and_dates_are_text() -> None:
    text = "a: on\nb: off\nc: yes\nd: 12:30\ne: 2024-01-01\nf: 1e5\n"
    assert list(parse_document(text, "f").values.values()) == ["on", "off", "yes", "12:30", "2024-01-01", "1e5"]


@pytest.mark.parametrize("address", ["[::]:7231", "[::1]:8080", "[fe80::1%eth0]:80"])
def test_a_bracketed_address_with_a_port_is_text_wherever_it_stands(address: str) -> None:
    text = f"a: {address}  # comment\nb: [{address}, {address}]\nc: {{d: {address}}}\n"
    assert parse_document(text, "f").values == {"a": address, "b": [address, address], "c": {"d": address}}
    place = parse_document(text, "f").places[("a",)]
    assert place.text[place.column : place.column + place.width] == address
    assert parse_value(Setting("admin.listen", address)) == address
    assert parse_value(Setting("x", f"[{address}, '{address}']")) == [address, address]


def test_a_list_of_what_only_looks_like_an_address_stays_a_list() -> None:
    text = "a: [10.0.0.0/8]\nb: ['::1']\nc: [8080]\n"
    assert parse_document(text, "f").values == {"a": ["10.0.0.0/8"], "b": ["::1"], "c": [8080]}


def test_numbers_booleans_and_null_are_themselves() -> None:
    text = "a: 10\nb: -1.5\nc: true\nd: False\ne: null\nf: ~\ng:\nh: '10'\n"
    assert list(parse_document(text, "f").values.values()) == [10, -1.5, True, False, None, None, None, "10"]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "null\n"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    assert parse_document(text, "f").values == {}


def test_a_key_given_twice_is_refused_and_both_places_are_named() -> None:
    report = refusal("server:\n  listen: a:1\n  listen: b:2\n")
    assert "config.yaml:3: server.listen: is given twice" in report
    assert "first given at config.yaml:2" in report


def test_a_merged_mapping_fills_in_what_a_mapping_does_not_say_itself() -> None:
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, x: 3}\ntwo: {<<: [*b]}\n"
    values = parse_document(text, "f").values
    assert values["one"] == {"x": 3, "y": 2}
    assert values["two"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("a: {<<: 5}\n", "config.yaml:1: a: `<<` takes a mapping"),
        ("? [a, b]\n: c\n", "config.yaml:1: a key is not text"),
        ("a: !!timestamp 2024-01-01\n", "config.yaml:1: a: has a YAML tag that is not used here"),
    ],
)
def test_what_yaml_allows_but_no_setting_needs_is_refused(text: str, report: str) -> None:
    assert refusal(text).startswith(report)


def test_aliases_that_expand_without_end_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "expand without end" in refusal("\n".join(lines))


def test_a_node_that_contains_itself_is_refused() -> None:
    assert "expand without end" in refusal("a: &a [*a]\n")


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "a: " + "{b: " * 100_000])
def test_deep_nesting_is_refused_before_it_exhausts_the_stack(text: str) -> None:
    assert "more than 24 levels of nesting" in refusal(text)


def test_a_tag_that_would_construct_an_object_is_refused() -> None:
    assert "a YAML tag that is not used here" in refusal(
        "a: !!python/object/apply:os.system [id]\nb: !!python/name:x x\n"
    )


@pytest.mark.parametrize(
    ("text", "where", "advice"),
    [
        ("server:\n\tlisten: x\n", "config.yaml:2:1", "Indent with spaces"),
        ("a: b: c\n", "config.yaml:1:5", "needs quotes"),
        ("a: [1\nb: 2\n", "config.yaml:2:2", "Check the indentation"),
        ("match: *.png\n", "config.yaml:1:9", "A value that begins with one of *"),
        ("a: @x\n", "config.yaml:1:4", "A value that begins with one of *"),
        ('a: "x\n', "config.yaml:2:1", "A quotation mark is not closed"),
        ("a: 1\n---\nb: 2\n", "config.yaml:2:1", "One file holds one document"),
    ],
)
def test_a_syntax_error_names_line_and_column_and_what_would_be_right(text: str, where: str, advice: str) -> None:
    report = refusal(text)
    assert report.startswith(f"{where}: is not YAML")
    assert advice in report


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "5\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert "config.yaml:1: the file is not a mapping" in refusal(text)


def test_a_control_character_is_refused_with_its_line() -> None:
    assert refusal("a: 1\nb: \x07\n").startswith("config.yaml:2: holds the character U+0007")


def test_a_file_that_is_not_there_is_told_apart_and_a_similar_name_is_offered(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    with pytest.raises(ConfigurationError, match=r"there is no such file\n +Did you mean\s+\S*/config\.yaml\?"):
        read_document(tmp_path / "config.yml")


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: is a directory"):
        read_document(tmp_path)


def test_a_file_larger_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (MAX_SIZE + 1))
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        read_document(path)


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(ConfigurationError, match=r"latin\.yaml:2: is not UTF-8 text"):
        read_document(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(path).values == {"a": 1}


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_in_another_way_than_by_a_report(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse_document(text, "f").values, dict)


PLAIN = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(PLAIN.filter(lambda key: key != "<<"), VALUES, max_size=4))
def test_what_a_yaml_writer_writes_is_read_back_as_it_was(values: dict[str, object]) -> None:
    """Text that only older YAML would resolve is quoted by the writer, so both schemas agree on it."""
    assert parse_document(yaml.safe_dump(values, allow_unicode=True), "f").values == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128MiB", "128MiB"),
        ("12345", "12345"),
        ("", None),
        ("null", None),
        ("[a, 1]", ["a", 1]),
        ("{image/*: 30d}", {"image/*": "30d"}),
        ("'null'", "null"),
        ("@x: #y", "@x: #y"),
    ],
)
def test_a_value_from_outside_is_text_unless_it_is_bracketed_or_quoted_or_null(text: str, value: object) -> None:
    assert parse_value(Setting("a.b", text)) == value


@given(st.text(max_size=50))
def test_no_value_from_outside_fails_in_another_way_than_by_a_report(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        parse_value(Setting("a.b", text))


@pytest.mark.parametrize("text", ["cache.memory", "", "=1"])
def test_an_override_without_key_and_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Write section\.key=value"):
        parse_override(text)
