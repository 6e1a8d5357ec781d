"""For how long an answer is fresh, by whatever the origin says of it, and what it says of its age."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from tests.edge import Clock, EdgeUnderTest, Received, edge_before
from tests.origin import ScriptedOrigin, etagged, head, raw, reply

START = Clock().seconds
"""Fri, 15 Jan 2027 08:00:00 GMT, when every test begins."""

DATE = ("Date", "Fri, 15 Jan 2027 08:00:00 GMT")
MODIFIED_LONG_AGO = ("Last-Modified", "Fri, 15 Jan 2027 07:43:20 GMT")
"""A thousand seconds before: a hundred seconds of heuristic freshness."""


def at(seconds: float) -> str:
    """The moment so many seconds after the start, as a Date has it."""
    return formatdate(START + seconds, usegmt=True)


def is_hit(answer: Received) -> bool:
    return answer.cache_status.startswith("cachewire; hit")


async def fresh_for(edge: EdgeUnderTest, origin: ScriptedOrigin, *headers: tuple[str, str], status: int = 200) -> int:
    """For how many seconds after its arrival an answer with these fields is used without asking; -1 if not stored."""
    origin.on("/a", reply(status, headers=list(headers)))
    await edge.get("/a")
    left = next((p for p in (await edge.get("/a")).cache_status.split("; ") if p.startswith("ttl=")), "ttl=-1")
    seconds = max(-1, int(left.removeprefix("ttl=")))
    asked = origin.count()
    if seconds > 0:
        edge.clock.advance(seconds - 1)
        assert is_hit(await edge.get("/a"))
        assert origin.count() == asked
        edge.clock.advance(1)
    assert not is_hit(await edge.get("/a"))
    assert origin.count() == asked + 1
    return seconds


class TestDate:
    async def test_one_that_is_missing_is_added_where_it_arrives(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 6.6.1."""
        origin.on("/a", reply())
        async with edge_before(origin) as edge:
            assert (await edge.get("/a"))["Date"] == at(0)

    async def test_a_hit_has_the_one_of_its_arrival(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 6.6.1."""
        origin.on("/a", reply(headers={"Cache-Control": "max-age=60"}))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(10)
            answer = await edge.get("/a")
            assert (answer["Date"], answer["Age"]) == (at(0), "10")

    async def test_the_origins_own_stays(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 6.6.1."""
        origin.on("/a", reply(headers=[("Date", at(-5)), ("Cache-Control", "max-age=60")]))
        async with edge_before(origin) as edge:
            for _ in range(2):
                assert (await edge.get("/a"))["Date"] == at(-5)

    async def test_how_long_ago_it_is_counts_as_age(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.3: the apparent age."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Date", at(-20)), ("Cache-Control", "max-age=60")) == 40

    async def test_one_in_the_future_makes_nothing_younger(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.3."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Date", at(600)), ("Cache-Control", "max-age=60")) == 60

    async def test_one_that_comes_with_a_304_begins_a_new_life(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.4."""
        origin.on("/a", etagged('"v1"', b"one", [("Cache-Control", "max-age=60")]))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(100)
            await edge.get("/a")
            edge.clock.advance(10)
            answer = await edge.get("/a")
            assert (answer["Date"], answer["Age"], is_hit(answer)) == (at(100), "10", True)


class TestExpires:
    @pytest.mark.parametrize(
        "expires",
        [
            "Fri, 15 Jan 2027 08:01:00 GMT",
            "Friday, 15-Jan-27 08:01:00 GMT",
            "Fri Jan 15 08:01:00 2027",
            "fri, 15 jan 2027 08:01:00 gmt",
        ],
    )
    async def test_it_is_a_lifetime_in_every_form_of_a_date(self, origin: ScriptedOrigin, expires: str) -> None:
        """RFC 9111 section 5.3 and RFC 9110 section 5.6.7."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, DATE, ("Expires", expires)) == 60

    @pytest.mark.parametrize(
        "expires",
        [
            "0",
            "-1",
            "",
            "rubbish",
            "Fri, 15 Jan 2027 09:00:00",
            "Fri, 15 Jan 2027 09:00:00 UTC",
            "Fri, 15 Jan 2027 09:00:00 +0000",
            "Fri, 15 Jan 2027 25:00:00 GMT",
            "Fri, 31 Feb 2027 09:00:00 GMT",
            "Fri, 15-Jan-2027 09:00:00 GMT",
            "2027-01-15T09:00:00Z",
            "1800003600",
            "Fri, 15 Jan 2027 07:59:59 GMT",
            "Friday, 15-Jan-78 08:01:00 GMT",
        ],
    )
    async def test_rubbish_and_the_past_are_no_lifetime_and_no_reason_to_guess_one(
        self, origin: ScriptedOrigin, expires: str
    ) -> None:
        """RFC 9111 section 5.3: an invalid date, "especially including the value "0"", is in the past."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, DATE, MODIFIED_LONG_AGO, ("Expires", expires)) <= 0

    async def test_it_counts_from_date_and_not_from_the_edges_clock(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.1."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Date", at(600)), ("Expires", at(660))) == 60
            edge.clock.seconds = START
            await edge.ask("POST", "/a")
            assert await fresh_for(edge, origin, ("Date", at(-600)), ("Expires", at(-540))) <= 0

    async def test_without_a_date_it_counts_from_its_arrival(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 6.6.1."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Expires", at(60))) == 60

    @pytest.mark.parametrize("cache_control", ["max-age=30", "s-maxage=30", "max-age=600, s-maxage=30", "MAX-AGE=30"])
    async def test_max_age_and_s_maxage_go_before_it(self, origin: ScriptedOrigin, cache_control: str) -> None:
        """RFC 9111 section 4.2.1."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Expires", at(900)), ("Cache-Control", cache_control)) == 30

    @pytest.mark.parametrize("cache_control", ["max-age=x", "max-age=-1", "max-age=1.5", "max-age", "max-age = 60"])
    async def test_a_max_age_that_is_no_number_makes_nothing_fresh(
        self, origin: ScriptedOrigin, cache_control: str
    ) -> None:
        """RFC 9111 section 4.2.1: invalid freshness information is best taken as stale."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, MODIFIED_LONG_AGO, ("Cache-Control", cache_control)) <= 0


class TestTargetedField:
    @pytest.mark.parametrize(
        ("targeted", "cache_control"),
        [
            ("max-age=30", "max-age=600"),
            ("max-age=30", "no-store"),
            ("max-age=30", "private"),
            ("max-age=30", "s-maxage=600"),
            ("s-maxage=30, max-age=90", "max-age=600"),
            ("max-age=30;ext=1", "max-age=600"),
        ],
    )
    async def test_it_goes_before_cache_control_and_expires(
        self, origin: ScriptedOrigin, targeted: str, cache_control: str
    ) -> None:
        """RFC 9213 section 2.2."""
        async with edge_before(origin) as edge:
            fields = [("Cache-Control", cache_control), ("Expires", at(900)), ("CDN-Cache-Control", targeted)]
            assert await fresh_for(edge, origin, *fields) == 30

    @pytest.mark.parametrize("targeted", ["no-store", "private", "no-cache", "max-age=0"])
    async def test_it_forbids_what_the_others_allow(self, origin: ScriptedOrigin, targeted: str) -> None:
        """RFC 9213 section 2.2."""
        async with edge_before(origin) as edge:
            fields = [("Cache-Control", "max-age=600"), ("Expires", at(900)), ("CDN-Cache-Control", targeted)]
            assert await fresh_for(edge, origin, *fields) <= 0

    async def test_expires_is_not_looked_at_beside_it(self, origin: ScriptedOrigin) -> None:
        """RFC 9213 section 2.2."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Expires", at(900)), ("CDN-Cache-Control", "must-revalidate")) <= 0

    @pytest.mark.parametrize("targeted", ["", "max-age", "max-age=30, max age", "max-age=30,,", "&", "Max-Age=30", '"'])
    async def test_it_is_ignored_where_it_says_nothing_that_can_be_understood(
        self, origin: ScriptedOrigin, targeted: str
    ) -> None:
        """RFC 9213 section 2.1, RFC 9213 section 2.2."""
        async with edge_before(origin) as edge:
            fields = [("Cache-Control", "max-age=60"), ("CDN-Cache-Control", targeted)]
            expected = 0 if targeted == "max-age" else 60  # a valid dictionary, whose max-age is of another type
            assert max(0, await fresh_for(edge, origin, *fields)) == expected

    async def test_it_is_passed_on_with_every_answer(self, origin: ScriptedOrigin) -> None:
        """RFC 9213 section 2.2: caches behind this one may be meant, too."""
        fields = {"Cache-Control": "no-store", "CDN-Cache-Control": "max-age=60"}
        origin.on("/a", reply(headers=fields))
        async with edge_before(origin) as edge:
            for reason in ("fwd=uri-miss", "hit"):
                answer = await edge.get("/a")
                assert answer.cache_status.startswith(f"cachewire; {reason}")
                assert {name: answer[name] for name in fields} == fields


class TestAge:
    @pytest.mark.parametrize(
        ("value", "age"),
        [
            ("20", 20),
            ("0", 0),
            ("0020", 20),
            ("20, 50", 20),
            ("", 0),
            ("abc", 0),
            ("-20", 0),
            ("+20", 0),
            ("20.5", 0),
            ("2e1", 0),
            ("20s", 0),
            ('"20"', 0),
            ("20;x", 0),
            ("0x14", 0),
        ],
    )
    async def test_it_shortens_what_is_left_unless_it_is_no_number(
        self, origin: ScriptedOrigin, value: str, age: int
    ) -> None:
        """RFC 9111 section 5.1: the first of a list counts, and what is invalid is ignored."""
        async with edge_before(origin) as edge:
            fields = [DATE, ("Cache-Control", "max-age=60"), ("Age", value)]
            assert await fresh_for(edge, origin, *fields) == 60 - age

    async def test_of_several_lines_the_first_counts(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.1."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Cache-Control", "max-age=60"), ("Age", "20"), ("Age", "50")) == 40

    @pytest.mark.parametrize("value", ["60", "61", str(2**31), str(2**64), "9" * 400])
    async def test_one_beyond_the_lifetime_makes_it_stale_from_the_start(
        self, origin: ScriptedOrigin, value: str
    ) -> None:
        """RFC 9111 section 1.2.2, RFC 9111 section 4.2.3."""
        async with edge_before(origin) as edge:
            assert await fresh_for(edge, origin, ("Cache-Control", "max-age=60"), ("Age", value)) <= 0

    async def test_it_goes_on_from_what_it_was_and_is_told_once(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.2.3."""
        origin.on("/a", reply(headers={"Cache-Control": "max-age=60", "Age": "20"}))
        async with edge_before(origin) as edge:
            assert (await edge.get("/a"))["Age"] == "20"
            edge.clock.advance(15)
            assert [value for name, value in (await edge.get("/a")).headers if name == "Age"] == ["35"]

    async def test_an_answer_straight_from_the_origin_has_none(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 5.1: it implies that the origin did not make the answer for this request."""
        origin.on("/a", reply(headers={"Cache-Control": "max-age=60"}))
        async with edge_before(origin) as edge:
            assert "Age" not in await edge.get("/a")
            assert (await edge.get("/a"))["Age"] == "0"


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
async def test_a_status_that_may_be_cached_by_itself_has_a_heuristic_lifetime(
    origin: ScriptedOrigin, status: int
) -> None:
    """RFC 9111 section 4.2.2 and RFC 9110 section 15.1."""
    async with edge_before(origin) as edge:
        assert await fresh_for(edge, origin, DATE, MODIFIED_LONG_AGO, status=status) == 100


async def test_no_other_status_is_stored_without_being_told_to(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3, RFC 9110 section 15.1."""
    async with edge_before(origin) as edge:
        for status in (201, 202, 299, 302, 303, 307, 400, 401, 403, 409, 429, 451, 499, 500, 502, 503, 504, 599):
            origin.on("/a", reply(status, headers=[DATE, MODIFIED_LONG_AGO]))
            answer = await edge.get("/a")
            assert answer.status == status
            assert "stored" not in answer.cache_status.split("; "), status
        assert list(edge.app.store.entries()) == []


async def test_what_was_never_modified_as_far_as_known_has_no_heuristic_lifetime(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.2.2."""
    async with edge_before(origin) as edge:
        assert await fresh_for(edge, origin, DATE) <= 0
        await edge.ask("POST", "/a")
        assert await fresh_for(edge, origin, DATE, ("Last-Modified", "yesterday")) <= 0


@pytest.mark.parametrize("lifetime", ["max-age", "s-maxage", "Expires"])
async def test_any_status_has_the_lifetime_that_it_states(origin: ScriptedOrigin, lifetime: str) -> None:
    """RFC 9111 section 3: for one that is final, an explicit lifetime is enough."""
    stated = ("Expires", at(60)) if lifetime == "Expires" else ("Cache-Control", f"{lifetime}=60")
    statuses = (299, 303, 400, 403, 499, 500, 502, 503, 599)
    async with edge_before(origin) as edge:
        for status in statuses:
            origin.on(f"/{status}", reply(status, b"%d" % status, [stated]))
            await edge.get(f"/{status}")
        edge.clock.advance(59)
        for status in statuses:
            answer = await edge.get(f"/{status}")
            assert (answer.status, answer.body, is_hit(answer)) == (status, b"%d" % status, True)
        edge.clock.advance(1)
        for status in statuses:
            assert "fwd=stale" in (await edge.get(f"/{status}")).cache_status, status


async def test_a_reason_of_the_origins_own_survives_in_the_store(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 4."""
    origin.on("/a", raw(head(299, {"Cache-Control": "max-age=60", "Content-Length": "0"}, reason="Quite Fine")))
    async with edge_before(origin) as edge:
        for _ in range(2):
            assert (await edge.get("/a")).reason == "Quite Fine"
