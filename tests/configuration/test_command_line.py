"""`cachewire` as an operator meets it: exit status, what goes where, and texts of one screen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.operations.kept_changes import KeptChanges
from proxy.tuning.kept import Kept, write_kept
from proxy.tuning.state import Chosen, HandSet
from proxy.version import __version__

ROOT = Path(__file__).parents[2]
CACHEWIRE = [sys.executable, "-m", "proxy"]
QUIET_PORTS = ["--set", "server.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"]


def environment(**extra: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CACHEWIRE__")}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}


def cachewire(directory: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """A finished `cachewire` process, run in a directory."""
    return subprocess.run(
        [*CACHEWIRE, *arguments], cwd=directory, env=environment(**extra), capture_output=True, text=True, timeout=30
    )


@contextlib.contextmanager
def running(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `cachewire` process that is ended at the end, whatever happens."""
    with subprocess.Popen(
        [*CACHEWIRE, *arguments],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line from now on that has `pattern`; fails with everything said when the process ends before."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError("".join(lines))


def fetched(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and Cache-Status of a GET."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=10) as response:
        response.read()
        return response.status, response.headers.get("Cache-Status", "")


def invoked(*arguments: str, **extra: str) -> Result:
    return CliRunner(env=extra).invoke(main, arguments, prog_name="cachewire")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CACHEWIRE__")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_a_configuration_that_cannot_be_used_ends_with_status_2_and_one_screen(tmp_path: Path) -> None:
    keys = "".join(f"  key{number}: 1\n" for number in range(50))
    (tmp_path / "config.yaml").write_text(f"server:\n{keys}")
    for command in ("serve", "check", "config", "explain /", "purge /", "warm /"):
        done = cachewire(tmp_path, *command.split())
        assert done.returncode == 2, command
        assert done.stdout == ""
        assert done.stderr.startswith(
            "cachewire: error: the configuration cannot be used\n\nconfig.yaml:2: server.key0"
        )
        assert len(done.stderr.splitlines()) < 25


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--config", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["serve", "--origin", "localhost:3000"], "--origin origin.url: origin.url: 'localhost:3000' is not an origin"),
        (["serve", "--set", "cache.memory=64"], "--set cache.memory: cache.memory: 64 has no unit"),
        (["demo", "--listen", "8080"], "--listen server.listen: server.listen: '8080' is not an address"),
        (["check", "--set", "nonsense"], "Write section.key=value"),
    ],
)
def test_a_wrong_call_ends_with_status_2_and_says_which_option_is_wrong(
    elsewhere: Path, arguments: list[str], told: str
) -> None:
    result = invoked(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_an_environment_variable_that_is_wrong_is_named(elsewhere: Path) -> None:
    result = invoked("check", CACHEWIRE__SERVER__IDLE_TIMEOUT="5")
    assert result.exit_code == 2
    assert "environment CACHEWIRE__SERVER__IDLE_TIMEOUT: server.idle_timeout: 5 has no unit" in result.stderr


def test_check_says_that_a_file_is_right_and_notes_overlaps(elsewhere: Path) -> None:
    result = invoked("check", "--config", str(ROOT / "config.yaml"))
    assert result.exit_code == 0
    assert "right. 8 routes, 127.0.0.1:8080 -> http://127.0.0.1:3000" in result.stdout
    assert "note: routes[4] `images` may match requests that earlier routes take: routes[0] `auth`" in result.stdout
    assert "no route matches" not in result.stdout


def test_check_notes_requests_that_no_route_takes(elsewhere: Path) -> None:
    result = invoked("check", "--set", "routes=[{match: /api/**, strategy: network-first}]")
    assert result.exit_code == 0
    assert "requests that no route matches go to the origin and are never stored" in result.stdout


def test_the_file_in_the_working_directory_is_used_without_being_named(elsewhere: Path) -> None:
    Path("config.yaml").write_text("log: {level: debug}\n")
    assert "level: debug                               # config.yaml:1\n" in invoked("config").stdout


def test_without_a_file_everything_is_a_default(elsewhere: Path) -> None:
    result = invoked("config", "--effective")
    assert result.exit_code == 0
    assert all(line.endswith(("# default", ":")) for line in result.stdout.splitlines())


def test_what_operators_have_kept_is_in_force_with_its_origin_though_no_edge_runs(elsewhere: Path) -> None:
    Path("config.yaml").write_text(
        "cache: {dir: stored, memory: 32MiB}\nalerts: {rules: {memory: {threshold: 70%, for: 2m}}}\n"
    )
    Path("stored").mkdir()
    write_kept(
        Path("stored/tuning.json"),
        Kept(Chosen("high-traffic", "ben", 1.0), {"cache.memory": HandSet(48 * 2**20, "anna", 1.0)}, auto=False),
    )
    KeptChanges(Path("stored/alerts.json")).write({"memory": {"threshold": "60%"}})
    result = invoked("config", "--effective")
    assert {
        "memory: 48MiB # operator anna, kept",
        "heuristic: 10s # preset high-traffic, kept",
        "preset: high-traffic # by hand, kept",
        "enabled: false # by hand, kept",
        "threshold: 60% # by hand, kept",
        "for: 2m # config.yaml:2",
    } <= {" ".join(line.split()) for line in result.stdout.splitlines()}
    without = invoked("config", "--effective", "--set", "cache.disk=0").stdout
    assert "kept" not in "".join(line.partition("#")[2] for line in without.splitlines())


def test_a_preset_of_the_configuration_is_in_force_with_its_origin(elsewhere: Path) -> None:
    shown = invoked("config", "--effective", "--set", "tuning.preset=high-traffic").stdout
    assert "heuristic: 10s # configuration: preset high-traffic" in {
        " ".join(line.split()) for line in shown.splitlines()
    }


def test_what_was_kept_and_is_damaged_is_said_and_the_configuration_counts(
    elsewhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("config.yaml").write_text("cache: {dir: stored}\n")
    Path("stored").mkdir()
    Path("stored/tuning.json").write_text("5")
    result = invoked("config", "--effective")
    assert result.exit_code == 0
    assert "tuning.json is not used (Input should be an object): nothing of it is in force" in caplog.text


def test_the_printed_defaults_are_a_file_that_is_right(elsewhere: Path) -> None:
    Path("config.yaml").write_text(invoked("config", "--defaults").stdout)
    assert invoked("check").exit_code == 0


def test_the_printed_schema_is_json(elsewhere: Path) -> None:
    schema = json.loads(invoked("config", "--schema").stdout)
    sections = "server admin origin cache routes precache outbox realtime alerts tuning log"
    assert set(schema["properties"]) == set(sections.split())


def test_the_token_is_masked_wherever_the_configuration_is_printed(elsewhere: Path) -> None:
    result = invoked("config", CACHEWIRE__ADMIN__TOKEN="hunter2")
    assert "hunter2" not in result.output
    assert re.search(r"token: '\*{8}' +# environment CACHEWIRE__ADMIN__TOKEN\n", result.output)


def test_the_version_is_told() -> None:
    assert invoked("--version").output == f"cachewire {__version__}\n"


def test_help_shows_every_command_with_examples() -> None:
    overview = invoked("--help").output
    names = "serve demo check config explain purge warm top password"
    assert list(main.commands) == names.split()
    for name, command in main.commands.items():
        assert re.search(rf"^  {name} +\w", overview, re.MULTILINE)
        told = invoked(name, "--help").output
        assert "Examples:" in told
        assert f"  cachewire {name}" in told
        assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option))


def test_help_comes_without_the_weight_of_the_server(tmp_path: Path) -> None:
    script = "import sys; from proxy.cli import main; main(['--help'], standalone_mode=False);"
    script += "sys.exit(any(name in sys.modules for name in ('aiohttp', 'pydantic', 'yaml', 'proxy.app')))"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), check=True, capture_output=True)


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    result = invoked("wram")
    assert result.exit_code == 2
    assert "Did you mean 'warm'?" in result.stderr


def test_serve_stands_in_front_of_the_origin_and_ends_with_0_when_it_is_told_to_stop(tmp_path: Path) -> None:
    with running(tmp_path, "serve", "--origin", "http://127.0.0.1:9", *QUIET_PORTS) as process:
        admin = said(process, r"dashboard +(http://\S+)")[1]
        assert fetched(f"{admin}/healthz")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_port_that_is_taken_ends_with_status_1_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        done = cachewire(tmp_path, "serve", "--set", f"server.listen={listen}", "--set", "admin.listen=127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr.startswith(f"cachewire: error: {listen} (server.listen) is taken")


def test_the_demo_serves_the_application_outlives_its_origin_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--origin-listen", "127.0.0.1:0", *QUIET_PORTS) as process:
        edge, origin = said(process, r"edge +(http://\S+) +in front of (http://\S+)").groups()
        assert f"{origin}/demo/chaos" in said(process, "break it.*").group()
        status, verdict = fetched(f"{edge}/api/reports")
        assert (status, "stored" in verdict) == (200, True)
        origin_pid = child_of(process.pid)
        os.kill(origin_pid, signal.SIGKILL)
        said(process, "the demo origin was killed by signal 9; the edge keeps answering")
        assert fetched(f"{edge}/api/reports", {"Cache-Control": "no-cache"})[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert (tmp_path / ".cachewire" / "cache").is_dir()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_the_demo_says_that_its_origins_port_is_taken(elsewhere: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        result = invoked("demo", "--origin-listen", listen)
    assert result.exit_code == 1
    assert f"the demo origin cannot listen on {listen}: address already in use. Another address:" in result.stderr
