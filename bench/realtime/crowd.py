"""A crowd of sessions in a process of its own, told by JSON lines what to do; answers each with a line.

    {"do": "arrive", "port": P, "sessions": N, "first": I, "conversation": C | null, "own": false, "at_once": 100}
    {"do": "counted"}   {"do": "leave"}

`arrive` connects; with a conversation every session also authenticates as a user of its own and joins it; with `own`
each joins one of its own. Afterwards they only count.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from bench.realtime.wire import Counter, Session, agreed, connect


class Crowd:
    """The near end: a process that holds many sessions."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def gather(cls) -> Crowd:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.realtime.crowd",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )

    async def arrive(self, port: int, sessions: int, *, first: int = 0, at_once: int = 100, **joining: Any) -> float:
        """Seconds until all were there."""
        asked = {"do": "arrive", "port": port, "sessions": sessions, "first": first, "at_once": at_once, **joining}
        return float((await self._ask(asked))["seconds"])

    async def counted(self) -> dict[str, int]:
        """`messages` and `bytes` received, sessions `lost`."""
        return await self._ask({"do": "counted"})

    async def leave(self) -> None:
        await self._ask({"do": "leave"})

    async def disband(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("the crowd's process has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"the crowd: {answer['error']}")
        return answer


class _Far:
    """The far end: the sessions themselves."""

    def __init__(self) -> None:
        self.counter = Counter()
        self.sessions: list[Session] = []

    async def arrive(self, port: int, sessions: int, first: int, at_once: int, **joining: Any) -> dict[str, Any]:
        turn = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with turn:
                self.sessions.append(await admitted(port, number, **joining))

        began = time.monotonic()
        await asyncio.gather(*(one(first + number) for number in range(sessions)))
        seconds = time.monotonic() - began
        for session in self.sessions[-sessions:]:
            session.count(self.counter)
        return {"seconds": seconds}

    async def counted(self) -> dict[str, Any]:
        return {"messages": self.counter.messages, "bytes": self.counter.bytes, "lost": self.counter.lost}

    async def leave(self) -> dict[str, Any]:
        for session in self.sessions:
            session.kill()
        self.sessions.clear()
        return {}


async def admitted(port: int, number: int, *, conversation: str | None = None, own: bool = False) -> Session:
    """One session; with a conversation also its user and its membership, asked for at once as applications do."""
    session = await connect(port)
    if conversation is not None:
        user = session.ask("authenticate", f"u{number}")
        place = session.ask("join_conversation", f"{conversation}-{number}" if own else conversation)
        agreed("authenticate", await user)
        agreed("join_conversation", await place)
    return session


async def _serve() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    far = _Far()
    while line := await reader.readline():
        asked = json.loads(line)
        try:
            answer = await getattr(far, asked.pop("do"))(**asked)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
