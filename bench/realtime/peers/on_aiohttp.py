"""The chat on python-socketio and aiohttp, as one would write it; runs in an environment of its own.

Prints its port; SIGUSR2 collects garbage.
"""

# mypy: ignore-errors
from __future__ import annotations

import asyncio
import gc
import signal
import uuid
from datetime import UTC, datetime

import socketio
from aiohttp import web

server = socketio.AsyncServer(
    async_mode="aiohttp",
    transports=["websocket"],
    ping_interval=25,
    ping_timeout=60,
    max_http_buffer_size=1_000_000,
    http_compression=False,
)
users: dict[str, dict[str, str]] = {}


@server.event
async def authenticate(sid, user):
    users[sid] = {"id": user, "username": f"user {user}"}
    await server.emit("authenticated", {"user": users[sid]}, to=sid)
    return {"ok": True}


@server.event
async def join_conversation(sid, conversation):
    await server.enter_room(sid, f"conversation:{conversation}")
    return {"ok": True}


@server.event
async def send_message(sid, sent):
    message = {
        "id": str(uuid.uuid4()),
        "conversation_id": sent["conversation_id"],
        "sender_id": sent["sender_id"],
        "content": sent["content"],
        "message_type": sent["message_type"],
        "created_at": datetime.now(UTC).isoformat(),
        "sender": users[sid],
    }
    await server.emit("new_message", message, to=f"conversation:{sent['conversation_id']}")
    return {"ok": True, "messages": [message["id"]]}


@server.event
async def disconnect(sid, reason):
    users.pop(sid, None)


async def main() -> None:
    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, gc.collect)
    print(f"ready on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
