"""The demo as a process: it starts, says so, stops when told, and is the same every time."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import main

ROOT = Path(__file__).parents[2]
ANSWERED = (
    "/api/reports?per_page=100",
    "/api/reports?per_page=100&page=2",
    "/api/reports/r77",
    "/api/profiles",
    "/api/chat/conversations?user=u9",
    "/api/chat/messages/c4?per_page=100",
    "/",
    "/reports/r12",
    "/uploads/r120-1.jpg",
    "/avatars/u33.png",
)


@contextlib.contextmanager
def running(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo process on a free port, and its URL; whatever happens, it is gone afterwards."""
    command = [sys.executable, "-m", "demo", "--listen", "127.0.0.1:0", "--data", str(directory), *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            prefix = "demo origin ready on "
            assert line.startswith(f"{prefix}http://127.0.0.1:"), process.stderr and process.stderr.read()
            yield process, line.removeprefix(prefix).strip()
        finally:
            process.kill()


def digest_of_answers(url: str) -> list[str]:
    answers = []
    for path in ANSWERED:
        with urllib.request.urlopen(url + path, timeout=20) as response:
            tag = response.headers.get("ETag", "")
            answers.append(f"{path} {tag} {hashlib.sha256(response.read()).hexdigest()}")
    return answers


def test_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    with running(tmp_path / "one", "--quiet") as (_, first), running(tmp_path / "two", "--quiet") as (_, second):
        assert digest_of_answers(first) == digest_of_answers(second)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "--quiet") as (process, _):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_ends_with_its_standard_input_when_told_so(tmp_path: Path) -> None:
    with running(tmp_path, "--quiet", "--exit-with-stdin") as (process, url):
        with urllib.request.urlopen(f"{url}/robots.txt", timeout=10) as response:
            assert response.status == 200
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_requests_are_logged_unless_quiet(tmp_path: Path) -> None:
    for options, logged in (((), True), (("--quiet",), False)):
        with running(tmp_path, *options) as (process, url):
            urllib.request.urlopen(f"{url}/api/reports/r1", timeout=10).close()
            process.terminate()
            assert process.stderr is not None
            assert ("GET /api/reports/r1 200" in process.stderr.read()) is logged


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "demo", "--listen", f"127.0.0.1:{port}", "--data", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == (
        f"demo: error: 127.0.0.1:{port} is taken by another process; stop it or choose another with --listen H:P"
    )


@pytest.mark.parametrize("listen", ["3000", "localhost", "127.0.0.1:70000", "http://127.0.0.1:3000", "a b:1"])
def test_an_address_that_is_none_is_explained(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--listen", listen])
    assert ended.value.code == 2
    assert "is not host:port" in capsys.readouterr().err


def test_a_data_directory_that_cannot_be_made_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--listen", "127.0.0.1:0", "--data", str(tmp_path / "file" / "below")]) == 1
    assert "use --data DIR" in capsys.readouterr().err
