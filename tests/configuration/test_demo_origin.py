"""The sample application as a child process: ready when it says so, gone when its parent is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from proxy.commands.demo_origin import DemoOrigin
from proxy.config.units import Address
from proxy.errors import CachewireError

ROOT = Path(__file__).parents[2]
ANY_PORT = Address("127.0.0.1", 0)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin keeps its pictures in the working directory."""
    monkeypatch.chdir(tmp_path)


def test_it_answers_inside_the_block_and_is_gone_after_it() -> None:
    announced: list[str] = []
    with DemoOrigin(ANY_PORT, announce=announced.append) as origin:
        with urllib.request.urlopen(f"{origin.url}/demo/stats", timeout=10) as response:
            assert response.status == 200
        pid = origin.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert announced == []


def test_its_own_end_is_announced() -> None:
    announced: list[str] = []
    told = threading.Event()

    def announce(line: str) -> None:
        announced.append(line)
        told.set()

    with DemoOrigin(ANY_PORT, announce=announce) as origin:
        os.kill(origin.pid, signal.SIGKILL)
        assert told.wait(10)
    assert announced == ["the demo origin was killed by signal 9; the edge keeps answering with what it has stored"]


def test_one_that_cannot_start_is_told_with_its_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/where/no/python/is")
    with pytest.raises(CachewireError, match=r"the demo origin could not start on 127\.0\.0\.1:0 \(exit status 1"):
        DemoOrigin(ANY_PORT, announce=print).__enter__()


def test_one_that_does_not_stop_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.commands.demo_origin.STOP_TIMEOUT", 0.2)
    with DemoOrigin(ANY_PORT, announce=print) as origin:
        pid = origin.pid
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_address_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(CachewireError, match=r"the demo origin cannot listen on 192\.0\.2\.1:3000: .*--origin-listen"):
        DemoOrigin(Address("192.0.2.1", 3000), announce=print).__enter__()


def test_a_directory_called_demo_where_the_operator_stands_is_not_run() -> None:
    Path("demo").mkdir()
    Path("demo/__main__.py").write_text("print('demo origin ready on http://not.ours', flush=True)\n")
    with DemoOrigin(ANY_PORT, announce=print) as origin:
        assert origin.url.startswith("http://127.0.0.1:")


def test_it_ends_when_its_parent_is_killed_outright() -> None:
    script = (
        "import sys, time\n"
        "from proxy.commands.demo_origin import DemoOrigin\n"
        "from proxy.config.units import Address\n"
        "with DemoOrigin(Address('127.0.0.1', 0), announce=print) as origin:\n"
        "    print(origin.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        origin = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            # A pidfd becomes readable when its process has ended.
            assert select.select([origin], [], [], 20)[0] == [origin]
        finally:
            os.close(origin)
