"""What others than clients have to say."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.publishing import BadPublication, Publication, parse_publication, rule_for
from realtime.settings import CHANNELS, ChannelRule
from tests.realtime.talking import Answer, Talking, answer, talk
from tests.realtime.wire import turns


async def test_what_became_out_of_date_is_purged_before_anybody_hears_of_it() -> None:
    order: list[str] = []

    async def purge(tags: Sequence[str]) -> int:
        await asyncio.sleep(0)
        order.append(f"purged {','.join(tags)}, told {len(alice.heard('news'))}")
        return 3

    async with talk(purge_tags=purge) as talking:
        alice = await talking.member("u1")
        told = await talking.core.publish(
            {"channel": "user:u1", "event": "news", "data": {"a": 1}, "purge_tags": ["reports", "report-7"]}
        )
        assert told == {"sessions": 1, "purged": 3, "durable": False}
        assert order == ["purged reports,report-7, told 0"]
        assert alice.heard("news") == [{"a": 1}]


async def test_only_subscribers_hear_of_a_channel() -> None:
    async with talk() as talking:
        alice, bob = await talking.member("u1"), await talking.member("u2")
        await alice.ask("subscribe", "notifications")
        assert (await talking.core.publish({"channel": "notifications", "event": "update", "data": 5}))["sessions"] == 1
        await talking.pass_time(0.1)
        assert (alice.heard("update"), bob.heard("update")) == ([5], [])
        await alice.ask("unsubscribe", "notifications")
        await talking.core.publish({"channel": "notifications", "event": "update", "data": 6})
        await talking.pass_time(0.1)
        assert alice.heard("update") == [5]


async def test_a_conflated_channel_tells_the_latest_of_each_key() -> None:
    async with talk() as talking:
        alice = await talking.member("u1")
        await alice.ask("subscribe", "reports")
        for number in range(10):
            await talking.core.publish({"channel": "reports", "event": "update", "data": number, "key": number % 2})
        assert alice.heard("update") == []
        await talking.pass_time(0.1)
        assert alice.heard("update") == [8, 9]
        assert talking.core.chat.publisher.conflated == 8


async def test_order_is_kept_while_authors_are_looked_up() -> None:
    answers: list[asyncio.Future[Answer]] = []

    async def ask(method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
        answers.append(asyncio.get_running_loop().create_future())
        return await answers[-1]

    rule = ChannelRule("reports", "append", profiles="user_id")
    async with talk(
        ask, origin={"profiles": "/profiles", "wait_for_profiles": 60.0}, chat={"channels": (rule,)}
    ) as talking:
        alice = talking.client()
        await alice.ask("subscribe", "reports")
        for number in range(3):
            await talking.core.publish(
                {"channel": "reports", "event": "update", "data": {"user_id": number, "number": number}}
            )
            await talking.pass_time(0.1)
        answers[0].set_result(answer([{"id": 0, "username": "first"}]))
        async with asyncio.timeout(5):
            while len(answers) < 2:
                await asyncio.sleep(0)
        assert [report["number"] for report in alice.heard("update")] == [0]
        answers[1].set_result(answer([{"id": 1, "username": "second"}, {"id": 2, "username": "third"}]))
        await turns(10)
        heard = alice.heard("update")
        assert [report["number"] for report in heard] == [0, 1, 2]
        assert [report["author"]["username"] for report in heard] == ["first", "second", "third"]
        assert len(answers) == 2, "what has come meanwhile is looked up together"


async def test_updates_whose_authors_cannot_be_had_are_told_without() -> None:
    async def ask(*_: object) -> Answer:
        return answer(status=500)

    rule = ChannelRule("reports", "append", profiles="user_id")
    async with talk(ask, origin={"profiles": "/profiles"}, chat={"channels": (rule,)}) as talking:
        alice = talking.client()
        await alice.ask("subscribe", "reports")
        await talking.core.publish({"channel": "reports", "event": "update", "data": {"user_id": 1}})
        await turns(10)
        assert alice.heard("update") == [{"user_id": 1}]


class Liked:
    """An application that counts likes and knows authors; what it was asked is in `asked`."""

    def __init__(self) -> None:
        self.likes = 7
        self.away = False
        self.asked: list[str] = []

    async def __call__(self, method: str, target: str, fields: object, body: bytes, _: object) -> Answer:
        self.asked.append(target)
        if self.away:
            return answer(status=503)
        kind, _, ids = target.partition("?ids=")
        return answer([{"id": id_, "likes": self.likes} for id_ in ids.split(",") if kind == "/likes" or id_ == "z"])

    def times(self, kind: str) -> int:
        return sum(target.startswith(kind) for target in self.asked)


LIKES = {"likes": "/likes?ids={ids}", "profiles": "/profiles?ids={ids}", "wait_for_profiles": 60.0}
LIKED = {"channels": (ChannelRule("reports", "conflate", profiles="author_id", likes="id"),)}


async def _like(talking: Talking, *reports: str) -> None:
    for report in reports:
        data = {"id": report, "author_id": "z"}
        await talking.core.publish({"channel": "reports", "event": "report_liked", "key": report, "data": data})
    await talking.pass_time(0.1)
    await turns(10)


async def test_the_likes_of_what_is_published_again_are_asked_anew_and_its_author_is_not() -> None:
    application = Liked()
    async with talk(application, origin=LIKES, chat=LIKED) as talking:
        alice = talking.client()
        await alice.ask("subscribe", "reports")
        for application.likes in (7, 8):
            await _like(talking, "r1")
        assert [told["likes"]["likes"] for told in alice.heard("report_liked")] == [7, 8]
        assert [told["author"]["id"] for told in alice.heard("report_liked")] == ["z", "z"]
        assert (application.times("/likes"), application.times("/profiles")) == (2, 1)


async def test_the_likes_of_all_that_is_told_at_once_are_asked_in_one_request() -> None:
    application = Liked()
    async with talk(application, origin=LIKES, chat=LIKED) as talking:
        alice = talking.client()
        await alice.ask("subscribe", "reports")
        await _like(talking, "r1", "r2", "r3")
        await _like(talking, "r3", "r2")
        assert [target for target in application.asked if "likes" in target] == [
            "/likes?ids=r1,r2,r3",
            "/likes?ids=r3,r2",
        ]
        assert len(alice.heard("report_liked")) == 5


async def test_while_the_application_fails_likes_are_told_as_they_were_known_last_or_not_at_all() -> None:
    application = Liked()
    async with talk(application, origin=LIKES, chat=LIKED) as talking:
        alice = talking.client()
        await alice.ask("subscribe", "reports")
        await _like(talking, "r1")
        application.away = True
        await _like(talking, "r1", "r2")
        known, unknown = alice.heard("report_liked")[1:]
        assert (known["likes"]["likes"], "likes" in unknown) == (7, False)


async def test_a_channel_that_appends_tells_everything_at_once() -> None:
    async with talk() as talking:
        alice = await talking.member("u1")
        await alice.ask("subscribe", "notifications")
        for number in range(3):
            await talking.core.publish({"channel": "notifications", "event": "update", "data": number, "key": "same"})
            assert alice.heard("update") == list(range(number + 1))


async def test_publications_that_find_too_many_waiting_are_counted_and_told_to_the_log_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(*_: object) -> Answer:
        never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        return await never

    monkeypatch.setattr("realtime.publishing._MOST_WAITING", 3)
    rule = ChannelRule("reports", "append", profiles="user_id")
    patient = {"profiles": "/profiles", "wait_for_profiles": 60.0}
    async with talk(ask, origin=patient, chat={"channels": (rule,)}) as talking:
        for number in range(5):
            await talking.core.publish({"channel": "reports", "event": "update", "data": {"user_id": number}})
            await talking.pass_time(0.1)
        assert talking.core.figures().publications_dropped == 2
        assert caplog.text.count("publications are dropped") == 1


async def test_a_publication_is_answered_when_it_would_survive_the_end_of_the_process_and_told_before() -> None:
    journaled = asyncio.Event()
    async with talk() as talking:
        talking.core.hub.settled = journaled.wait  # type: ignore[method-assign]  # in place of the journal
        alice = await talking.member("u1")
        publication = {"channel": "user:u1", "event": "news", "data": 1}
        answered = asyncio.create_task(talking.core.publish(publication))
        await turns(10)
        assert (answered.done(), alice.heard("news")) == (False, [1])
        journaled.set()
        assert (await answered)["sessions"] == 1


async def test_what_waits_is_told_when_the_core_stops() -> None:
    async with talk() as talking:
        alice = await talking.member("u1")
        await alice.ask("subscribe", "reports")
        await talking.core.publish({"channel": "reports", "event": "update", "data": 1})
        await talking.core.chat.drain()
        assert alice.heard("update") == [1]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"channel": ""},
        {"channel": "a" * 301},
        {"channel": "a\n"},
        {"channel": 5},
        {"channel": "a"},
        {"channel": "a", "event": "e"},
        {"channel": "a", "data": 1},
        {"channel": "a", "event": "disconnect", "data": 1},
        {"channel": "a", "event": 5, "data": 1},
        {"channel": "a", "event": "\ud800", "data": 1},
        {"channel": "a", "event": "e", "data": 1, "key": [1]},
        {"channel": "a", "event": "e", "data": 1, "key": float("nan")},
        {"channel": "a", "event": "e", "data": 1, "purge_tags": "reports"},
        {"channel": "a", "event": "e", "data": 1, "purge_tags": [""]},
        {"channel": "a", "event": "e", "data": 1, "purge_tags": ["t"] * 101},
        {"channel": "a", "event": "e", "data": 1, "chanel": "b"},
    ],
)
def test_a_bad_publication_is_refused_with_a_sentence(document: Any) -> None:
    with pytest.raises(BadPublication, match=r"\.$"):
        parse_publication(document)


def test_the_least_that_can_be_published_is_an_event_on_a_channel_with_its_data() -> None:
    least = {"channel": "reports", "event": "update", "data": None}
    assert parse_publication(least) == Publication("reports", "update", None, None, ())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("NaN", "data is no number"),
        ("1e999", "data is no number"),
        ('{"points": [{"at": 1}, {"at": -Infinity}]}', "data['points'][1]['at'] is no number"),
        ('{"\\ud800": NaN}', r"data['\ud800'] is no number"),
        ("[" * 101 + "]" * 101, "is nested deeper than 100 levels"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_what_and_where_it_is(data: str, said: str) -> None:
    with pytest.raises(BadPublication) as refused:
        parse_publication({"channel": "a", "event": "e", "data": json.loads(data)})
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200
    str(refused.value).encode()


@pytest.mark.parametrize("data", ["[" * 100 + "]" * 100, '"\\ud800"', '{"a": [1.5, true, null, "x", {}]}'])
def test_what_can_be_sent_is_taken(data: str) -> None:
    assert parse_publication({"channel": "a", "event": "e", "data": json.loads(data)}).data == json.loads(data)


@pytest.mark.parametrize("channel", ["reports", "joined", "notifications"])
async def test_a_publication_that_cannot_be_encoded_is_lost_alone_and_counted_and_logged(
    channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(*_: object) -> Answer:
        return answer([])

    rules = (*CHANNELS, ChannelRule("joined", "append", profiles="user_id"))
    async with talk(ask, origin={"profiles": "/profiles"}, chat={"channels": rules}) as talking:
        alice = talking.client()
        for name in (channel, "reports:north"):
            await alice.ask("subscribe", name)
        for number, value in enumerate((1, float("nan"), 3)):
            data = {"user_id": 1, "value": value}
            talking.core.tell(Publication(channel, "update", data, key=str(number)))
        talking.core.tell(Publication("reports:north", "update", {"value": 4}))
        await turns(10)
        await talking.pass_time(0.1)
        assert [update["value"] for update in alice.heard("update")] == [1, 3, 4]
        assert talking.core.figures().publications_dropped == 1
        (line,) = [record for record in caplog.records if "cannot be sent" in record.message]
        assert line.exc_info is None


@pytest.mark.parametrize("channel", ["secrets", "reports2", "user:u2", "channel:reports", "", "user:", "user:{user}"])
def test_clients_subscribe_to_nothing_that_is_not_listed(channel: str) -> None:
    assert rule_for(CHANNELS, channel, ["u1"]) is None


@pytest.mark.parametrize("channel", ["reports", "reports:north", "notifications", "user:u1", "cache:/api/reports"])
def test_clients_subscribe_to_what_is_listed(channel: str) -> None:
    assert rule_for(CHANNELS, channel, ["u1"]) is not None


@given(pattern=st.text("ab*", max_size=8), name=st.text("ab", max_size=10))
def test_a_star_stands_for_anything(pattern: str, name: str) -> None:
    expected = re.fullmatch(fnmatch.translate(pattern), name) is not None
    assert (rule_for([ChannelRule(pattern)], name) is not None) is expected
