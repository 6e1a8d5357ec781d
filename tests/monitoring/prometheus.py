"""Prometheus and promtool as tests drive them: real processes on the loopback, with their data in a directory."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
PATIENCE = 30.0


def tool(name: str) -> str:
    """The path of a program of Prometheus's."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is missing (Debian: apt install prometheus)")
    return path


def promtool(*arguments: str, given: str | None = None) -> None:
    """Run promtool in docs/monitoring; what it says is the failure's text."""
    command = [tool("promtool"), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=MONITORING, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query. Fails the test when Prometheus refuses it."""
        target = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            answer = json.loads(asked(target))
        except urllib.error.HTTPError as error:
            pytest.fail(f"{expression}\n{error.read().decode()}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(asked(f"{self.url}/api/v1/targets"))["data"]["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        groups = json.loads(asked(f"{self.url}/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def until(self, expression: str) -> None:
        """Wait until a query has a result."""
        end = time.monotonic() + PATIENCE
        while not self.query(expression):
            assert time.monotonic() < end, f"no data for {expression}; targets: {self.targets()}"
            time.sleep(0.1)


def asked(url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> str:
    request = urllib.request.Request(url, body, dict(headers or {}))
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return str(response.read().decode("utf-8", "replace"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scraping(directory: Path, jobs: str) -> Iterator[Prometheus]:
    """A server with our rules that scrapes the `jobs` (YAML) twice a second."""
    config = directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\n"
        f"rule_files: [{MONITORING / 'cachewire.rules.yml'}]\nscrape_configs:\n{jobs}"
    )
    port = free_port()
    process = subprocess.Popen(
        [
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        cwd=directory,
    )
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        _until_ready(server.url, process)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, "prometheus has ended"
        try:
            asked(f"{url}/-/ready")
        except OSError:
            assert time.monotonic() < end, "prometheus does not become ready"
            time.sleep(0.1)
        else:
            return
