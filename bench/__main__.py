"""`make bench`: what the edge saves and what it costs, one measurement after the other."""

from __future__ import annotations

import subprocess
import sys

MEASUREMENTS = {
    "bench.browsing": "What ten visitors cost the demo's origin",
    "bench.upstream": "What a request to the origin costs, against aiohttp's client",
    "bench.realtime": "What a delivered message costs, against Socket.IO",
    "bench.dashboard": "What a look at the dashboard costs an edge with 100,000 stored responses",
}


def main() -> int:
    failed = 0
    for module, title in MEASUREMENTS.items():
        print(f"\n== {title} (python -m {module})", flush=True)
        failed |= subprocess.run([sys.executable, "-m", module], check=False).returncode
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
