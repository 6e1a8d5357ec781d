"""An operator's session of the dashboard on the public listener of the same host: nobody else's business."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.passwords import PasswordHash
from proxy.policy.messages import Fields
from proxy.policy.operators import SESSION, without_session
from tests.edge import edge_before
from tests.live import connected
from tests.origin import ScriptedOrigin, reply
from webui.login import COOKIES

FRESH = {"Cache-Control": "max-age=60"}
ADMIN = {"password_hash": str(PasswordHash(2**14, 8, 1, b"salt-salt-salt-1", b"h" * 32))}

SESSION_ASKED = {"auth": "origin", "origin": {"session": "/session"}}


def test_the_cookie_is_the_dashboards() -> None:
    for name in COOKIES:
        assert list(without_session(Fields([("Cookie", f"{name}=id.signature")]))) == []
    assert SESSION in COOKIES


@pytest.mark.parametrize(
    ("given_", "left"),
    [
        ("a=1; cachewire-session=x.y; b=2", "a=1; b=2"),
        ("cachewire-session=x.y; b=2", "b=2"),
        ("a=1;cachewire-session=x.y", "a=1"),
        ("__Host-cachewire-session=x; cachewire-session=y", None),
        ("a=cachewire-session; not-cachewire-session=1", "a=cachewire-session; not-cachewire-session=1"),
    ],
)
def test_every_other_cookie_stays_as_it_is(given_: str, left: str | None) -> None:
    fields = without_session(Fields([("Host", "h"), ("cookie", given_)]))
    assert fields.first("Cookie") == left
    assert fields.first("Host") == "h"


@given(
    st.lists(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";="), max_size=9))
)
def test_nothing_of_the_session_is_left_whatever_stands_around_it(around: list[str]) -> None:
    value = "; ".join([*around, "cachewire-session=secret", *around])
    assert "secret" not in (without_session(Fields([("Cookie", value)])).combined("Cookie") or "")


async def test_the_application_never_sees_an_operators_session_and_an_operator_gets_what_others_get() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin, admin=ADMIN) as edge:
        origin.default = reply(body=b"one", headers=FRESH)
        await edge.get("/a", {"Cookie": "cachewire-session=id.signature"})
        await edge.get("/b", {"Cookie": "theme=dark; cachewire-session=id.signature"})
        assert origin.asked("/a")[0].header("Cookie") is None
        assert origin.asked("/b")[0].header("Cookie") == "theme=dark"
        assert "hit" in (await edge.get("/a")).cache_status


async def test_the_realtime_core_does_not_show_it_to_the_application_either() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin, admin=ADMIN, realtime=SESSION_ASKED) as edge:
        origin.on("/session", reply(body=b'{"user": null}'))
        cookie = "sid=1; cachewire-session=id.signature"
        async with connected(f"http://{edge.host}", headers={"Cookie": cookie}) as client:
            await client.ask("authenticate", {})
        assert origin.asked("/session")[0].header("Cookie") == "sid=1"


async def test_the_timeline_begins_with_the_start_and_ends_with_the_drain() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin, realtime={"auth": "trusted"}) as edge:
        timeline = edge.app.control_room.timeline
        begun = [event.text for event in reversed(timeline.events())]
        assert begun[0].endswith(f"started in front of {origin.url}")
        assert "the configuration is right, but some of it may not be meant" in begun[1]
    assert timeline.events()[0].text.startswith("draining")
    assert {event.by for event in timeline.events()} == {"automatic"}
