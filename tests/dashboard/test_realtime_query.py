"""The realtime page's questions, as they stand in the URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.sessions import line
from webui.realtime_listing import session_list
from webui.realtime_query import ConversationQuery, SessionQuery

NOW = 1_800_000_000.0


@given(
    st.builds(
        SessionQuery,
        text=st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), max_size=20).map(str.strip),
        sort=st.sampled_from(list(SessionQuery.SORTS)),
        descending=st.booleans(),
        page=st.integers(1, 999),
        transport=st.sampled_from(["", "websocket", "polling"]),
        grade=st.sampled_from(["", "excellent", "good", "poor"]),
        slow=st.booleans(),
    )
)
def test_a_query_is_read_back_from_its_own_address(query: SessionQuery) -> None:
    address = urlsplit(query.path)
    assert address.path == "/realtime"
    assert SessionQuery.parse(dict(parse_qsl(address.query))) == query


def test_the_default_query_needs_no_parameters() -> None:
    assert SessionQuery.parse({}).path == "/realtime"
    assert ConversationQuery.parse({}).path == "/realtime/conversations"
    assert not SessionQuery.parse({}).filtered


@pytest.mark.parametrize(
    ("parameters", "right"),
    [
        ({"sort": "colour"}, "trouble, queued"),
        ({"order": "up"}, "asc or desc"),
        ({"transport": "pigeon"}, "websocket or polling"),
        ({"grade": "bad"}, "excellent, good, poor"),
        ({"slow": "yes"}, "1, or be left out"),
        ({"page": "0"}, "from 1"),
        ({"page": "٣"}, "from 1"),
        ({"q": "x" * 201}, "200 characters"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(parameters: dict[str, str], right: str) -> None:
    with pytest.raises(ValueError, match=right):
        SessionQuery.parse(parameters)


def found(*lines: object, **parameters: str) -> list[str]:
    listed = session_list(lines, SessionQuery.parse(parameters), NOW)  # type: ignore[arg-type] # as the core's lines
    return [row.sid for row in listed.rows]


def test_the_worst_come_first_slow_clients_before_poor_ones() -> None:
    lines = [
        line("fine", grade="excellent", rtt=0.01),
        line("far", grade="poor", rtt=2.0),
        line("silent", grade="poor"),
        line("slow", queued=9000, slow=True),
        line("polls", queued=20_000, transport="polling"),
    ]
    assert found(*lines) == ["slow", "far", "silent", "polls", "fine"]
    assert found(*lines, order="asc")[0] == "fine"


def test_sessions_are_found_by_a_part_of_a_user_or_the_beginning_of_their_id() -> None:
    lines = [line("Abc1", users=["Anna-7"]), line("xAbc", users=["ben"]), line("zzz", users=["joanna"])]
    assert found(*lines, q="anna", sort="users", order="asc") == ["Abc1", "zzz"]
    assert found(*lines, q="Abc") == ["Abc1"]
    assert found(*lines, q="nobody") == []


def test_filters_add_up() -> None:
    lines = [line("a", grade="poor", slow=True, queued=1), line("b", grade="poor", transport="polling"), line("c")]
    assert found(*lines, grade="poor", sort="age") == ["b", "a"]
    assert found(*lines, grade="poor", transport="polling") == ["b"]
    assert found(*lines, slow="1") == ["a"]


def test_a_page_beyond_the_last_is_the_last() -> None:
    lines = [line(f"s{number:03}") for number in range(120)]
    listed = session_list(lines, SessionQuery.parse({"page": "9", "sort": "joined"}), NOW)
    assert (listed.query.page, listed.pages, listed.total, listed.all, len(listed.rows)) == (3, 3, 120, 120, 20)
    whole = [sid for page in "123" for sid in found(*lines, page=page, sort="joined")]
    assert sorted(whole) == [each.sid for each in lines]
