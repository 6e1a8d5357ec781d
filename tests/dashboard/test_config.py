"""The page of the configuration in force: values, defaults, sources, live changes, and no secret whatever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from proxy.config import load
from proxy.config.effective import concealed, effective
from proxy.config.rendering import render_yaml
from proxy.config.shipped import shipped_file
from proxy.dashboard.configuration import ConfigSource
from proxy.passwords import PasswordHash
from webui.auth import security
from webui.config_shown import MOST
from webui.frame import Frame
from webui.pages import config as config_page

if TYPE_CHECKING:
    from aiohttp.test_utils import TestClient

    Client = TestClient[web.Request, web.Application]


class Shown:
    """The page over a configuration that a test writes."""

    def __init__(self, aiohttp_client: AiohttpClient, directory: Path) -> None:
        self._serve = aiohttp_client
        self._directory = directory
        self.live: dict[str, tuple[str, str]] = {}
        self._client: Client | None = None

    async def over(self, text: str = "", env: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> None:
        path = self._directory / "config.yaml"
        path.write_text(text)
        await self.over_file(path, env, overrides)

    async def over_file(self, path: Path, env: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> None:
        loaded = load(path, env=env or {}, overrides=overrides)
        app = web.Application(middlewares=security(None))
        config_page.setup(Frame(app), ConfigSource(loaded.config, loaded.sources, lambda: self.live))
        self._client = await self._serve(app)

    async def page(self, query: str = "", status: int = 200) -> str:
        assert self._client is not None
        answer = await self._client.get(f"/config?{query}" if query else "/config")
        assert answer.status == status
        return await answer.text()

    async def settings(self, query: str = "") -> dict[str, dict[str, Any]]:
        assert self._client is not None
        answer = await (await self._client.get(f"/api/config?{query}")).json()
        return {setting["key"]: setting for setting in answer["settings"]}


@pytest.fixture
def shown(aiohttp_client: AiohttpClient, tmp_path: Path) -> Shown:
    return Shown(aiohttp_client, tmp_path)


async def test_every_value_says_where_it_came_from(shown: Shown, tmp_path: Path) -> None:
    text = "cache:\n  memory: 1MiB\n  disk: 1GiB\nroutes:\n  - {match: /api/**, strategy: cache-first}\n"
    await shown.over(text, {"CACHEWIRE__CACHE__MAX_ENTRIES": "7"}, ["log.level=debug"])
    settings = await shown.settings()
    found = {key: (each["value"], each["source"], each["kind"]) for key, each in settings.items()}
    assert found["cache.memory"] == ("1MiB", f"{tmp_path}/config.yaml:2", "file")
    assert found["cache.max_entries"] == ("7", "environment CACHEWIRE__CACHE__MAX_ENTRIES", "environment")
    assert found["log.level"] == ("debug", "--set", "command")
    assert found["server.max_body"] == ("1GiB", "default", "default")
    assert found["routes.0.match.path"] == ("/api/**", f"{tmp_path}/config.yaml:5", "file")
    assert settings["cache.memory"]["default"] == "64MiB"
    assert settings["cache.memory"]["meaning"] == "Bytes of bodies kept in memory; 0 switches the memory tier off."
    page = await shown.page()
    assert 'title="cache.memory"' in page
    assert "<code>1MiB</code>" in page
    assert "default: 64MiB" in page
    assert "config.yaml:2" in page
    assert "CACHEWIRE__CACHE__MAX_ENTRIES" in page


async def test_only_what_differs_from_the_default_counts_as_changed_wherever_it_was_written(shown: Shown) -> None:
    await shown.over("cache: {memory: 64MiB, disk: 2GiB, dir: .cachewire/cache}\n")
    assert set(await shown.settings("changed=yes")) == {"cache.disk"}
    page = await shown.page("changed=yes")
    assert "<code>2GiB</code>" in page
    assert "<code>64MiB</code>" not in page


async def test_every_key_of_the_model_is_there_once(shown: Shown) -> None:
    await shown.over_file(shipped_file())
    assert shown._client is not None
    answer = await (await shown._client.get("/api/config")).json()
    keys = [setting["key"] for setting in answer["settings"]]
    loaded = load(shipped_file(), env={})
    assert keys == list(loaded.sources)
    assert len(keys) == len(set(keys))
    assert all(setting["meaning"] for setting in answer["settings"])


async def test_words_are_sought_in_key_value_source_and_meaning(shown: Shown) -> None:
    await shown.over("cache:\n  memory: 1MiB\n", {"CACHEWIRE__ORIGIN__URL": "http://app.example:3000"})
    assert set(await shown.settings("q=app.example:3000")) == {"origin.url"}
    assert set(await shown.settings("q=config.yaml")) == {"cache.memory"}
    assert "server.max_body" in await shown.settings("q=largest+BODY")
    assert "No setting has “nonsense” in key" in await shown.page("q=nonsense")
    assert 'value="nonsense"' in await shown.page("q=nonsense")


async def test_a_live_change_stands_before_what_is_configured_and_says_whose_it_is(shown: Shown) -> None:
    await shown.over("realtime: {batch: {delay: 80ms}}\n")
    shown.live["realtime.batch.delay"] = ("100ms", "tuning: preset high-traffic")
    shown.live["admin.token"] = ("must not be seen", "tuning")
    setting = (await shown.settings("q=batch.delay"))["realtime.batch.delay"]
    assert (setting["value"], setting["configured"]) == ("100ms", "80ms")
    assert (setting["kind"], setting["source"]) == ("live", "tuning: preset high-traffic")
    page = await shown.page()
    assert "configured: 80ms" in page
    assert "changed live" in page
    assert "tuning: preset high-traffic" in page
    assert "must not be seen" not in page
    shown.live.clear()
    assert (await shown.settings("q=batch.delay"))["realtime.batch.delay"]["value"] == "80ms"


SECRETS = {
    "admin.token": "admin-token-admin-token",
    "admin.purge_token": "purge-token-purge-token",
    "admin.password_hash": str(PasswordHash(2**14, 8, 1, b"salt-salt-salt-1", b"h" * 32)),
    "admin.viewer_password_hash": str(PasswordHash(2**14, 8, 1, b"salt-salt-salt-2", b"v" * 32)),
    "realtime.jwt.secret": "jwt-secret-jwt-secret",
    "realtime.origin.token": "origin-token-origin-token",
}


@pytest.mark.parametrize("way", ["file", "environment", "--set"])
async def test_no_secret_is_shown_however_it_was_set(shown: Shown, tmp_path: Path, way: str) -> None:
    import yaml

    nested: dict[str, Any] = {}
    for key, secret in SECRETS.items():
        *sections, name = key.split(".")
        section = nested
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = secret
    env = {f"CACHEWIRE__{key.upper().replace('.', '__')}": secret for key, secret in SECRETS.items()}
    overrides = [f"{key}={secret}" for key, secret in SECRETS.items()]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(nested) if way == "file" else "")
    given = (env if way == "environment" else {}), (overrides if way == "--set" else [])
    await shown.over_file(path, *given)
    loaded = load(path, env=given[0], overrides=given[1])
    everything = [await shown.page(), await shown.page("changed=yes"), str(await shown.settings()), repr(loaded.config)]
    everything.append(render_yaml(loaded.config, loaded.sources))
    for key, secret in SECRETS.items():
        assert (await shown.settings())[key]["value"] == "'********'"
        assert (await shown.settings())[key]["secret"]
        assert not await shown.settings(f"q={secret[-12:]}")
        for text in everything:
            assert secret not in text
            assert secret.rpartition("$")[2] not in text


@pytest.mark.parametrize(
    ("value", "hidden", "kept"),
    [
        ("https://user:hunter2@hooks.example/x", "hunter2", "hooks.example/x"),
        ("https://hunter2@hooks.example/x", "hunter2", "https://"),
        ("redis://:hunter2@[::1]:6379/0", "hunter2", "[::1]:6379/0"),
        ("https://hooks.example/x?a=1&token=hunter2&b=2", "hunter2", "a=1"),
        ("https://hooks.example/x?api_key=hunter2", "hunter2", "api_key="),
        (["http://a@b.example", "http://c.example"], "a@", "c.example"),
        ({"Authorization": "Bearer hunter2", "X-Api-Key": "hunter2", "X-Team": "ops"}, "hunter2", "ops"),
    ],
)
def test_a_secret_inside_a_url_or_a_header_is_masked(value: object, hidden: str, kept: str) -> None:
    shown = str(concealed(("log", "level"), value))
    assert hidden not in shown
    assert kept in shown
    assert "********" in shown


async def test_markup_in_a_value_is_text(shown: Shown) -> None:
    await shown.over("routes:\n  - {name: '<script>x', match: /a, strategy: cache-only, tags: ['<b>bold']}\n")
    page = await shown.page()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert "&lt;b&gt;bold" in page
    assert "&lt;img" in await shown.page("q=<img")


async def test_many_routes_make_no_endless_page(shown: Shown) -> None:
    routes = "".join(f"  - {{match: /r{number}/**, strategy: cache-first}}\n" for number in range(300))
    await shown.over(f"routes:\n{routes}")
    page = await shown.page()
    assert len(page) < 200 * 1024
    assert page.count('id="set-') == MOST
    assert "more do not fit on this page" in page
    assert "keys of routes and other lists have their default" in page
    assert "<code>/r299/**</code>" in await shown.page("q=r299")


async def test_what_may_not_be_meant_is_said_above_the_settings(shown: Shown) -> None:
    await shown.over("realtime: {auth: trusted}\nroutes: [{match: /a, strategy: cache-only}]\n")
    page = await shown.page()
    assert "realtime.auth is trusted" in page
    assert "Requests that no route matches" in page
    await shown.over("realtime: {enabled: false}\n")
    assert "is it meant" not in await shown.page()


async def test_everything_at_its_default_says_so(shown: Shown) -> None:
    await shown.over()
    assert "Everything has its default." in await shown.page("changed=yes")


@pytest.mark.parametrize("query", ["changed=no", "q=" + "x" * 201])
async def test_an_address_that_is_wrong_is_told_what_would_be_right(shown: Shown, query: str) -> None:
    await shown.over()
    assert "The address is not right" in await shown.page(query, 400)
    assert shown._client is not None
    assert (await shown._client.get(f"/api/config?{query}")).status == 400


def test_the_effective_settings_know_where_the_default_is_a_list() -> None:
    loaded = load(None, env={}, overrides=["realtime.channels=[{match: news}]"])
    settings = {setting.key: setting for setting in effective(loaded.config, loaded.sources)}
    assert settings["realtime.channels.0.match"].changed
    assert not settings["routes.0.strategy"].changed
    assert settings["routes.0.strategy"].value == "network-first"
