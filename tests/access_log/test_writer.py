"""The access log behind the exchanges' back: nothing is lost, nothing waits for it, nothing grows."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.access_log.lines import json_line
from proxy.access_log.writer import AccessLog, access_log
from proxy.config.access_log import AccessLog as Settings
from proxy.errors import CachewireError
from proxy.outcome import Outcome


def _outcome(target: str = "/a", status: int = 200, duration: float = 0.001, **more: object) -> Outcome:
    outcome = Outcome("GET", target, "127.0.0.1", 1.0, status=status, duration=duration, verdict="hit")
    for name, value in more.items():
        setattr(outcome, name, value)
    return outcome


def _targets(path: Path) -> list[str]:
    return [json.loads(line)["target"] for line in path.read_text().splitlines()]


async def test_every_exchange_is_a_line_at_the_latest_when_the_log_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(Settings(file=path), json_line)
    log.start()
    for number in range(1000):
        log.add(_outcome(f"/{number}"))
    await log.close()
    assert _targets(path) == [f"/{number}" for number in range(1000)]
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


async def test_a_file_that_was_rotated_away_is_opened_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(Settings(file=path), json_line)
    log.start()
    log.add(_outcome("/before"))
    await log._write()
    path.rename(old)
    log.reopen()
    log.add(_outcome("/after"))
    await log.close()
    assert (_targets(old), _targets(path)) == (["/before"], ["/after"])


def test_a_file_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    log = AccessLog(Settings(file=tmp_path / "missing" / "access.log"), json_line)
    with pytest.raises(CachewireError, match=r"log\.access\.file"):
        log.reopen()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_fifo, "it is a FIFO that nobody reads; start its reader first"),
        (_socket, "it is a socket; name an ordinary file"),
        (Path.mkdir, "it is a directory; name a file inside it"),
        (lambda path: path.symlink_to("missing/log"), "its directory does not exist; make it"),
    ],
    ids=["a FIFO", "a socket", "a directory", "a link that leads nowhere"],
)
@pytest.mark.timeout(5)
def test_what_nothing_can_be_written_to_is_named_at_once_at_the_start_and_at_a_rotation(
    tmp_path: Path, make: Callable[[Path], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Opened as usual, a FIFO without a reader waits for one for ever, and the edge with it."""
    path = tmp_path / "access.log"
    make(path)
    with pytest.raises(CachewireError, match=rf"access\.log \(log\.access\.file\) cannot be written: {why}"):
        AccessLog(Settings(file=path), json_line).reopen()
    path.rename(tmp_path / "wrong")
    log = AccessLog(Settings(file=path), json_line)
    log.reopen()
    path.unlink()
    (tmp_path / "wrong").rename(path)
    log.reopen()
    assert why in caplog.text
    assert "writing to the old one" in caplog.text
    os.close(log._descriptor)


async def test_a_fifo_with_a_reader_gets_the_lines_however_slowly_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(Settings(file=path), json_line)
    log.start()
    for number in range(1000):  # more than a pipe holds
        log.add(_outcome(f"/{number}"))
    os.set_blocking(reader, True)
    reading = asyncio.create_task(asyncio.to_thread(_content, reader))
    await log.close()
    lines = (await reading).splitlines()
    assert [json.loads(line)["target"] for line in lines] == [f"/{number}" for number in range(1000)]


async def test_lines_that_are_being_written_when_the_log_is_closed_are_written(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    written = threading.Event()

    def slowly(outcome: Outcome) -> str:
        written.wait(5)
        return json_line(outcome)

    log = AccessLog(Settings(file=path), slowly)
    log.start()
    log.add(_outcome("/under-way"))
    while log._collected:
        await asyncio.sleep(0.01)
    closing = asyncio.create_task(log.close())
    for _ in range(5):
        await asyncio.sleep(0)  # it has begun to close, and has not closed the file yet
    written.set()
    await closing
    assert (_targets(path), log.dropped) == (["/under-way"], 0)


def test_of_a_sample_errors_and_slow_exchanges_are_written_all_the_same() -> None:
    log = AccessLog(Settings.model_validate({"sample": 0.1, "slower_than": "1s"}), json_line, chance=lambda: 0.5)
    for outcome in (
        _outcome(duration=0.5),
        _outcome(status=503),
        _outcome(duration=1.5),
        _outcome(complete=False),
        _outcome(duration=90.0, timed=False),
    ):
        log.add(outcome)
    assert [(o.status, o.duration, o.complete) for o in log._collected] == [
        (503, 0.001, True),
        (200, 1.5, True),
        (200, 0.001, False),
    ]


def test_a_share_of_the_others_is_written() -> None:
    chances = iter([0.05, 0.5, 0.09, 0.1])
    log = AccessLog(Settings(sample=0.1), json_line, chance=lambda: next(chances))
    for number in range(4):
        log.add(_outcome(f"/{number}"))
    assert [outcome.target for outcome in log._collected] == ["/0", "/2"]


async def test_lines_that_a_stuck_reader_does_not_take_are_dropped_and_counted() -> None:
    """A full pipe: what stands behind standard output does not read."""
    read, write = os.pipe()
    log = AccessLog(Settings(max_waiting=100), json_line, descriptor=write)
    try:
        for number in range(2000):
            log._collected.append(_outcome(f"/{number}"))
        stuck = asyncio.create_task(log._write())
        while log._collected:
            await asyncio.sleep(0)
        for number in range(150):
            log.add(_outcome(f"/late/{number}"))
        assert (len(log._collected), log.dropped) == (100, 50)
        assert not stuck.done()
    finally:
        reader = asyncio.create_task(asyncio.to_thread(_drain, read))
        await stuck
        os.close(write)
        await reader
    assert log.written == 2000


async def test_a_log_that_cannot_be_written_costs_lines_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    read, write = os.pipe()
    os.close(read)
    log = AccessLog(Settings(), json_line, descriptor=write)
    for _ in range(2):
        log.add(_outcome())
        await log._write()
    os.close(write)
    assert log.dropped == 2
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1


async def test_after_half_a_line_the_next_one_begins_on_its_own() -> None:
    """A pipe that takes no more takes a part of what it is given, as a full disk does."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    log = AccessLog(Settings(), json_line, descriptor=write)
    for number in range(1000):
        log.add(_outcome(f"/lost/{number}"))
    await log._write()
    taken = os.read(read, 2**20)
    assert log.dropped == 1000
    assert not taken.endswith(b"\n")
    for target in ("/kept/1", "/kept/2"):
        log.add(_outcome(target))
        await log._write()
    os.close(write)
    *whole, half = taken.split(b"\n")
    again, *kept = os.read(read, 2**20).split(b"\n")
    os.close(read)
    assert [json.loads(line)["target"] for line in whole] == [f"/lost/{number}" for number in range(len(whole))]
    assert (half[:1], again) == (b"{", b"")
    assert [json.loads(line)["target"] for line in kept[:-1]] == ["/kept/1", "/kept/2"]


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b'{"target":"/a"}\n', b'{"target":"/a"}\n'), (b'{"targ', b'{"targ\n')],
    ids=["an empty file", "whole lines", "half a line"],
)
async def test_a_file_that_an_earlier_process_left_is_gone_on_with_on_a_new_line(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(before)
    log = AccessLog(Settings(file=path), json_line)
    log.start()
    log.add(_outcome("/b"))
    await log.close()
    content = path.read_bytes()
    assert content.startswith(after)
    assert json.loads(content[len(after) :])["target"] == "/b"


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        (Settings(format="off"), False),
        (Settings(format="json"), True),
        (Settings(format="text"), True),
        (Settings(), False),
        (Settings(file=Path("/dev/null")), True),
    ],
)
def test_by_itself_it_is_on_for_terminals_and_files_only(settings: Settings, there: bool) -> None:
    """Standard output is no terminal here."""
    assert (access_log(settings) is not None) is there


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _drain(descriptor: int) -> None:
    _content(descriptor)


def _content(descriptor: int) -> bytes:
    """What comes until nobody writes any more."""
    with open(descriptor, "rb") as file:
        return file.read()
