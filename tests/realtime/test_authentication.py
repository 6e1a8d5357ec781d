"""Who is believed, and who is not."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from realtime.authentication import (
    AskOrigin,
    AuthenticationRefused,
    AuthenticationUnavailable,
    Claim,
    Unanswered,
    authentication,
    bounded_user,
    public_user,
)
from realtime.origin import Credentials, Origin, OriginAway
from realtime.settings import AuthenticationSettings, OriginSettings
from realtime.stats import RealtimeStats

jwt = pytest.importorskip("jwt", reason="PyJWT is missing: pip install 'pyjwt[crypto]'")

NOW = 1_800_000_000.0
SECRET = "a shared secret that is long enough for every algorithm, SHA-512 included"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def signed_by(**changes: Any) -> Any:
    settings: dict[str, Any] = {"kind": "jwt", "key": SECRET, "algorithms": ("HS256",), **changes}
    return authentication(AuthenticationSettings(**settings), None, now=lambda: 0.0, wall=lambda: NOW)


def token(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    found: str = jwt.encode({"sub": "u1", "exp": int(NOW) + 60, **claims}, key, algorithm=algorithm)
    return found


async def refusal(who: Any, claim: Claim, **headers: str) -> str:
    with pytest.raises(AuthenticationRefused) as refused:
        await who.identify(claim, headers)
    return refused.value.reason


async def test_trusted_believes_anybody_and_warns_loudly(caplog: pytest.LogCaptureFixture) -> None:
    trusted = authentication(AuthenticationSettings(kind="trusted"), None, now=lambda: 0.0, wall=lambda: NOW)
    assert await trusted.identify(Claim("u1"), {}) == ({"id": "u1"}, None)
    assert await refusal(trusted, Claim()) == "no-credential"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_without_a_way_to_ask_nobody_is_believed_and_the_setting_is_named() -> None:
    nobody = authentication(AuthenticationSettings(), None, now=lambda: 0.0, wall=lambda: NOW)
    with pytest.raises(AuthenticationRefused, match=r"realtime\.origin\.session"):
        await nobody.identify(Claim("u1", "token"), {"cookie": "session=u1"})


class TestTokens:
    async def test_a_signed_token_names_the_user(self) -> None:
        user = (await signed_by().identify(Claim(token=token(username="Ada", admin=True)), {})).user
        assert user == {"id": "u1", "username": "Ada"}

    async def test_the_token_of_the_handshake_counts_when_the_event_has_none(self) -> None:
        user = (await signed_by().identify(Claim("u1"), {"authorization": f"Bearer {token()}"})).user
        assert user["id"] == "u1"

    async def test_a_claimed_id_must_be_the_tokens(self) -> None:
        assert await refusal(signed_by(), Claim("u2", token())) == "another-user"

    async def test_the_claim_that_names_the_user_is_configurable_and_may_be_a_number(self) -> None:
        user = (await signed_by(claim="uid").identify(Claim("17", token(uid=17)), {})).user
        assert user == {"id": "17"}

    @pytest.mark.parametrize("value", [None, "", True, [], {"a": 1}, 1.5])
    async def test_a_token_that_names_no_user_is_refused(self, value: Any) -> None:
        assert await refusal(signed_by(claim="uid"), Claim(token=token(uid=value))) == "no-user"

    async def test_a_subject_may_be_a_number_as_well(self) -> None:
        for number in (17, -3, 0):
            identity = await signed_by().identify(Claim(str(number), token(sub=number)), {})
            assert identity == ({"id": str(number)}, NOW + 60)

    @pytest.mark.parametrize(
        ("subject", "why"),
        [
            ("x" * 201, "at most 200 characters"),
            ("a\nb", "characters that no id has"),
            ("\u202e", "characters that no id has"),
            ("..", "more than dots"),
            (2**63, "a text or a whole number"),
            (1.5, "a text or a whole number"),
            (True, "a text or a whole number"),
        ],
    )
    async def test_a_subject_obeys_the_rules_of_all_ids_and_the_refusal_says_which(
        self, subject: object, why: str
    ) -> None:
        with pytest.raises(AuthenticationRefused, match=f"The token's sub .*{why}") as refused:
            await signed_by().identify(Claim(token=token(sub=subject)), {})
        assert refused.value.reason == "no-user"

    @pytest.mark.parametrize("expiry", [float("inf"), 10**400, True, "1900000000", -float("inf"), 2**53])
    async def test_an_expiry_is_a_finite_number(self, expiry: object) -> None:
        assert await refusal(signed_by(), Claim(token=token(exp=expiry))) == "bad-token"

    async def test_what_a_token_says_that_nobody_could_be_told_is_left_out(self) -> None:
        odd = token(name="\ud800", username=float("nan"), preferred_username="Ada")
        assert (await signed_by().identify(Claim(token=odd), {})).user == {"id": "u1", "preferred_username": "Ada"}

    async def test_a_token_ends_at_its_expiry_by_the_clock_it_is_given(self) -> None:
        assert await refusal(signed_by(), Claim(token=token(exp=int(NOW)))) == "expired"
        assert await signed_by(leeway=5.0).identify(Claim(token=token(exp=int(NOW))), {})

    @pytest.mark.parametrize("expiry", [float("nan"), "never", None])
    async def test_an_expiry_that_is_no_time_has_passed(self, expiry: Any) -> None:
        assert await refusal(signed_by(), Claim(token=token(exp=expiry))) in ("expired", "bad-token")

    async def test_a_token_without_expiry_is_refused(self) -> None:
        endless = jwt.encode({"sub": "u1"}, SECRET, algorithm="HS256")
        assert await refusal(signed_by(), Claim(token=endless)) == "bad-token"

    async def test_audience_and_issuer_are_checked_when_configured(self) -> None:
        strict = signed_by(audience="chat", issuer="app")
        assert await strict.identify(Claim(token=token(aud="chat", iss="app")), {})
        assert await refusal(strict, Claim(token=token(aud="other", iss="app"))) == "bad-token"
        assert await refusal(strict, Claim(token=token(aud="chat"))) == "bad-token"

    async def test_an_audience_that_nobody_asked_about_is_no_reason_to_refuse(self) -> None:
        assert await signed_by().identify(Claim(token=token(aud="anything")), {})

    async def test_only_the_configured_algorithms_count_whatever_the_token_says(self) -> None:
        unsigned = jwt.encode({"sub": "u1", "exp": int(NOW) + 60}, None, algorithm="none")
        assert await refusal(signed_by(), Claim(token=unsigned)) == "bad-token"
        assert await refusal(signed_by(), Claim(token=token(algorithm="HS512"))) == "bad-token"
        assert await refusal(signed_by(), Claim(token=token(key=SECRET[::-1]))) == "bad-token"

    @pytest.mark.parametrize(("algorithm", "private"), [("EdDSA", "ed25519"), ("RS256", "rsa")])
    async def test_public_keys_work_as_well(self, algorithm: str, private: str) -> None:
        made = {
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "rsa": lambda: rsa.generate_private_key(65537, 2048),
        }
        key: Any = made[private]()  # type: ignore[no-untyped-call]
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = signed_by(key=public.decode(), algorithms=(algorithm,))
        assert (await signed.identify(Claim(token=token(key, algorithm)), {})).user["id"] == "u1"
        assert await refusal(signed, Claim(token=token())) == "bad-token"

    @pytest.mark.parametrize("junk", ["", "a.b.c", "x" * 8000, "\x00", "....", "ä.ö.ü"])
    async def test_junk_is_no_token(self, junk: str) -> None:
        assert await refusal(signed_by(), Claim(token=junk)) in ("bad-token", "no-credential")

    @pytest.mark.parametrize(
        "settings",
        [
            {"key": ""},
            {"key": "guessable"},
            {"algorithms": ()},
            {"algorithms": ("none",)},
            {"algorithms": ("HS256", "RS256")},
            {"algorithms": ("ROT13",)},
        ],
    )
    def test_settings_that_would_let_anybody_in_are_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(AuthenticationUnavailable):
            signed_by(**settings)

    async def test_tokens_are_neither_logged_nor_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        secret = token(key=SECRET[::-1])
        with caplog.at_level(logging.DEBUG), pytest.raises(AuthenticationRefused) as refused:
            await signed_by().identify(Claim(token=secret), {})
        assert secret not in caplog.text + str(refused.value) + repr(Claim("u1", secret))
        assert SECRET not in repr(AuthenticationSettings(key=SECRET))


class Application:
    """Answers who a session belongs to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, str]]] = []
        self.status = 200
        self.document: Any = {"user": {"id": "u1", "username": "Ada", "secrets": {"a": 1}, "bio": "x" * 1000}}
        self.clock = Clock()
        origin = Origin(self, OriginSettings(session="/session"), stats=RealtimeStats(), now=self.clock)
        self.way = authentication(AuthenticationSettings(remember=30.0), origin, now=self.clock, wall=lambda: NOW)

    async def __call__(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, *_: object
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        assert (method, target, body) == ("GET", "/session", b"")
        self.asked.append(fields)
        if self.status == 0:
            raise OriginAway("it is away")
        return self.status, [], json.dumps(self.document).encode()


class TestTheApplicationIsAsked:
    async def test_with_the_handshakes_own_credentials(self) -> None:
        application = Application()
        user = (await application.way.identify(Claim("u1"), {"cookie": "session=x", "user-agent": "y"})).user
        assert user == {"id": "u1", "username": "Ada"}, "only what is plain and short goes along with messages"
        assert application.asked == [[("Accept", "application/json"), ("Cookie", "session=x")]]

    async def test_with_a_token_as_bearer(self) -> None:
        application = Application()
        await application.way.identify(Claim(token="abc"), {"cookie": "a=b", "authorization": "Basic x"})
        assert application.asked[0][1:] == [("Cookie", "a=b"), ("Authorization", "Bearer abc")]

    @pytest.mark.parametrize("token", ["a\r\nX-Admin: 1", "a b", "ä", "", "\x00"])
    async def test_never_with_a_token_that_would_be_more_than_a_token(self, token: str) -> None:
        application = Application()
        assert await refusal(application.way, Claim(token=token)) == "bad-token"
        assert application.asked == []

    async def test_not_at_all_without_a_credential(self) -> None:
        application = Application()
        assert await refusal(application.way, Claim("u1")) == "no-credential"
        assert application.asked == []

    async def test_once_in_a_while_for_each_credential(self) -> None:
        application = Application()
        for _ in range(5):
            await application.way.identify(Claim(), {"cookie": "session=x"})
        await application.way.identify(Claim(), {"cookie": "session=y"})
        assert len(application.asked) == 2
        application.clock.seconds += 31
        await application.way.identify(Claim(), {"cookie": "session=x"})
        assert len(application.asked) == 3

    @pytest.mark.parametrize(
        ("status", "reason"), [(0, "origin-away"), (500, "origin-away"), (429, "origin-away"), (401, "refused")]
    )
    async def test_anew_after_a_failure_or_a_no(self, status: int, reason: str) -> None:
        application = Application()
        application.status = status
        assert await refusal(application.way, Claim(), cookie="a=b") == reason
        application.status = 200
        assert await application.way.identify(Claim(), {"cookie": "a=b"})

    @pytest.mark.parametrize("document", [{"user": None}, {"user": "u1"}, {"user": {}}, {"user": {"id": True}}, {}])
    async def test_and_an_answer_without_a_user_is_a_no(self, document: Any) -> None:
        application = Application()
        application.document = document
        assert await refusal(application.way, Claim(), cookie="a=b") == "refused"

    @pytest.mark.parametrize("document", [[], "u1", None])
    async def test_and_an_answer_that_is_no_object_is_none(self, document: Any) -> None:
        application = Application()
        application.document = document
        assert await refusal(application.way, Claim(), cookie="a=b") == "origin-unusable"

    @pytest.mark.parametrize("status", [204, 302, 303, 307, 400, 404])
    async def test_and_an_answer_that_is_neither_yes_nor_no_is_told_apart_from_none(self, status: int) -> None:
        application = Application()
        application.status = status
        with pytest.raises(Unanswered, match="neither yes nor no") as refused:
            await application.way.identify(Claim(), {"cookie": "a=b"})
        assert refused.value.reason == "origin-unusable"
        assert isinstance(application.way, AskOrigin)
        with pytest.raises(OriginAway):
            await application.way.confirms("u1", Credentials("a=b"))

    @pytest.mark.parametrize("id_", ["a\nb", "x" * 201, "..", 2**63])
    async def test_and_an_id_that_is_none_is_a_no(self, id_: object) -> None:
        application = Application()
        application.document = {"user": {"id": id_}}
        assert await refusal(application.way, Claim(), cookie="a=b") == "no-user"

    async def test_and_nobody_can_claim_to_be_somebody_else(self) -> None:
        application = Application()
        assert await refusal(application.way, Claim("u2"), cookie="a=b") == "another-user"


def test_what_is_kept_of_a_user_is_bounded() -> None:
    user = bounded_user({"id": 5, **{f"name{number}": "x" * number * 10 for number in range(100)}})
    assert user["id"] == "5"
    assert len(json.dumps(user)) < 10_000


def test_what_others_may_know_of_a_user_is_chosen_by_name_and_by_kind() -> None:
    said = {
        "id": 5,
        "username": "ada",
        "name": {"first": "Ada"},
        "avatar_url": None,
        "email": "a@b.c",
        "__proto__": "x",
    }
    assert public_user(said) == {"id": "5", "username": "ada"}
