"""The sample application as a child process that never outlives its parent."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from proxy.config.units import Address
from proxy.errors import CachewireError

START_TIMEOUT = 60.0
STOP_TIMEOUT = 5.0
_ROOT = str(Path(__file__).parents[2])
_READY = re.compile(r"demo origin ready on (http://\S+)")


class DemoOrigin:
    """Starts the sample application, waits until it listens, and stops it at the end of the `with` block.

    Its end before that is announced and changes nothing else: the edge keeps answering.
    It announces its reports at the URL `publish`, with `token` if that is given.
    Raises CachewireError when it cannot listen on `address`.
    """

    def __init__(
        self,
        address: Address,
        *,
        announce: Callable[[str], None],
        publish: str | None = None,
        token: str | None = None,
    ) -> None:
        self._address = address
        self._publish = [] if publish is None else ["--publish", publish]
        self._token = {} if token is None else {"DEMO_PUBLISH_TOKEN": token}
        self._announce = announce
        self._stopping = threading.Event()
        self.url = f"http://{address}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> DemoOrigin:
        _require_free(self._address)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, and a parsed address
            # -P: a directory called demo where the operator happens to stand is not ours to run.
            [
                *(sys.executable, "-P", "-m", "demo", "--listen", str(self._address), "--quiet", "--exit-with-stdin"),
                *self._publish,
            ],
            env={
                **os.environ,
                **self._token,
                "PYTHONPATH": os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")])),
            },
            # The origin exits when this pipe closes, which the system does for us even on SIGKILL.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the edge alone: it still needs the origin while it drains.
            start_new_session=True,
        )
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._watcher = threading.Thread(target=self._watch, args=(said,), name="demo-origin", daemon=True)
        self._watcher.start()
        try:
            self.url = self._ready(said)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _ready(self, said: queue.SimpleQueue[str | None]) -> str:
        """The URL that the origin says it is ready on."""
        while True:
            try:
                line = said.get(timeout=START_TIMEOUT)
            except queue.Empty:
                raise CachewireError(f"the demo origin was not ready within {START_TIMEOUT:.0f} s") from None
            if line is None:
                raise CachewireError(
                    f"the demo origin could not start on {self._address} (exit status {self._process.wait()}; its own"
                    " message is above). Another address: --origin-listen H:P"
                )
            if match := _READY.search(line):
                threading.Thread(target=self._tell_its_end, args=(said,), name="demo-origin-end", daemon=True).start()
                return match[1]

    def _watch(self, said: queue.SimpleQueue[str | None]) -> None:
        """Read what the origin says, so that it never blocks on a full pipe; None says that it ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said.put(line)
        self._process.wait()
        said.put(None)

    def _tell_its_end(self, said: queue.SimpleQueue[str | None]) -> None:
        while said.get() is not None:
            pass
        if not self._stopping.is_set():
            status = self._process.returncode
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
            self._announce(f"the demo origin {how}; the edge keeps answering with what it has stored")

    def _stop(self) -> None:
        self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._watcher.join(STOP_TIMEOUT)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _require_free(address: Address) -> None:
    """Raises CachewireError when something else listens on `address`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CachewireError(
                f"the demo origin cannot listen on {address}: {reason}. Another address: --origin-listen H:P"
            ) from None
