"""The tuning page: what would change is shown before it does, with and without script."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from proxy.tuning.control import Tuning
from proxy.tuning.presets import PRESETS
from proxy.tuning.state import Change
from tests.browser import chromium, in_browser
from tests.edge import EdgeUnderTest, edge_before

MEMORY, DELAY = "cache.memory", "realtime.batch.delay"
LIVE = {"HX-Request": "true"}


@dataclass
class Transition:
    rule: str
    state: str


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before("http://127.0.0.1:9", cache_dir=tmp_path) as edge:
        yield edge


@pytest.fixture
def tuning(edge: EdgeUnderTest) -> Tuning:
    return edge.app.control_room.tuning


@pytest.fixture
async def operator(edge: EdgeUnderTest) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{edge.app.admin_address}") as session:
        yield session


async def page(operator: aiohttp.ClientSession, path: str = "/tuning", **headers: str) -> str:
    async with operator.get(path, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def post(operator: aiohttp.ClientSession, action: str, status: int = 200, **form: str) -> str:
    async with operator.post(f"/tuning/{action}", data=form) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


def text(markup: str) -> str:
    """What a reader sees, more or less."""
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


class TestPresets:
    async def test_a_preview_shows_what_would_change_and_why_and_changes_nothing(
        self, operator: aiohttp.ClientSession, tuning: Tuning
    ) -> None:
        shown = text(await page(operator, "/tuning?preview=high-traffic"))
        assert "Switching to high-traffic changes 4 values" in shown
        assert "Batch delay realtime.batch.delay 50ms → becomes 100ms Twice the messages" in shown
        assert tuning.overrides() == {}

    async def test_a_switch_says_so_once_and_shows_every_value_with_its_origin(
        self, operator: aiohttp.ClientSession, tuning: Tuning
    ) -> None:
        shown = text(await post(operator, "preset", preset="high-traffic"))
        assert "The preset is high-traffic now: 4 values changed." in shown
        assert "in force: high-traffic , chosen by operator 0 s ago" in shown
        assert "4 of 14 not simply as configured" in shown
        assert tuning.overrides()[DELAY] == ("100ms", "preset high-traffic")

    async def test_what_is_set_by_hand_is_named_as_staying(
        self, operator: aiohttp.ClientSession, tuning: Tuning
    ) -> None:
        tuning.set(DELAY, "70ms", keep=False, by="anna")
        shown = text(await page(operator, "/tuning?preview=high-traffic"))
        assert "changes 3 values" in shown
        assert "stays Batch delay is 70ms by hand; high-traffic has 100ms" in shown

    async def test_what_a_rule_has_set_is_named_as_staying_while_its_alert_lasts(
        self, operator: aiohttp.ClientSession, tuning: Tuning
    ) -> None:
        tuning.state = tuning.state.acted(1, "response-time", [Change(DELAY, 0.05, 0.168)], 1.0)
        shown = text(await page(operator, "/tuning?preview=high-traffic"))
        assert "changes 3 values" in shown
        assert "stays Batch delay is 168ms automatically, until response-time is calm; then it is 100ms" in shown

    async def test_kept_presets_are_told_from_those_that_end_with_the_process(
        self, operator: aiohttp.ClientSession
    ) -> None:
        assert "also after a restart." in await post(operator, "preset", preset="high-traffic", keep="yes")
        assert "a restart brings back high-traffic" in await post(operator, "preset", preset="default")

    async def test_an_unknown_preview_shows_the_page_without_one(self, operator: aiohttp.ClientSession) -> None:
        assert 'id="preview"' not in await page(operator, "/tuning?preview=<script>")


class TestValues:
    async def test_one_value_is_set_and_reset(self, operator: aiohttp.ClientSession, edge: EdgeUnderTest) -> None:
        assert "cache.memory is 48MiB now." in await post(operator, "set", key=MEMORY, value="48MiB")
        assert edge.app.store.memory_limit == 48 * 2**20
        assert "48.0 MiB" not in await page(operator, "/tuning")
        assert "of 48.0 MiB" in await page(operator, "/"), "the overview shows the limit in force"
        assert "cache.memory is 64MiB again." in await post(operator, "reset", key=MEMORY)
        assert edge.app.store.memory_limit == 64 * 2**20

    async def test_a_wrong_value_comes_back_in_its_open_form_with_what_would_be_right(
        self, operator: aiohttp.ClientSession, tuning: Tuning
    ) -> None:
        shown = await post(operator, "set", 400, key=DELAY, value='7"><script>alert(1)</script>')
        assert "Nothing was changed." in shown
        assert "write a number with its unit, as in 250ms" in shown
        assert "<script>alert" not in shown
        assert 'value="7&#34;&gt;&lt;script&gt;' in shown
        assert shown.count('<details class="edit" open>') == 1
        assert tuning.overrides() == {}

    async def test_everything_is_reset_at_once(self, operator: aiohttp.ClientSession, tuning: Tuning) -> None:
        tuning.choose("low-bandwidth", keep=True, by="anna")
        tuning.set(MEMORY, "48MiB", keep=True, by="anna")
        assert "Everything is as configured: 6 values changed back." in await post(operator, "reset", all="yes")
        assert tuning.overrides() == {}

    @pytest.mark.parametrize(
        ("action", "form"),
        [
            ("preset", {}),
            ("preset", {"preset": "fast"}),
            ("set", {"key": "cache.dir", "value": "/"}),
            ("reset", {}),
            ("auto", {"enabled": "perhaps"}),
            ("undo", {"event": "x"}),
            ("undo", {"event": "7"}),
        ],
    )
    async def test_a_form_that_makes_no_sense_changes_nothing_and_says_so(
        self, operator: aiohttp.ClientSession, tuning: Tuning, action: str, form: dict[str, str]
    ) -> None:
        assert "Nothing was changed." in await post(operator, action, 400, **form)
        assert tuning.overrides() == {}

    async def test_a_refusal_is_plain_text_for_a_live_form(self, operator: aiohttp.ClientSession) -> None:
        form = {"key": DELAY, "value": "100"}
        async with operator.post("/tuning/set", data=form, headers=LIVE) as answer:
            assert answer.status == 400
            assert answer.content_type == "text/plain"
            assert "write 100s for seconds" in await answer.text()


class TestAutoOptimisation:
    async def test_what_was_done_is_shown_with_figures_and_can_be_undone(
        self, operator: aiohttp.ClientSession, edge: EdgeUnderTest, tuning: Tuning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tuning, "_figures", lambda: {"memory_tier": 60.0 * 2**20})
        assert "Nothing yet" in await page(operator)
        tuning.alerted(Transition("memory", "firing"))
        await tuning.act()
        edge.clock.advance(31)
        await tuning.act()
        shown = text(await page(operator))
        assert "The memory tier is smaller Memory tier 64MiB → becomes 48MiB" in shown
        assert "firing 31 s, 1 of at most 6 steps" in shown
        assert "memory tier 60.0 MiB → then 60.0 MiB" in shown
        assert "Undone: 1 automatic step." in await post(operator, "undo", event="1")
        shown = text(await page(operator))
        assert "undone by operator, 0 s ago" in shown
        assert "yields to an operator" in shown

    async def test_what_would_not_have_helped_is_shown_with_the_reason(
        self, operator: aiohttp.ClientSession, tuning: Tuning
    ) -> None:
        tuning.alerted(Transition("memory", "firing"))
        await tuning.act()
        shown = text(await page(operator))
        assert "it holds 0 MiB, so even a limit of 16 MiB frees nothing" in shown
        assert "not done" in shown

    async def test_it_is_switched_off_and_on(self, operator: aiohttp.ClientSession, tuning: Tuning) -> None:
        assert "Auto-optimisation is off now, also after a restart." in await post(
            operator, "auto", enabled="false", keep="yes"
        )
        assert tuning.optimiser.enabled is False
        assert "Nothing is done by itself" in await page(operator)
        await post(operator, "auto", enabled="true")
        assert tuning.optimiser.enabled is True


async def test_whoever_acts_is_named(operator: aiohttp.ClientSession, edge: EdgeUnderTest) -> None:
    await post(operator, "preset", preset="high-traffic")
    (event,) = edge.app.control_room.timeline.events(kind="tuning")
    assert (event.by, event.text) == ("operator", "preset high-traffic")


async def test_a_message_is_nobody_elses_words(operator: aiohttp.ClientSession) -> None:
    assert "You have won" not in await page(operator, "/tuning?said=You+have+won")


async def test_the_live_part_is_that_of_the_page_and_nothing_is_inline(operator: aiohttp.ClientSession) -> None:
    for path in ("/tuning", "/tuning?preview=low-bandwidth"):
        whole, part = await page(operator, path), await page(operator, path, **LIVE)
        assert part[part.index("<main") :].strip() in whole
        assert not re.search(r"\sstyle=|<style|\son\w+=|hx-on|javascript:|<script(?![^>]*\ssrc=)", whole)
        assert len(whole) < 60_000


async def test_figures_that_fail_say_so(
    operator: aiohttp.ClientSession, tuning: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "state", None)
    async with operator.get("/tuning") as answer:
        assert answer.status == 500
        assert "could not be read" in await answer.text()


class TestInChromium:
    pytestmark = in_browser

    @asynccontextmanager
    async def _browser(self) -> AsyncIterator[Browser]:
        async with chromium() as browser:
            yield browser

    async def test_a_preset_is_looked_at_switched_to_and_reset_live(self, edge: EdgeUnderTest, tuning: Tuning) -> None:
        async with self._browser() as browser:
            page = await browser.new_page()
            complaints: list[str] = []
            page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"http://{edge.app.admin_address}/tuning")
            await page.locator(".preset", has_text="high-traffic").get_by_role("link").click()
            await expect(page.locator(".changes tbody tr")).to_have_count(4)
            await page.evaluate("window.never_reloaded = true")
            await page.get_by_role("button", name="Switch to high-traffic").click()
            await expect(page.locator("#flash[role=status]")).to_have_text(
                "The preset is high-traffic now: 4 values changed."
            )
            await expect(page.locator("#preset-now")).to_have_text("high-traffic")
            await expect(page).to_have_url(f"http://{edge.app.admin_address}/tuning")
            assert await page.evaluate("window.never_reloaded") is True

            row = page.locator("#knob-cache-memory")
            await row.get_by_text("Change…").click()
            await row.get_by_label("New value of cache.memory").fill("much")
            await row.get_by_role("button", name="Set").click()
            await expect(page.locator("#flash")).to_contain_text("'much' is not a size")
            complaints.clear()  # Chromium itself notes the 400
            await row.get_by_label("New value of cache.memory").fill("48MiB")
            await row.get_by_role("button", name="Set").click()
            await expect(row.locator(".in-force")).to_have_text("48MiB")
            await expect(row).to_contain_text("by hand")
            await row.get_by_role("button", name="Reset cache.memory").click()
            await expect(row.locator(".in-force")).to_have_text("64MiB")
            assert complaints == []
            assert MEMORY not in tuning.overrides()

    async def test_everything_works_without_script(self, edge: EdgeUnderTest, tuning: Tuning) -> None:
        async with self._browser() as browser:
            context = await browser.new_context(java_script_enabled=False)
            page = await context.new_page()
            await page.goto(f"http://{edge.app.admin_address}/tuning")
            await page.locator(".preset", has_text="low-bandwidth").get_by_role("link").click()
            await page.get_by_label("also after a restart").first.check()
            await page.get_by_role("button", name="Switch to low-bandwidth").click()
            await expect(page.locator("#flash[role=status]")).to_contain_text("also after a restart")
            assert tuning.kept.preset is not None
            assert tuning.kept.preset.name == "low-bandwidth"
            row = page.locator("#knob-realtime-compression-enabled")
            await row.get_by_text("Change…").click()
            await row.get_by_label("New value of").select_option("false")
            await row.get_by_role("button", name="Set").click()
            assert tuning.overrides()["realtime.compression.enabled"] == ("false", "operator")
            await context.close()

    @pytest.mark.parametrize("width", [390, 1920])
    async def test_the_page_does_not_scroll_sideways(self, edge: EdgeUnderTest, tuning: Tuning, width: int) -> None:
        tuning.alerted(Transition("quality-poor", "firing"))
        await tuning.act()
        async with self._browser() as browser:
            page = await browser.new_page(viewport={"width": width, "height": 900})
            await page.goto(f"http://{edge.app.admin_address}/tuning?preview=high-traffic")
            await page.locator("#knob-cache-memory").get_by_text("Change…").click()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_no_preset_speaks_of_null(operator: aiohttp.ClientSession) -> None:
    shown = [html.unescape(text(await page(operator, f"/tuning?preview={name}"))) for name in PRESETS]
    assert not any("null →" in each or "becomes null" in each for each in shown)
    assert any("the route's own → becomes" in each for each in shown)


async def test_a_value_that_is_not_set_is_shown_in_words(operator: aiohttp.ClientSession) -> None:
    async with operator.get("/tuning") as answer:
        page = await answer.text()
    assert "<code>the route&#39;s own</code>" in page
    assert "<code>null</code>" not in page


async def test_units_in_hints_are_written_as_they_are_read(operator: aiohttp.ClientSession) -> None:
    shown = await page(operator)
    assert "MiB" in shown
    assert not re.search(r"[0-9][kmgt]ib\b", shown)
    assert "A size such as" in shown
