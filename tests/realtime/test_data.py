"""What an application keeps of a client: `socket.data`, and what is left of it after a loss, a restart, a kill -9."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realtime.hub import Hub, Socket
from realtime.journal import Journal
from realtime.settings import HubSettings, RecoverySettings
from realtime.socket import Absent
from realtime.stats import RealtimeStats
from tests.realtime.wire import Wire, turns


async def started(directory: Path) -> Hub:
    """A hub whose clients are called ann, and whose handlers replace, change and empty what is kept of them."""
    hub = Hub(HubSettings(recovery=RecoverySettings()), RealtimeStats(), journal=Journal(directory))
    await hub.start()
    root = hub.namespace()

    @root.on("connect")
    def connect(socket: Socket) -> None:
        if not socket.recovered:
            socket.data = {"name": "ann"}

    @root.on("replace")
    def replace(socket: Socket, data: dict[str, Any]) -> None:
        socket.data = data

    root.on("change")(lambda socket, data: socket.data.update(data))
    root.on("empty")(lambda socket: socket.data.clear())
    return hub


def only(hub: Hub) -> Socket:
    (socket,) = hub.namespace().sockets.values()
    return socket


async def again(hub: Hub, pid: str) -> dict[str, Any]:
    """What the application knows of the client once it has recovered."""
    Wire(hub).enter(pid=pid)
    assert hub.stats.recovered == 1
    return only(hub).data


async def test_data_can_be_replaced_and_is_the_same_after_a_loss(tmp_path: Path) -> None:
    hub = await started(tmp_path)
    wire = Wire(hub)
    pid = wire.enter()["pid"]
    assert only(hub).data == {"name": "ann"}
    wire.say('2["replace",{"name":"bob"}]', '2["change",{"age":7}]')
    wire.drop()
    await turns()
    assert await again(hub, pid) == {"name": "bob", "age": 7}
    await hub.close()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('2["replace",{"name":"bob"}]', {"name": "bob"}),
        ('2["replace",{}]', {}),
        ('2["change",{"name":"bob"}]', {"name": "bob"}),
        ('2["empty"]', {}),
    ],
)
async def test_what_a_handler_makes_of_data_survives_a_kill(said: str, kept: dict[str, Any], tmp_path: Path) -> None:
    hub = await started(tmp_path / "killed")
    wire = Wire(hub)
    pid = wire.enter()["pid"]
    assert await hub.settled() is True
    wire.say(said)
    assert await hub.settled() is True
    copy = copied(tmp_path)
    await hub.close()
    hub = await started(copy)
    assert await again(hub, pid) == kept
    await hub.close()


async def test_data_that_is_replaced_outside_of_a_handler_survives_a_kill(tmp_path: Path) -> None:
    hub = await started(tmp_path / "killed")
    pid = Wire(hub).enter()["pid"]
    assert await hub.settled() is True
    only(hub).data = {"name": "bob"}
    assert await hub.settled() is True
    copy = copied(tmp_path)
    await hub.close()
    hub = await started(copy)
    assert await again(hub, pid) == {"name": "bob"}
    await hub.close()


async def test_data_of_a_client_that_is_away_can_be_replaced(tmp_path: Path) -> None:
    hub = await started(tmp_path)
    told: list[dict[str, Any]] = []

    @hub.namespace().returning
    def returning(socket: Absent) -> None:
        told.append(socket.data)
        socket.data = {"name": "bob"}

    wire = Wire(hub)
    pid = wire.enter()["pid"]
    wire.drop()
    await turns()
    assert await again(hub, pid) == {"name": "bob"}
    assert told == [{"name": "ann"}]
    await hub.close()


def copied(folder: Path) -> Path:
    """What a killed process would leave: the journal as it is on disk now."""
    (folder / "left").mkdir()
    for path in (folder / "killed").glob("*.journal"):
        (folder / "left" / path.name).write_bytes(path.read_bytes())
    return folder / "left"
