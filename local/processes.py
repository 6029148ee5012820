"""Child processes that do not outlive their parent, and ports for them."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Linux' prctl option: which signal a process gets when its parent dies.
PR_SET_PDEATHSIG = 1

#: Seconds a service may take until it listens, and until it has stopped.
START_SECONDS = 30.0
STOP_SECONDS = 10.0

#: Seconds between two attempts to connect to a service that is starting.
CONNECT_EVERY = 0.05

LIBC = ctypes.CDLL(None, use_errno=True)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Child:
    """A service in a process of its own: Ctrl-C does not reach it, its parent's death does.

    Args:
        name: for messages.
        command: program and arguments.
        port: on which it listens once it is up.
        folder: where its log goes.
        environment: added to this process' own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self._parent = os.getpid()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                start_new_session=True,
                preexec_fn=self._die_with_parent,  # noqa: PLW1509 - one system call, no locks
            )

    def wait_until_up(self) -> None:
        """Return when the service accepts connections.

        Raises:
            RuntimeError: it ended, or took over 30 seconds; tells the end of its log.
        """
        give_up = time.monotonic() + START_SECONDS
        while not listening(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up:
                tail = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise RuntimeError(f"{self.name} does not start: {' '.join(tail)}")
            time.sleep(CONNECT_EVERY)

    def alive(self) -> bool:
        """Whether the service is there and listens."""
        return self._process.poll() is None and listening(self.port)

    def stop(self) -> None:
        """End the process, by force if it does not go."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _die_with_parent(self) -> None:
        if sys.platform != "linux":
            return
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(1)
