"""The realtime core against Socket.IO on Node and python-socketio, all on this machine in one run.

    python -m bench.realtime [--only fan-out,latency,memory,storm,churn] [--rounds N] [--minutes N] [--bare] [--strict]

Peers are installed into ~/.cache/cachewire/bench on first use; one that cannot be is named and left out. CPU is the
server's process alone, user and system; rounds alternate, and the median counts (of storms the best), so that a noisy
machine harms all alike. The load and the server share the cores: wall times and latencies include the load's own.
`--strict`: exit status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from bench.realtime.churn import Application, churn
from bench.realtime.fan_out import SUBSCRIBERS, FanOut, plaza
from bench.realtime.latency import quantile, quiet
from bench.realtime.memory import per_session
from bench.realtime.servers import (
    NODE,
    NODE_BATCH,
    PYTHON_SOCKETIO,
    Contestant,
    Unavailable,
    bare,
    cachewire,
)
from bench.realtime.storm import storm
from bench.realtime.table import Goal, figures

FAST, SLOW = 500, 50  # messages a second
KILOBYTE = 1024


class Bench:
    """What is compared, how often, and the goals so far."""

    def __init__(self, ours: Contestant, peers: Sequence[Contestant], options: argparse.Namespace) -> None:
        self.ours = ours
        self.contestants = [ours, *peers]
        self.rounds: int = options.rounds
        self.minutes: float = options.minutes
        self.sessions: int = options.sessions
        self.goals: list[Goal] = []

    async def fan_out(self) -> None:
        """CPU per delivered message; and the latency while busy."""
        runs: dict[tuple[str, int], list[FanOut]] = defaultdict(list)
        for _ in range(self.rounds):
            for contestant in self.contestants:
                async with plaza(contestant) as place:
                    for rate in (FAST, SLOW):
                        runs[contestant.name, rate].append(await place.talk(rate, self._seconds(contestant, rate)))
        cost = {
            contestant.name: {
                f"{rate} messages/s": statistics.median(run.micros for run in runs[contestant.name, rate])
                for rate in (FAST, SLOW)
            }
            for contestant in self.contestants
        }
        figures(f"CPU per delivered message, {SUBSCRIBERS} subscribers", "us", cost, self.ours.name)
        ages = {
            contestant.name: {
                f"{name} at {rate}/s": statistics.median(run.age(share) for run in runs[contestant.name, rate])
                for rate in (FAST, SLOW)
                for name, share in (("p50", 0.5), ("p99", 0.99))
            }
            for contestant in self.contestants
        }
        together = {
            contestant.name: {
                f"{rate} messages/s": statistics.median(run.batch for run in runs[contestant.name, rate])
                for rate in (FAST, SLOW)
            }
            for contestant in self.contestants
        }
        figures("Messages that came together", "each", together, self.ours.name)
        figures("Latency while busy (those that cannot keep up queue)", "ms", ages, self.ours.name)
        for contestant in self.contestants:
            for rate in (FAST, SLOW):
                for run in runs[contestant.name, rate]:
                    if run.deliveries != run.expected:
                        print(f"{contestant.name} at {rate}/s delivered {run.deliveries} of {run.expected}")
        self._compare(f"CPU per delivery at {FAST}/s, share of Node with batch", cost, NODE_BATCH, FAST, 0.6)
        self._compare(f"CPU per delivery at {FAST}/s, share of Node", cost, NODE, FAST, 0.15)
        self._compare(f"CPU per delivery at {SLOW}/s, share of Node with batch", cost, NODE_BATCH, SLOW, 1.0)
        self.goals.append(Goal("busy latency p99, ms", ages[self.ours.name][f"p99 at {FAST}/s"], 75))

    async def latency(self) -> None:
        """A quiet conversation."""
        rows = {}
        for contestant in self.contestants:
            ages = await quiet(contestant, 15)
            rows[contestant.name] = {name: quantile(ages, share) * 1e3 for name, share in (("p50", 0.5), ("p99", 0.99))}
        figures("Latency in a quiet conversation (one message a second)", "ms", rows, self.ours.name)
        self.goals.append(Goal("quiet latency p50, ms", rows[self.ours.name]["p50"], 3))
        self.goals.append(Goal("quiet latency p99, ms", rows[self.ours.name]["p99"], 15))

    async def memory(self) -> None:
        """Per session."""
        rows = {
            contestant.name: {
                name: await per_session(contestant, self.sessions, member=member) / KILOBYTE
                for name, member in (("idle", False), ("user + conversation", True))
            }
            for contestant in self.contestants
        }
        figures(f"Resident memory per session, {self.sessions} sessions", "KB", rows, self.ours.name)
        self.goals.append(Goal("KB per idle session", rows[self.ours.name]["idle"], 16))
        self.goals.append(Goal("KB per session with a user", rows[self.ours.name]["user + conversation"], 24))

    async def storm(self) -> None:
        """A thousand at once."""
        runs: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
        for _ in range(self.rounds):
            for contestant in self.contestants:
                for member in (False, True):
                    runs[contestant.name, member].append(await storm(contestant, 1000, member=member))
        rows = {
            contestant.name: {
                f"{what}, {unit}": min(run[part] for run in runs[contestant.name, member])
                for member, what in ((False, "connect"), (True, "and join"))
                for part, unit in ((0, "s"), (1, "CPU ms each"))
            }
            for contestant in self.contestants
        }
        figures(
            "1,000 clients at once: connect; connect, authenticate and join", "s wall, ms CPU", rows, self.ours.name
        )
        if NODE.name in rows:
            share = rows[self.ours.name]["and join, s"] / rows[NODE.name]["connect, s"]
            self.goals.append(Goal("wall time of 1,000 joins, share of Node's connects", share, 1.0))

    async def churn(self) -> None:
        """Kills, stalls and outages."""
        application = Application()
        settled = {"realtime.recovery.window": "15s"}  # so that what is kept stops growing within the run
        origin = await application.start()
        try:
            found = await churn(cachewire(origin, "/messages", **settled), application, self.minutes)
        finally:
            await application.close()
        print(f"\n{found.minutes:g} min of churn: {found.kills} kills, {found.stalls} stalls, {found.outages} outages")
        print(f"  {found.sent} messages, {found.acknowledged} acknowledged, {found.refused} refused")
        print(f"  {found.deliveries} deliveries; {found.recovered} sessions recovered, {found.afresh} began anew")
        megabytes = [size / KILOBYTE**2 for size in found.resident]
        print(
            f"  memory {megabytes[0]:.1f} MB at first, {megabytes[-1]:.1f} at last ({found.growth:+.1%} once settled)"
        )
        for fault in found.faults[:20]:
            print(f"  FAULT {fault}")
        self.goals.append(Goal("faults of delivery under churn", len(found.faults), 0))
        self.goals.append(Goal("growth of memory under churn, %", 100 * found.growth, 5))

    def _seconds(self, contestant: Contestant, rate: int) -> float:
        """Long enough to mean something, short for those that cannot keep up."""
        if contestant is PYTHON_SOCKETIO:
            return 1 if rate == FAST else 3
        return 2 if contestant is NODE and rate == FAST else 6

    def _compare(self, title: str, rows: dict[str, dict[str, float]], peer: Contestant, rate: int, most: float) -> None:
        if peer.name in rows:
            column = f"{rate} messages/s"
            self.goals.append(Goal(title, rows[self.ours.name][column] / rows[peer.name][column], most))


PARTS: dict[str, Callable[[Bench], Coroutine[Any, Any, None]]] = {
    "fan-out": Bench.fan_out,
    "latency": Bench.latency,
    "memory": Bench.memory,
    "storm": Bench.storm,
    "churn": Bench.churn,
}


def installed() -> list[Contestant]:
    """The peers that are here, or could be had; the others are named."""
    found = []
    for peer in (NODE, NODE_BATCH, PYTHON_SOCKETIO):
        try:
            peer.prepare()
        except Unavailable as reason:
            print(f"left out: {peer.name} ({reason})")
        else:
            found.append(peer)
    return found


async def run(options: argparse.Namespace) -> int:
    bench = Bench(bare() if options.bare else cachewire(), installed(), options)
    for part in options.only:
        await PARTS[part](bench)
    print("\nGoals")
    for goal in bench.goals:
        print(f"  {goal}")
    return int(options.strict and not all(goal.reached for goal in bench.goals))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.0, help="of churn")
    parser.add_argument("--sessions", type=int, default=2000, help="for memory")
    parser.add_argument("--bare", action="store_true", help="the core without the edge (churn is always with it)")
    parser.add_argument("--strict", action="store_true")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
