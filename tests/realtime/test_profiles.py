"""The loader of profiles, with a clock that stands still and an application that is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from realtime.profiles import MOST_PARTS, Profiles, RefusedTogether, together


class Application:
    """Knows every id but `nobody`; counts what it is asked, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.down: Exception | None = None
        self.version = 1

    async def fetch(self, ids: Sequence[str]) -> Mapping[str, Any]:
        self.asked.append(list(ids))
        version = self.version
        await self.answers.wait()
        if self.down is not None:
            raise self.down
        return {id_: {"id": id_, "version": version} for id_ in ids if id_ != "nobody"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def application() -> Application:
    return Application()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def profiles(application: Application, clock: Clock) -> Profiles:
    return Profiles(application.fetch, now=clock, max_ids=3, max_entries=4)


async def _until_asked(application: Application, times: int = 1) -> None:
    while len(application.asked) < times:
        await asyncio.sleep(0)


async def test_only_ids_that_are_not_cached_are_asked(profiles: Profiles, application: Application) -> None:
    await profiles.load(["ana"])
    loaded = await profiles.load(["ben", "ana"])
    assert application.asked == [["ana"], ["ben"]]
    assert loaded == {"ana": {"id": "ana", "version": 1}, "ben": {"id": "ben", "version": 1}}
    assert (profiles.hits, profiles.misses, profiles.requests) == (1, 2, 2)


async def test_nothing_is_asked_for_nobody(profiles: Profiles, application: Application) -> None:
    assert await profiles.load([]) == {}
    assert application.asked == []


async def test_what_is_wanted_in_one_step_of_the_loop_is_asked_together(
    profiles: Profiles, application: Application
) -> None:
    loaded = await asyncio.gather(profiles.load(["ana"]), profiles.load(["ben", "ana"]), profiles.load(["cem"]))
    assert application.asked == [["ana", "ben", "cem"]]
    assert [sorted(each) for each in loaded] == [["ana"], ["ana", "ben"], ["cem"]]


async def test_who_wants_what_is_being_asked_waits_for_that_answer(
    profiles: Profiles, application: Application
) -> None:
    application.answers.clear()
    first = asyncio.create_task(profiles.load(["ana"]))
    await _until_asked(application)
    second = asyncio.create_task(profiles.load(["ana", "ben"]))
    await _until_asked(application, 2)
    application.answers.set()
    assert (await first)["ana"] is (await second)["ana"]
    assert application.asked == [["ana"], ["ben"]]


async def test_more_ids_than_one_request_may_have_are_asked_in_parts_at_the_same_time(
    profiles: Profiles, application: Application
) -> None:
    application.answers.clear()
    loading = asyncio.create_task(profiles.load("abcdefg"))
    await _until_asked(application, 3)
    application.answers.set()
    assert sorted(await loading) == list("abcdefg")
    assert application.asked == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


async def test_an_answer_is_used_for_five_minutes(profiles: Profiles, application: Application, clock: Clock) -> None:
    await profiles.load(["ana"])
    clock.now += 299.9
    await profiles.load(["ana"])
    assert len(application.asked) == 1
    clock.now += 0.1
    await profiles.load(["ana"])
    assert len(application.asked) == 2


async def test_a_shorter_lifetime_applies_to_what_is_cached_already(
    profiles: Profiles, application: Application, clock: Clock
) -> None:
    await profiles.load(["ana"])
    clock.now += 130
    profiles.ttl = 120
    await profiles.load(["ana"])
    assert len(application.asked) == 2


async def test_that_somebody_does_not_exist_is_remembered_for_a_short_time(
    profiles: Profiles, application: Application, clock: Clock
) -> None:
    assert await profiles.load(["nobody"]) == {}
    assert await profiles.load(["nobody"]) == {}
    assert len(application.asked) == 1
    clock.now += 10
    assert await profiles.load(["nobody"]) == {}
    assert len(application.asked) == 2


async def test_a_failure_is_told_to_all_who_wait_and_not_cached(profiles: Profiles, application: Application) -> None:
    application.down = ConnectionError("the application is away")
    outcomes = await asyncio.gather(profiles.load(["ana"]), profiles.load(["ana"]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    assert (len(application.asked), profiles.failures, len(profiles)) == (1, 1, 0)
    application.down = None
    assert "ana" in await profiles.load(["ana"])


async def test_an_answer_that_is_not_a_mapping_is_a_failure(clock: Clock) -> None:
    async def fetch(ids: Sequence[str]) -> Any:
        return list(ids)

    profiles = Profiles(fetch, now=clock)
    with pytest.raises(AttributeError):
        await profiles.load(["ana"])
    assert profiles.failures == 1


async def test_ids_that_were_not_asked_for_are_not_believed(clock: Clock) -> None:
    async def fetch(ids: Sequence[str]) -> Mapping[str, Any]:
        return {**dict.fromkeys(ids, "asked"), "mallory": "not asked"}

    profiles = Profiles(fetch, now=clock)
    assert await profiles.load(["ana"]) == {"ana": "asked"}
    assert profiles.known(["mallory"]) == {}


async def test_while_the_application_is_away_what_is_at_hand_may_be_used_however_old(
    profiles: Profiles, application: Application, clock: Clock
) -> None:
    await profiles.load(["ana", "nobody"])
    clock.now += 10_000
    application.down = ConnectionError()
    with pytest.raises(ConnectionError):
        await profiles.load(["ana", "ben"])
    assert profiles.known(["ana", "ben", "nobody"]) == {"ana": {"id": "ana", "version": 1}}


async def test_the_longest_unused_leave_when_there_are_too_many(profiles: Profiles, application: Application) -> None:
    for id_ in "abcd":
        await profiles.load([id_])
    await profiles.load(["a"])
    await profiles.load(["e"])
    assert sorted(profiles.known("abcde")) == ["a", "c", "d", "e"]
    assert len(profiles) == 4


async def test_after_a_clear_everything_is_asked_anew(profiles: Profiles, application: Application) -> None:
    await profiles.load(["ana"])
    profiles.clear()
    assert len(profiles) == 0
    await profiles.load(["ana"])
    assert len(application.asked) == 2


async def test_an_answer_that_was_asked_for_before_a_clear_is_not_cached(
    profiles: Profiles, application: Application
) -> None:
    application.answers.clear()
    loading = asyncio.create_task(profiles.load(["ana"]))
    await _until_asked(application)
    profiles.clear()
    application.answers.set()
    assert "ana" in await loading
    assert profiles.known(["ana"]) == {}


async def test_who_comes_after_a_clear_does_not_join_those_who_asked_before(
    profiles: Profiles, application: Application
) -> None:
    application.answers.clear()
    before = asyncio.create_task(profiles.load(["ana"]))
    await _until_asked(application)
    profiles.clear()
    application.version = 2
    after = asyncio.create_task(profiles.load(["ana"]))
    await _until_asked(application, 2)
    application.answers.set()
    assert (await before)["ana"]["version"] == 1
    assert (await after)["ana"]["version"] == 2
    assert profiles.known(["ana"])["ana"]["version"] == 2


async def test_one_who_stops_waiting_does_not_spoil_it_for_the_others(
    profiles: Profiles, application: Application
) -> None:
    application.answers.clear()
    impatient = asyncio.create_task(profiles.load(["ana"]))
    patient = asyncio.create_task(profiles.load(["ana"]))
    await _until_asked(application)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    application.answers.set()
    assert "ana" in await patient


async def test_closing_ends_all_waiting_whether_the_application_was_asked_yet_or_not(
    profiles: Profiles, application: Application
) -> None:
    application.answers.clear()
    waiting = asyncio.create_task(profiles.load(["ana"]))
    await _until_asked(application)
    late = asyncio.create_task(profiles.load(["ben"]))
    later = asyncio.create_task(profiles.load(["cem"]))
    await asyncio.sleep(0)  # their wish is noted, and not told to the application yet
    await profiles.close()
    outcomes = await asyncio.gather(waiting, late, later, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
    assert len(profiles) == 0


class TestAtHand:
    async def test_is_all_that_comes_within_patience(self, profiles: Profiles) -> None:
        assert await profiles.at_hand(["ana", "nobody"], 60.0) == {"ana": {"id": "ana", "version": 1}}

    async def test_is_what_was_known_last_when_the_application_hangs(
        self, profiles: Profiles, application: Application, clock: Clock
    ) -> None:
        await profiles.load(["ana"])
        clock.now += 1000.0
        application.answers.clear()
        assert await profiles.at_hand(["ana", "ben"], 0.0) == {"ana": {"id": "ana", "version": 1}}

    async def test_what_took_too_long_serves_the_next_who_asks(
        self, profiles: Profiles, application: Application
    ) -> None:
        application.answers.clear()
        assert await profiles.at_hand(["ana"], 0.0) == {}
        loading = asyncio.create_task(profiles.load(["ana"]))
        application.answers.set()
        await loading
        assert "ana" in await profiles.at_hand(["ana"], 0.0)
        assert len(application.asked) == 1

    @pytest.mark.parametrize("hangs", [False, True])
    async def test_of_what_could_not_be_had_nobody_asks_or_waits_again_for_five_seconds(
        self, profiles: Profiles, application: Application, clock: Clock, hangs: bool
    ) -> None:
        application.down = ConnectionError()
        if hangs:
            application.answers.clear()
        await profiles.at_hand(["ana"], 0.01)
        application.answers.set()
        await _until_failed(profiles, 1)
        application.down = None
        clock.now += 4.9
        async with asyncio.timeout(5):
            assert await profiles.at_hand(["ana"], 60.0) == {}
        assert len(application.asked) == 1
        clock.now += 0.2
        assert "ana" in await profiles.at_hand(["ana"], 60.0)

    async def test_one_that_cannot_be_had_does_not_keep_others_from_being_asked(
        self, profiles: Profiles, application: Application
    ) -> None:
        application.down = ConnectionError()
        await profiles.at_hand(["ana"], 60.0)
        application.down = None
        assert list(await profiles.at_hand(["ana", "ben"], 60.0)) == ["ben"]
        assert application.asked == [["ana"], ["ben"]]

    async def test_what_is_wanted_anew_is_asked_though_it_is_cached(
        self, profiles: Profiles, application: Application
    ) -> None:
        await profiles.load(["ana"])
        application.version = 2
        assert (await profiles.at_hand(["ana", "ben"], 60.0, anew=True))["ana"]["version"] == 2
        assert application.asked == [["ana"], ["ana", "ben"]]
        assert profiles.known(["ana"])["ana"]["version"] == 2

    async def test_what_is_wanted_anew_does_not_come_from_a_question_asked_before(
        self, profiles: Profiles, application: Application
    ) -> None:
        application.answers.clear()
        before = asyncio.create_task(profiles.load(["ana"]))
        await _until_asked(application)
        application.version = 2
        after = asyncio.create_task(profiles.at_hand(["ana"], 60.0, anew=True))
        await _until_asked(application, 2)
        application.answers.set()
        assert ((await before)["ana"]["version"], (await after)["ana"]["version"]) == (1, 2)
        assert profiles.known(["ana"])["ana"]["version"] == 2

    async def test_what_several_want_anew_in_one_step_of_the_loop_is_asked_once(
        self, profiles: Profiles, application: Application
    ) -> None:
        await asyncio.gather(*(profiles.at_hand(["ana"], 60.0, anew=True) for _ in range(3)))
        assert application.asked == [["ana"]]

    async def test_an_id_that_is_refused_alone_is_left_out_of_what_is_wanted_anew_for_ten_seconds(
        self, clock: Clock
    ) -> None:
        application = Choosy()
        profiles = Profiles(application.fetch, now=clock)
        await profiles.at_hand(["ana", "a bad one"], 60.0, anew=True)
        application.asked.clear()
        clock.now += 9.9
        assert list(await profiles.at_hand(["ana", "a bad one"], 60.0, anew=True)) == ["ana"]
        clock.now += 0.2
        assert list(await profiles.at_hand(["a bad one"], 60.0, anew=True)) == []
        assert application.asked == [["ana"], ["a bad one"]]


async def _until_failed(profiles: Profiles, times: int) -> None:
    while profiles.failures < times:
        await asyncio.sleep(0)


async def test_likes_and_profiles_are_asked_at_the_same_time(clock: Clock) -> None:
    users, likes = Application(), Application()
    users.answers.clear()
    likes.answers.clear()
    loading = asyncio.create_task(
        together((Profiles(users.fetch, now=clock), ["ana"]), (Profiles(likes.fetch, now=clock), ["r1", "r2"]))
    )
    await _until_asked(users)
    await _until_asked(likes)
    users.answers.set()
    likes.answers.set()
    people, counts = await loading
    assert (list(people), list(counts)) == (["ana"], ["r1", "r2"])


async def test_what_one_of_two_loaders_brought_is_at_hand_when_the_other_failed(clock: Clock) -> None:
    users, likes = Application(), Application()
    likes.down = ConnectionError()
    profiles = Profiles(users.fetch, now=clock)
    with pytest.raises(ConnectionError):
        await together((Profiles(likes.fetch, now=clock), ["r1"]), (profiles, ["ana"]))
    assert "ana" in profiles.known(["ana"])


async def test_what_is_all_cached_is_loaded_together_without_asking(
    profiles: Profiles, application: Application
) -> None:
    await profiles.load(["ana", "ben"])
    assert await together((profiles, ["ana"]), (profiles, ["ben"])) == [
        {"ana": {"id": "ana", "version": 1}},
        {"ben": {"id": "ben", "version": 1}},
    ]
    assert len(application.asked) == 1


class Choosy(Application):
    """Refuses every request that has an id with a blank."""

    async def fetch(self, ids: Sequence[str]) -> Mapping[str, Any]:
        known = await super().fetch(ids)
        if any(" " in id_ for id_ in ids):
            raise RefusedTogether("400")
        return known


async def test_an_id_that_the_application_refuses_keeps_no_profile_from_others(clock: Clock) -> None:
    application = Choosy()
    profiles = Profiles(application.fetch, now=clock)
    ids = [f"u{number}" for number in range(60)]
    found = await profiles.load([*ids[:17], "a bad one", *ids[17:]])
    assert found.keys() == set(ids)
    assert len(application.asked) < 16
    assert await profiles.load([*ids, "a bad one"]) == found
    assert len(application.asked) < 16, "all are known, and that one has none"
    clock.now += 11
    application.asked.clear()
    assert await profiles.load(["a bad one"]) == {}
    assert application.asked == [["a bad one"]], "it is asked for again after a while"


async def test_an_application_that_refuses_everything_is_not_asked_without_end(clock: Clock) -> None:
    application = Choosy()
    profiles = Profiles(application.fetch, now=clock)
    with pytest.raises(RefusedTogether):
        await profiles.load([f"bad {number}" for number in range(100)])
    assert len(application.asked) <= MOST_PARTS + 1


async def test_while_halves_are_asked_for_the_end_gives_them_up(clock: Clock) -> None:
    application = Choosy()
    profiles = Profiles(application.fetch, now=clock)
    loading = asyncio.create_task(profiles.load(["a bad one", "u1"]))
    await _until_asked(application, 1)
    application.answers.clear()
    await _until_asked(application, 3)
    await profiles.close()
    with pytest.raises(asyncio.CancelledError):
        await loading
