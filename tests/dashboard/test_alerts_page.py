"""The alerts page as a client without script sees it, over real HTTP; its alerts are real, its readings set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_aiohttp import AiohttpClient

from tests.dashboard.watched_alerts import QUICK, Watched

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from tests.dashboard.conftest import EdgeUnderView

    Client = TestClient[web.Request, web.Application]

LIVE = {"HX-Request": "true"}


@pytest.fixture
def watched(edge: EdgeUnderView, tmp_path: Path) -> Watched:
    return Watched(edge, QUICK, tmp_path / "alerts.json")


async def _page(client: Client, path: str = "/alerts", **headers: str) -> str:
    answer = await client.get(path, headers=headers)
    assert answer.status == 200, await answer.text()
    return _words(await answer.text())


def _words(text: str) -> str:
    return " ".join(text.split())


async def test_when_nothing_fires_the_page_says_so_and_shows_every_value(
    watched: Watched, aiohttp_client: AiohttpClient
) -> None:
    page = await _page(await aiohttp_client(watched.application()))
    assert "<strong>Nothing fires.</strong> 3 values are watched, 5 cannot be told now." in page
    assert "<strong>20 %</strong>" in page
    assert "fires above 80 %" in page
    assert "No reading: fewer than 5 answers in the last five minutes" in page
    assert "Not configured: the shared tier is not part of this version" in page
    assert "Nothing has fired yet." in page
    assert "since the start" not in page  # the history outlives restarts
    assert "Nobody is told." in page


async def test_what_fires_is_shown_with_value_threshold_meaning_and_advice(
    watched: Watched, aiohttp_client: AiohttpClient
) -> None:
    watched.see(5, memory=0.91)
    page = await _page(await aiohttp_client(watched.application()))
    assert "<strong>1 alert fires</strong>" in page
    assert "<strong>91 %</strong>" in page
    assert "400 MiB of 512 MiB, the limit of the control group." in page
    assert "Nothing has fired since the start." not in page
    assert "What fires now stands above; it appears here when it is resolved." in page
    assert "What to do:</strong> Make cache.memory" in page
    assert "for 3 s" in page
    assert "<title>1 firing · Alerts · Cachewire</title>" in page


async def test_what_is_pending_tells_how_long_until_it_fires(watched: Watched, aiohttp_client: AiohttpClient) -> None:
    watched.see(1, memory=0.91)
    page = await _page(await aiohttp_client(watched.application()))
    assert "<strong>Nothing fires yet</strong>, but one value is bad" in page
    assert "fires in 2 s" in page


async def test_what_was_is_told_with_its_length_and_its_worst(watched: Watched, aiohttp_client: AiohttpClient) -> None:
    watched.see(3, memory=0.91)
    watched.see(3, memory=0.2)
    page = await _page(await aiohttp_client(watched.application()))
    assert re.search(r'data-label="Alert">Memory runs out</td> <td[^>]*>3 s</td> <td[^>]*>91 %</td>', page)


async def test_a_reading_that_is_lost_while_it_fires_is_told(watched: Watched, aiohttp_client: AiohttpClient) -> None:
    watched.see(3, memory=0.91)
    watched.see(2, memory=None)
    assert "stands until there is a reading again" in await _page(await aiohttp_client(watched.application()))


async def test_every_page_counts_what_fires_and_the_overview_names_it(
    watched: Watched, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(watched.application())
    for path in ("/", "/cache", "/alerts"):
        assert 'class="alerts-badge" hidden' in await _page(client, path)
    assert "alerts-banner" not in await _page(client, "/")
    watched.see(3, memory=0.91, origin_down=1.0)
    for path in ("/", "/cache", "/alerts"):
        assert '2<span class="visually-hidden"> firing</span>' in await _page(client, path)
    overview_page = await _page(client, "/")
    assert "<strong>2 alerts fire.</strong>" in overview_page
    assert '<a href="/alerts#memory">Memory runs out</a> <span>91 %, above 80 %</span>' in overview_page


async def test_an_alert_that_waits_to_be_resolved_is_not_said_to_be_above(
    watched: Watched, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(watched.application())
    watched.see(3, memory=0.91)
    watched.see(1, memory=0.13)
    page = await _page(client, "/")
    assert "<span>13 %, no longer above 80 %</span>" in page
    assert '<span class="quiet">resolves in 2 s, fired ' in page


async def test_a_live_part_brings_the_count_along(watched: Watched, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(watched.application())
    assert 'id="alerts-badge" class="alerts-badge" hx-swap-oob="true" hidden' in await _page(client, "/cache", **LIVE)


async def test_a_threshold_is_changed_by_the_form_and_the_page_shows_both(
    watched: Watched, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(watched.application())
    form = {"threshold": "50%", "release": "", "for": "1s", "resolve_after": "2s", "severity": "warning"}
    answer = await client.post("/alerts/memory", data={**form, "enabled": "yes"})
    page = _words(await answer.text())
    assert answer.url.path == "/alerts"
    assert "The alert memory is changed, until the next restart." in page
    assert "configured: 80%" in page
    assert 'name="threshold" value="50%"' in page
    assert watched.watch.settings_of("memory") == {**form, "release": None, "enabled": True}
    assert watched.timeline.events()[0].by == "operator"


async def test_an_alert_can_be_switched_off_kept_and_put_back(watched: Watched, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(watched.application())
    answer = await client.post("/alerts/memory", data={"keep": "yes"})
    assert "stays so across restarts" in await answer.text()
    assert watched.watch.settings_of("memory")["enabled"] is False
    assert watched.watch.is_kept("memory")
    page = await _page(client)
    assert "not watched" in page
    assert "1 switched off" in page
    answer = await client.post("/alerts/memory/reset")
    assert "The alert memory is as configured again." in await answer.text()
    assert watched.watch.changes_of("memory") == {}


async def test_what_is_not_right_is_said_beside_what_was_entered(
    watched: Watched, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(watched.application())
    entered = {"threshold": '<b>"much"</b>', "enabled": "yes"}
    answer = await client.post("/alerts/memory", data=entered)
    page = _words(await answer.text())
    assert answer.status == 400
    assert "That did not work:" in page
    assert "write it in percent, as in 5%" in page.lower()
    assert "&lt;b&gt;&#34;much&#34;&lt;/b&gt;" in page
    assert "<b>" not in page
    assert '<details class="rule-edit" id="edit-memory" data-hold open>' in page
    answer = await client.post("/alerts/memory", data=entered, headers=LIVE)
    assert answer.status == 400
    assert not (await answer.text()).startswith("<")


@pytest.mark.parametrize("path", ["/alerts/unknown", "/alerts/unknown/reset", "/alerts/test-webhook"])
async def test_what_does_not_exist_is_refused_in_words(
    watched: Watched, aiohttp_client: AiohttpClient, path: str
) -> None:
    answer = await (await aiohttp_client(watched.application())).post(path)
    assert answer.status == 400
    assert "That did not work:" in await answer.text()


async def test_a_message_says_only_what_this_page_can_say(watched: Watched, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(watched.application())
    for query in ("done=changed&alert=<b>", "done=hacked&alert=memory", "done=changed&alert=call+0900"):
        assert 'class="message"' not in await _page(client, f"/alerts?{query}")


async def test_without_a_disk_nothing_can_be_kept_and_the_page_says_why(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    page = await _page(await aiohttp_client(Watched(edge, QUICK, None).application()))
    assert "Lasts until the next restart: the disk tier is off." in page
    assert 'name="keep"' not in page


async def test_switched_off_as_a_whole_the_page_says_how_to_switch_it_on(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    page = await _page(await aiohttp_client(Watched(edge, {"enabled": False}, None).application()))
    assert "<strong>Nothing is watched.</strong>" in page
    assert "alerts.enabled: true" in page


async def test_the_webhook_is_shown_without_its_path(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    settings = {"webhook": {"url": "https://hooks.example.org/T0/hidden", "token": "sesame"}}
    watched = Watched(edge, settings, None)
    client = await aiohttp_client(watched.application())
    page = await _page(client)
    assert "<code>https://hooks.example.org</code>" in page
    for secret in ("hidden", "sesame"):
        assert f">{secret}" not in page
        assert f"/{secret}" not in page
    answer = await client.post("/alerts/test-webhook")
    assert "A test message is on its way" in await answer.text()
    assert watched.timeline.events()[0].text == "a test was sent to the webhook"


async def test_figures_that_fail_are_said_to_have_failed(
    watched: Watched, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await aiohttp_client(watched.application())
    monkeypatch.setattr(watched.watch, "standings", None)
    answer = await client.get("/alerts")
    assert answer.status == 500
    assert "The figures could not be read" in await answer.text()
