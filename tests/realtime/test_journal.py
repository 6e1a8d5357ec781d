"""What survives the end of the process: everything that was settled, or a fresh start."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime.hub import Hub
from realtime.journal import Journal
from realtime.remembered import Record
from realtime.settings import HubSettings, RecoverySettings
from realtime.stats import RealtimeStats
from tests.realtime.wire import Wire, turns

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def journal(
    directory: Path, snapshot: Callable[[], list[Record]] = list, **settings: Any
) -> AsyncIterator[Journal]:
    found = Journal(directory, **settings)
    await found.open()
    found.begin(snapshot)
    try:
        yield found
    finally:
        await found.close()


async def read(directory: Path) -> list[Record]:
    found = Journal(directory)
    records = await found.open()
    await found.close()
    return records


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.journal"))


async def test_what_is_settled_is_read_again_in_order(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        for number in range(1000):
            first.append(("packet", number, b"\x00\xff", "\ud800 \n ü"))
        assert await first.settled() is True
        async with journal(tmp_path / "other") as other:
            assert await other.settled() is True
        written = (tmp_path / "00000001.journal").read_bytes()
    assert written.count(b"\n") == 1000
    assert await read(tmp_path) == [("packet", number, b"\x00\xff", "\ud800 \n ü") for number in range(1000)]


async def test_what_nobody_waits_for_is_written_all_the_same(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        for number in range(3):
            first.append(("packet", number))
            async with asyncio.timeout(10):
                while first._written < first._appended:
                    await asyncio.sleep(0)
            assert (tmp_path / "00000001.journal").read_bytes().count(b"\n") == number + 1


async def test_everybody_who_waits_hears_of_what_was_there_when_they_asked(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        asked = []
        for number in range(50):
            first.append(("packet", number))
            asked.append(asyncio.create_task(first.settled()))
            if number % 7 == 0:
                await asyncio.sleep(0)
        assert await asyncio.gather(*asked) == [True] * 50
        assert (tmp_path / "00000001.journal").read_bytes().count(b"\n") == 50


async def test_the_files_are_nobody_else_s(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    async with journal(directory) as first:
        await first.settled()
        assert directory.stat().st_mode & 0o777 == 0o700
        assert [path.stat().st_mode & 0o777 for path in directory.iterdir()] == [0o600, 0o600]


async def test_a_directory_has_one_user(tmp_path: Path) -> None:
    async with journal(tmp_path):
        with pytest.raises(BlockingIOError):
            await Journal(tmp_path).open()
    assert await read(tmp_path) == []


async def test_a_torn_last_line_does_not_count(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        first.append(("one",))
        first.append(("two",))
    path = tmp_path / "00000001.journal"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert await read(tmp_path) == [("one",), ("two",)][: whole[:length].count(b"\n")]


async def test_a_damaged_journal_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with journal(tmp_path) as first:
        first.append(("one",))
        first.append(("two",))
    path = tmp_path / "00000001.journal"
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))
    assert await read(tmp_path) == []
    assert "begun anew" in caplog.text
    assert files(tmp_path) == []


async def test_every_life_begins_a_file_with_all_that_matters(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        first.append(("one",))
    async with journal(tmp_path, lambda: [("base",)]) as second:
        second.append(("two",))
    assert files(tmp_path) == ["00000001.journal", "00000002.journal"]
    assert await read(tmp_path) == [("one",), ("base",), ("two",)]


async def test_what_is_too_old_or_too_much_is_deleted(tmp_path: Path) -> None:
    bases = iter(range(100))
    async with journal(tmp_path, lambda: [("base", next(bases))], max_bytes=4000) as first:
        for number in range(20):
            first.append(("packet", number, "x" * 500))
            await first.settled()
            first.tend()
        await first.settled()
        assert sum((tmp_path / name).stat().st_size for name in files(tmp_path)) < 6000
    records = await read(tmp_path)
    kept = [record[1] for record in records if record[0] == "packet"]
    assert records[0][0] == "base"
    assert kept == list(range(20))[-len(kept) :]
    async with journal(tmp_path, keep=0.0) as second:
        second.tend()
        await second.settled()
        assert len(files(tmp_path)) == 1


async def test_when_the_disk_fails_nothing_false_is_left_and_nobody_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal(tmp_path, lambda: [("base",)]) as first:
        first.append(("one",))
        assert await first.settled() is True
        monkeypatch.setattr("realtime.journal._line", fails)
        first.append(("two",))
        assert await first.settled() is False
        first.append(("three",))
        assert await first.settled() is False
        assert files(tmp_path) == []
        assert not first.available
        monkeypatch.setattr("realtime.journal.RETRY", 0.0)
        first.tend()
        assert not first.available, "it is tried again, and has not been written yet"
        assert await first.settled() is False
        monkeypatch.undo()
        monkeypatch.setattr("realtime.journal.RETRY", 0.0)
        first.tend()
        first.append(("four",))
        assert await first.settled() is True
        assert first.available
    assert caplog.text.count("will not survive") == 2
    assert await read(tmp_path) == [("base",), ("four",)]


async def test_what_cannot_be_written_does_not_stop_the_thread(tmp_path: Path) -> None:
    async with journal(tmp_path) as first:
        first.append(("one", object()))
        assert await first.settled() is False


def fails(record: Record) -> bytes:
    raise OSError(28, "No space left on device")


# With the hub


async def started(directory: Path) -> Hub:
    recovery = RecoverySettings(packets=10**6, bytes=10**9)
    hub = Hub(HubSettings(recovery=recovery), RealtimeStats(), journal=Journal(directory))
    await hub.start()
    root = hub.namespace()

    @root.on("connect")
    def connect(socket: Any) -> None:
        if not socket.recovered:
            socket.join("room")
            socket.data["user"] = "ann"

    root.on("set")(lambda socket, key, value: socket.data.update({key: value}))
    root.on("leave")(lambda socket: socket.leave("room"))
    return hub


async def test_a_client_returns_to_another_life_of_the_hub(tmp_path: Path) -> None:
    hub = await started(tmp_path)
    here, away = Wire(hub), Wire(hub)
    auth = {wire: {"pid": wire.enter()["pid"]} for wire in (here, away)}
    here.say('2["set","colour","red"]')
    away.drop()
    await turns()
    hub.namespace().emit("room", "missed", b"bytes")
    hub.namespace().emit("room", "state", 1, conflate="s")
    hub.namespace().emit("room", "state", 2, conflate="s")
    hub.namespace().emit(None, "left out", skip={away.sid})
    assert await hub.settled() is True
    auth[here]["offset"] = Wire.event(here.taken()[-1])[-1]
    await hub.close()

    hub = await started(tmp_path)
    back = Wire(hub)
    back.enter(**auth[here])
    (socket,) = hub.namespace().sockets.values()
    assert socket.data == {"user": "ann", "colour": "red"}
    assert back.taken() == []
    late = Wire(hub)
    late.enter(**auth[away])
    heard = late.taken()
    assert [str(message).partition('"')[2].partition('"')[0] for message in heard] == [
        "missed",
        "",
        "state",
        "left out",
    ]
    assert heard[1] == b"bytes"
    assert Wire.event(heard[2])[1] == 2
    assert hub.namespace().emit("room", "to both") == 2
    assert hub.stats.recovered == 2
    await hub.close()


async def test_a_client_that_has_all_that_was_in_deleted_files_returns(tmp_path: Path) -> None:
    for told in (True, False):
        directory = tmp_path / str(told)
        keeper = Journal(directory, keep=0.0)
        hub = Hub(HubSettings(recovery=RecoverySettings()), RealtimeStats(), journal=keeper)
        await hub.start()
        root = hub.namespace()
        wire = Wire(hub)
        auth = {"pid": wire.enter()["pid"]}
        root.emit(None, "one")
        if told:
            auth["offset"] = Wire.event(wire.taken()[0])[-1]
        for _ in range(2):
            keeper.tend()
            assert await hub.settled() is True
        assert len(files(directory)) == 1
        root.emit(None, "two")
        await hub.close()
        hub = await started(directory)
        wire = Wire(hub)
        wire.enter(**auth)
        assert hub.stats.recovered == told
        assert len(wire.taken()) == told
        await hub.close()


async def test_a_room_that_was_left_is_not_joined_again_in_another_life(tmp_path: Path) -> None:
    hub = await started(tmp_path)
    wire = Wire(hub)
    pid = wire.enter()["pid"]
    wire.say('2["leave"]')
    await hub.close()
    hub = await started(tmp_path)
    Wire(hub).enter(pid=pid)
    assert hub.stats.recovered == 1
    assert hub.namespace().emit("room", "x") == 0
    await hub.close()


async def test_settled_includes_what_has_just_changed_about_a_client(tmp_path: Path) -> None:
    hub = await started(tmp_path)
    Wire(hub).enter()
    (socket,) = hub.namespace().sockets.values()
    await hub.settled()
    socket.join("another")
    assert await hub.settled() is True
    last = (tmp_path / "00000001.journal").read_text().splitlines()[-1]
    assert '"another"' in last
    await hub.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """The records of clients so far, as they are handed to the journal."""
    records: list[Record] = []
    append = Journal.append

    def watched(self: Journal, record: Record) -> None:
        if record[0] == "session":
            records.append(record)
        append(self, record)

    monkeypatch.setattr(Journal, "append", watched)
    return records


async def test_a_client_is_written_down_once_for_all_that_it_does_when_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Record]
) -> None:
    monkeypatch.setattr("realtime.hub.NOTE_WITHIN", 0.02)
    hub = await started(tmp_path)
    wire = Wire(hub)
    wire.enter()
    await turns()
    wire.say('2["set","colour","red"]')
    await turns()
    (socket,) = hub.namespace().sockets.values()
    socket.join("another")
    async with asyncio.timeout(5):
        while not written:
            await asyncio.sleep(0.01)
    assert ["another" in str(record) and "red" in str(record) for record in written] == [True]
    await hub.close()


@pytest.mark.parametrize("loss", ["leave", "touch"])
async def test_what_is_taken_from_a_client_is_written_down_at_once(
    loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Record]
) -> None:
    monkeypatch.setattr("realtime.hub.NOTE_WITHIN", 3600.0)
    hub = await started(tmp_path)
    Wire(hub).enter()
    (socket,) = hub.namespace().sockets.values()
    await turns()
    assert written == []
    if loss == "leave":
        socket.leave("room")
    else:
        del socket.data["user"]
        socket.touch()
    socket.join("another")
    await turns(2)
    (record,) = written
    assert ("room" in str(record), "ann" in str(record)) == (loss == "touch", loss == "leave")
    await hub.close()


async def test_records_of_another_version_are_forgotten_not_fatal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub = await started(tmp_path)
    pid = Wire(hub).enter()["pid"]
    await hub.close()
    async with journal(tmp_path) as other:
        other.append(("unheard of", "/"))
    hub = await started(tmp_path)
    wire = Wire(hub)
    assert wire.enter(pid=pid)["pid"] != pid
    assert "unheard of" in caplog.text
    await hub.settled()
    await hub.close()
    hub = await started(tmp_path)
    assert caplog.text.count("unheard of") == 1
    await hub.close()


async def test_a_namespace_that_comes_later_has_a_past_too(tmp_path: Path) -> None:
    for life in range(2):
        hub = await started(tmp_path)
        cars = hub.namespace("/cars")
        wire = Wire(hub)
        if life == 0:
            pid = wire.enter("/cars")["pid"]
            cars.emit(None, "missed")
            await hub.settled()
        else:
            wire.enter("/cars", pid=pid)
            assert len(wire.taken()) == 1
        await hub.close()


PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.realtime.test_journal import started
from tests.realtime.wire import Wire

async def main() -> None:
    hub = await started(Path(sys.argv[1]))
    print(Wire(hub).enter()["pid"], flush=True)
    for number in range(3_000):  # a session that misses more than is kept begins anew
        hub.namespace().emit("room", "count", number)
        if number % 7 == 0:
            await hub.settled()
            print(number, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 2, 20, 300])
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, lines: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pid = (await process.stdout.readline()).decode().strip()
    for _ in range(lines):
        await process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    rest = (await process.stdout.read()).decode().split()
    await process.wait()
    acknowledged = int(rest[-1]) if rest else 7 * (lines - 1)

    hub = await started(tmp_path)
    wire = Wire(hub)
    wire.enter(pid=pid)
    counted = [Wire.event(message)[1] for message in wire.taken()]
    assert counted == list(range(len(counted)))
    assert len(counted) > acknowledged
    await hub.close()
