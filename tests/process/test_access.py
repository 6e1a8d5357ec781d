"""The admin listener of a whole process, guarded by a password that `cachewire password` made a hash of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.origin import ScriptedOrigin
from tests.process.edge_process import ROOT, serving

PASSWORD = "correct horse battery staple"
TOKEN = "a-token-for-scripts"


def made_hash() -> str:
    command = [sys.executable, "-m", "proxy", "password", "--stdin"]
    return subprocess.run(
        command, cwd=ROOT, input=f"{PASSWORD}\n", capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


async def test_nothing_is_shown_before_the_login_and_everything_after_it(tmp_path: Path) -> None:
    hashed = made_hash()
    admin = {"listen": "127.0.0.1:0", "password_hash": hashed, "token": TOKEN}
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        ScriptedOrigin() as origin,
        serving(tmp_path, origin.url, admin=admin) as edge,
        aiohttp.ClientSession(edge.admin_url, cookie_jar=jar, headers={"Accept": "text/html"}) as browser,
    ):
        assert (await browser.get("/healthz")).status == 200
        assert (await browser.get("/readyz")).status == 200
        assert (await browser.get("/", allow_redirects=False)).headers["Location"] == "/login"
        assert (await browser.get("/metrics")).status == 401
        wrong = await browser.post("/login", data={"password": "wrong horse"}, allow_redirects=False)
        assert wrong.status == 403
        right = await browser.post("/login", data={"password": PASSWORD, "to": "/cache"}, allow_redirects=False)
        assert (right.status, right.headers["Location"]) == (303, "/cache")
        assert "Stored responses" in await (await browser.get("/cache")).text()
        assert (await browser.get("/metrics")).status == 200
        timeline = await (await browser.get("/api/timeline?kind=access")).json()
        told = [event["text"] for event in timeline["events"]]
        assert told == ["logged in", "a login failed, from 127.0.0.1"]
        everything = await (await browser.get("/timeline")).text() + await (await browser.get("/config")).text()
        assert "somebody" in everything
        assert hashed not in everything
        assert hashed.rpartition("$")[2] not in everything
        assert PASSWORD not in everything
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as script:
            assert (await script.get(f"{edge.admin_url}/metrics")).status == 200


def test_beyond_loopback_it_does_not_start_unguarded_and_names_the_command() -> None:
    command = [sys.executable, "-m", "proxy", "serve", "--set", "admin.listen=0.0.0.0:0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "0.0.0.0:0 can be reached from other machines, but nobody is asked who they are" in done.stderr
    assert "Run `cachewire password` and set admin.password_hash" in done.stderr


async def test_beyond_loopback_it_starts_with_a_password(tmp_path: Path) -> None:
    admin = {"listen": "0.0.0.0:0", "password_hash": made_hash()}
    async with (
        ScriptedOrigin() as origin,
        serving(tmp_path, origin.url, admin=admin) as edge,
        aiohttp.ClientSession() as anybody,
    ):
        assert (await anybody.get(f"{edge.admin_url}/metrics")).status == 401
