"""Globs: what they match, checked against an independent backtracking matcher, and the questions between them."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.globs import Glob, alternatives


def slowly_matches(pattern: str, text: str) -> bool:
    """What a glob without braces means, told as a recursion on the first thing in it."""
    if not pattern:
        return not text
    if pattern.startswith("/**") and pattern[3:4] in ("", "/"):
        return any(
            slowly_matches(pattern[3:], text[cut:]) for cut in range(len(text) + 1) if cut == 0 or text[0] == "/"
        )
    if pattern.startswith("**"):
        return any(slowly_matches(pattern[2:], text[cut:]) for cut in range(len(text) + 1))
    if pattern.startswith("*"):
        return any(slowly_matches(pattern[1:], text[cut:]) for cut in range(len(text) + 1) if "/" not in text[:cut])
    if pattern.startswith("?"):
        return bool(text) and text[0] != "/" and slowly_matches(pattern[1:], text[1:])
    return text[:1] == pattern[0] and slowly_matches(pattern[1:], text[1:])


plain_globs = st.lists(st.sampled_from(["/", "a", "b", ".", "*", "/**", "?"]), max_size=6).map("".join)
plain_globs = plain_globs.filter(lambda pattern: "***" not in pattern)
paths = st.text("/ab.x", max_size=8)


@given(plain_globs, paths)
def test_a_glob_matches_what_its_definition_says(pattern: str, text: str) -> None:
    assert Glob([pattern], "/").matches(text) == slowly_matches(pattern, text)


@given(st.lists(plain_globs, min_size=1, max_size=3), paths)
def test_braces_mean_any_of_their_alternatives(patterns: list[str], text: str) -> None:
    in_braces = "{" + ",".join(patterns) + "}"

    assert Glob([in_braces], "/").matches(text) == any(slowly_matches(pattern, text) for pattern in patterns)


@given(plain_globs, plain_globs, st.lists(paths, max_size=20))
def test_a_glob_that_includes_another_matches_all_that_it_matches(a: str, b: str, texts: list[str]) -> None:
    if Glob([a], "/").includes(Glob([b], "/")):
        assert all(slowly_matches(a, text) for text in texts if slowly_matches(b, text))


@given(plain_globs, paths)
def test_a_glob_includes_every_plain_text_that_it_matches_and_no_other(pattern: str, text: str) -> None:
    assert Glob([pattern], "/").includes(Glob([text], "/")) == slowly_matches(pattern, text)
    assert Glob([pattern], "/").meets(Glob([text], "/")) == slowly_matches(pattern, text)


@given(plain_globs, plain_globs, paths)
def test_globs_that_share_a_text_meet(a: str, b: str, text: str) -> None:
    if slowly_matches(a, text) and slowly_matches(b, text):
        assert Glob([a], "/").meets(Glob([b], "/"))


@pytest.mark.parametrize(
    ("a", "b"),
    [("/a/*", "/b/*"), ("/*", "/a/b"), ("/**/*.css", "/**/*.js"), ("/a?", "/a"), ("/a/**", "/ab")],
)
def test_globs_without_a_common_text_do_not_meet(a: str, b: str) -> None:
    assert not Glob([a], "/").meets(Glob([b], "/"))


def test_without_a_separator_a_star_spans_everything() -> None:
    glob = Glob(["*.example.org"])

    assert glob.matches("a.b/c.example.org")
    assert not glob.matches("example.org")


def test_only_texts_with_the_given_beginning_count_for_inclusion() -> None:
    assert Glob(["/*"], "/").includes(Glob(["?b", "/a"], "/"), "/")
    assert not Glob(["/*"], "/").includes(Glob(["?b", "/a"], "/"))


def test_a_long_path_cannot_make_matching_slow() -> None:
    glob = Glob(["/**/a*a*a*a*/**/a*a*b/**/c"], "/")

    assert not glob.matches("/" + "a" * 4000 + "/a" * 2000)
    assert len(glob._next) < 200


def test_the_states_that_are_remembered_are_bounded() -> None:
    glob = Glob(["**a" + "?" * 14])
    texts = [format(number, "014b").replace("0", "b").replace("1", "a") for number in range(3000)]

    assert [glob.matches("a" + text) for text in texts] == [True] * len(texts)
    assert len(glob._next) <= 2000


def test_a_question_that_is_too_large_is_answered_on_the_safe_side() -> None:
    a, b = Glob(["**a" + "?" * 15]), Glob(["**a" + "?" * 15 + "{,c}"])

    assert not b.includes(a)
    assert Glob(["**a" + "?" * 15 + "x"]).meets(Glob(["**b" + "?" * 15 + "y"]))


@pytest.mark.parametrize(
    ("pattern", "plain"),
    [
        ("a", ["a"]),
        ("{a,b}c", ["ac", "bc"]),
        ("x{,.min}.js", ["x.js", "x.min.js"]),
        ("{a,b{c,d}}", ["a", "bc", "bd"]),
        ("{a}{b}", ["ab"]),
    ],
)
def test_alternatives_are_spelt_out(pattern: str, plain: list[str]) -> None:
    assert sorted(alternatives(pattern)) == plain


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("/{a,b", "without its `}`"),
        ("/a}", "without its `{`"),
        ("{a,b}" * 9, "more than 256 patterns"),
        ("/***", "three stars"),
        ("/a\0", "null character"),
    ],
)
def test_a_pattern_that_is_no_glob_is_refused_with_what_would_be_right(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Glob([pattern], "/")


@given(st.text("{},*/a", max_size=12))
def test_any_text_is_a_glob_or_a_value_error(pattern: str) -> None:
    with contextlib.suppress(ValueError):
        assert Glob([pattern], "/").matches("/a/a") == any(slowly_matches(p, "/a/a") for p in alternatives(pattern))
