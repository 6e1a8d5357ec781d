"""What the application is asked, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from realtime.asking import Asked
from realtime.consent import Consent
from realtime.origin import Credentials, Origin, OriginAway, OriginRefused, Unconfirmed, Unusable
from realtime.settings import OriginSettings
from realtime.stats import RealtimeStats
from tests.realtime.talking import Answer, answer


class Application:
    """Gives the answers it was told to, in order, the last one again and again; an exception is raised.

    It takes `takes` seconds for each, and refuses connections until it is `up_at`.
    """

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.seconds = 0.0
        self.takes = 0.0
        self.up_at = 0.0
        self.refused_at: list[float] = []
        self.pauses: list[float] = []

    async def __call__(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, asked: Asked
    ) -> Answer:
        if self.seconds < self.up_at:
            asked.in_vain()
            self.refused_at.append(self.seconds)
            raise ConnectionRefusedError
        self.asked.append((method, target, dict(fields), body))
        self.seconds += self.takes
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return said

    @property
    def targets(self) -> list[str]:
        return [target for _, target, _, _ in self.asked]

    def origin(self, **settings: Any) -> Origin:
        asks = {"persist": "/m", "profiles": "/p", "likes": "/l?ids={ids}", "backoff": 0.0, **settings}
        stats = RealtimeStats()
        return Origin(self, OriginSettings(**asks), stats=stats, now=lambda: self.seconds, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


class TestPersisting:
    async def test_is_one_request_with_the_messages_as_they_are(self) -> None:
        application = Application(answer({"messages": [{"id": 1}, {"id": 2}]}, 201))
        origin = application.origin(fields=(("Authorization", "Bearer ours"),))
        assert await origin.persist('a"b', [b'{"content":"x"}', b'{"content":"y"}']) == [{"id": 1}, {"id": 2}]
        ((method, target, fields, body),) = application.asked
        assert (method, target, fields["Authorization"]) == ("POST", "/m", "Bearer ours")
        assert json.loads(body) == {"conversation_id": 'a"b', "messages": [{"content": "x"}, {"content": "y"}]}

    @pytest.mark.parametrize(
        "failure", [answer(status=500), answer(status=503), answer(status=429), answer(status=408), OriginAway("gone"),
                    ConnectionResetError(), TimeoutError()],
    )  # fmt: skip
    async def test_is_tried_again_after_a_failure_that_may_pass(self, failure: Answer | Exception) -> None:
        application = Application(failure, answer())
        await application.origin().persist("7", [b"{}"])
        keys = {fields["Idempotency-Key"] for _, _, fields, _ in application.asked}
        assert (len(application.asked), len(keys)) == (2, 1)

    async def test_is_tried_as_long_as_patience_lasts(self) -> None:
        application = Application(answer(status=503))
        with pytest.raises(OriginAway, match="503"):
            await application.origin(patience=15.0, backoff=0.25).persist("7", [b"{}"])
        assert application.seconds == pytest.approx(15.0)

    async def test_is_tried_a_last_time_a_second_before_patience_is_over(self) -> None:
        application = Application(answer())
        application.up_at = 60.0
        with pytest.raises(OriginAway):
            await application.origin(patience=15.0, backoff=0.25).persist("7", [b"{}"])
        assert 14.0 <= application.refused_at[-1] < 15.0
        assert application.seconds == pytest.approx(15.0), "given up at the end, and not before"

    @pytest.mark.parametrize("patience", [1.0, 4.0, 15.0])
    async def test_succeeds_when_the_application_is_back_a_second_before_patience_is_over(
        self, patience: float
    ) -> None:
        application = Application(answer())
        application.up_at = patience - min(1.0, patience / 4)
        await application.origin(patience=patience, backoff=0.25).persist("7", [b"{}"])
        assert application.up_at <= application.seconds < patience

    async def test_of_what_reached_nobody_it_is_known_that_nothing_was_kept(self) -> None:
        application = Application(answer())
        application.up_at = 60.0
        with pytest.raises(OriginAway) as away:
            await application.origin(patience=15.0, backoff=1.0).persist("7", [b"{}"])
        assert not isinstance(away.value, Unconfirmed)

    async def test_of_what_was_asked_once_without_an_answer_it_is_not_known_whatever_follows(self) -> None:
        class Dying(Application):
            async def __call__(self, *question: Any) -> Answer:
                try:
                    return await super().__call__(*question)
                finally:
                    self.up_at = 60.0

        asked = Asked()
        application = Dying(OriginAway("timed out"))
        with pytest.raises(Unconfirmed):
            await application.origin(patience=15.0, backoff=1.0).persist("7", [b"{}"], asked=asked)
        assert len(application.asked) == 1
        assert len(application.refused_at) > 3
        assert asked.unconfirmed

    async def test_succeeds_when_the_application_is_back_before_patience_is_over(self) -> None:
        application = Application(*[ConnectionRefusedError()] * 8, answer())
        await application.origin(patience=15.0, backoff=0.25).persist("7", [b"{}"])
        assert application.seconds > 5.0

    async def test_waits_longer_after_each_failure_but_never_much_longer_than_two_seconds(self) -> None:
        application = Application(answer(status=503))
        with pytest.raises(OriginAway):
            await application.origin(patience=15.0, backoff=0.25).persist("7", [b"{}"])
        *pauses, last, _ = application.pauses
        expected = [min(0.25 * 2**attempt, 2.0) for attempt in range(len(pauses))]
        assert all(0.8 * wait <= pause <= 1.2 * wait for pause, wait in zip(pauses, expected, strict=True))
        assert last < 1.2 * 2.0

    async def test_without_patience_is_tried_once(self) -> None:
        application = Application(answer(status=503))
        with pytest.raises(OriginAway):
            await application.origin(patience=0.0).persist("7", [b"{}"])
        assert len(application.asked) == 1

        async def answer_later(*_: object) -> Answer:
            await asyncio.sleep(0)
            return answer()

        settings = OriginSettings(persist="/m", patience=0.0)
        await Origin(answer_later, settings, stats=RealtimeStats(), now=time.monotonic).persist("7", [b"{}"])

    async def test_no_attempt_outlasts_patience(self) -> None:
        async def never_answer(*_: object) -> Answer:
            never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            return await never

        settings = OriginSettings(persist="/m", patience=0.05)
        origin = Origin(never_answer, settings, stats=RealtimeStats(), now=time.monotonic)
        with pytest.raises(OriginAway, match="no answer in time"):
            await asyncio.wait_for(origin.persist("7", [b"{}"]), 5)

    async def test_is_given_up_when_patience_is_over(self) -> None:
        application = Application(OriginAway("timed out"))
        application.takes = 6.0
        with pytest.raises(OriginAway, match="timed out"):
            await application.origin(patience=15.0).persist("7", [b"{}"])
        assert len(application.asked) == 3

    async def test_does_not_wait_longer_than_patience_because_it_was_asked_to(self) -> None:
        application = Application(answer(status=503, Retry_After="4"))
        with pytest.raises(OriginAway):
            await application.origin(patience=3.0).persist("7", [b"{}"])
        assert len(application.asked) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 302])
    async def test_is_not_tried_again_after_a_no(self, status: int) -> None:
        application = Application(answer({"detail": "Not you."}, status))
        with pytest.raises(OriginRefused, match="Not you") as refused:
            await application.origin().persist("7", [b"{}"])
        assert (refused.value.status, len(application.asked)) == (status, 1)

    @pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b'{"detail": 5}', b"[]"])
    async def test_a_no_without_words_has_ours(self, body: bytes) -> None:
        with pytest.raises(OriginRefused, match="refused"):
            await Application((400, [], body)).origin().persist("7", [b"{}"])


class TestLookingUp:
    @pytest.mark.parametrize(
        "document",
        [
            {"profiles": [{"id": "u1", "n": 1}, {"id": 2, "n": 2}, {"n": 3}, 4], "missing": ["u9"]},
            [{"id": "u1", "n": 1}, {"id": 2, "n": 2}],
            {"users": {"u1": {"id": "u1", "n": 1}, "2": {"id": 2, "n": 2}}},
            {"u1": {"id": "u1", "n": 1}, "2": {"id": 2, "n": 2}},
        ],
    )
    async def test_profiles_come_in_any_usual_shape(self, document: Any) -> None:
        found = await Application(answer(document)).origin().profiles(["u1", "2"])
        assert {id_: profile["n"] for id_, profile in found.items()} == {"u1": 1, "2": 2}

    async def test_ids_cannot_be_more_than_ids(self) -> None:
        application = Application(answer([]))
        origin = application.origin(profiles="/p?full=1")
        await origin.profiles(["a&b=c", "d/../e", "ü", "\udc80"])
        await origin.likes(["1,2"])
        assert application.targets == ["/p?full=1&ids=a%26b%3Dc,d%2F..%2Fe,%C3%BC,%3F", "/l?ids=1%2C2"]

    @pytest.mark.parametrize(
        "said",
        [answer(status=500), answer(status=404), answer(5), OSError("no"), (200, [], b'[{"id": "u1", "n": NaN}]')],
    )
    async def test_anything_else_is_no_answer(self, said: Answer | Exception) -> None:
        with pytest.raises(OriginAway):
            await Application(said).origin().profiles(["u1"])


class TestConsent:
    @pytest.mark.parametrize(
        ("said", "given"),
        [
            (answer(), True),
            (answer({"allowed": True}), True),
            (answer({"allowed": False}), False),
            (answer({"allowed": "yes"}), False),
            (answer(status=204), True),
            (answer(status=401), False),
            (answer(status=403), False),
            (answer(status=404), False),
        ],
    )
    async def test_is_what_the_status_says(self, said: Answer, given: bool) -> None:
        application = Application(said)
        origin = application.origin(authorize="/c/{conversation}?u={users}")
        assert await origin.consents("a/b?", ["u1", "u2"], Credentials("s=1", "Basic x")) is given
        ((method, target, fields, _),) = application.asked
        assert (method, target) == ("GET", "/c/a%2Fb%3F?u=u1,u2")
        assert (fields["Cookie"], fields["Authorization"]) == ("s=1", "Basic x")

    async def test_is_remembered_for_a_moment_for_the_same_people_and_credentials(self) -> None:
        application = Application(answer(status=403))
        consent = Consent(application.origin(authorize="/c"), now=lambda: application.seconds)
        for _ in range(3):
            assert await consent.given("7", ["u1"], Credentials("s=1")) is False
        assert len(application.asked) == 1
        application.answers = [answer()]
        for conversation, users, cookie in [("8", ["u1"], "s=1"), ("7", ["u1", "u2"], "s=1"), ("7", ["u1"], "s=2")]:
            assert await consent.given(conversation, users, Credentials(cookie)) is True
        application.seconds += 31
        assert await consent.given("7", ["u1"], Credentials("s=1")) is True

    async def test_a_failure_is_neither_a_yes_nor_remembered(self) -> None:
        application = Application(answer(status=500), answer())
        consent = Consent(application.origin(authorize="/c"), now=lambda: 0.0)
        with pytest.raises(OriginAway):
            await consent.given("7", ["u1"], Credentials("s=1"))
        assert await consent.given("7", ["u1"], Credentials("s=1")) is True


class TestAnAnswerThatIsNeitherYesNorNo:
    SESSION, AUTHORIZE, DELETE = "/session?key=secret", "/c/{conversation}?u={users}", "/m/{message}?key=secret"

    @staticmethod
    async def ask(origin: Origin, question: str) -> None:
        proof = Credentials("s=secret")
        with pytest.raises(Unusable):
            if question == "session":
                await origin.user(proof)
            elif question == "authorize":
                await origin.consents("c secret", ["u secret"], proof)
            else:
                await origin.deletes("c secret", "m secret", ["u secret"], proof)

    @pytest.mark.parametrize(
        ("question", "said", "line"),
        [
            ("session", answer(status=302), "/session was answered with 302; answer 200 with"),
            ("session", (204, [], b""), "/session was answered with 204; answer 200 with"),
            ("session", answer(status=404), "/session was answered with 404; answer 200 with"),
            ("session", (200, [], b"<html>"), "/session was answered with 200, but no JSON object; answer 200 with"),
            ("authorize", answer(status=303), "/c/{conversation} was answered with 303; answer 2xx where all"),
            ("delete", answer(status=302), "/m/{message} was answered with 302; answer 2xx where it is deleted"),
        ],
    )
    async def test_is_told_to_whoever_set_the_address_without_any_secret(
        self, question: str, said: Answer, line: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        origin = Application(said).origin(session=self.SESSION, authorize=self.AUTHORIZE, delete=self.DELETE)
        await self.ask(origin, question)
        (told,) = caplog.messages
        assert told.startswith(f"realtime.origin.{question}: {line}")
        assert "secret" not in told

    async def test_is_told_once_a_minute_for_each_question(self, caplog: pytest.LogCaptureFixture) -> None:
        application = Application(answer(status=302))
        origin = application.origin(session=self.SESSION, authorize=self.AUTHORIZE)
        for _ in range(3):
            await self.ask(origin, "session")
            await self.ask(origin, "authorize")
        assert len(caplog.messages) == 2
        application.seconds += 60
        await self.ask(origin, "session")
        assert len(caplog.messages) == 3

    @pytest.mark.parametrize("status", [408, 425, 429, 503])
    async def test_is_not_what_an_application_says_that_cannot_answer_now(
        self, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        origin = Application(answer(status=status)).origin(delete=self.DELETE)
        with pytest.raises(OriginAway) as away:
            await origin.deletes("c", "m", ["u"], Credentials("s=1"))
        assert not isinstance(away.value, Unusable)
        assert caplog.messages == []


def test_credentials_do_not_show_themselves() -> None:
    assert "secret" not in f"{Credentials('s=secret', 'Bearer secret')!r}"


def test_credentials_that_differ_are_told_apart() -> None:
    assert Credentials("a", "b").material != Credentials("ab", "").material
