"""Names that nobody can guess."""

from __future__ import annotations

import re

from realtime.names import Names


def test_names_are_all_different_and_made_of_what_urls_take() -> None:
    names = Names()
    made = [names() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", name) for name in made)


def test_two_that_make_names_make_no_name_twice() -> None:
    one, other = Names(), Names()
    assert not {one() for _ in range(1000)} & {other() for _ in range(1000)}
