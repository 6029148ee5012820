"""Services as child processes, and the sockets they listen on."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

HOST = "127.0.0.1"

#: Seconds a service may take until it answers, and until it has stopped.
START_SECONDS = 30.0
STOP_SECONDS = 10.0

#: Seconds one look at a service may take, and seconds between two.
LOOK_SECONDS = 1.0
LOOK_EVERY = 0.05

#: Connections that wait for a service that is starting.
BACKLOG = 1_024


def listener(host: str = HOST, port: int = 0) -> socket.socket:
    """Return a socket that listens, for a child to inherit: nobody can take its port meanwhile.

    Args:
        host: IPv4 address.
        port: by default a free one.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
    """
    made = socket.socket()
    try:
        # A port of one's own choice may just have been left.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def free_port() -> int:
    """Return a port on which nothing listens now; somebody else may take it at any time."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(LOOK_SECONDS)
        return probe.connect_ex((HOST, port)) == 0


def answers(port: int, path: str) -> bool:
    """Whether an HTTP server answers a GET with success."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=LOOK_SECONDS) as answer:
            answer.read()
    except (OSError, HTTPException):
        return False
    return True


class Child:
    """A service in a process of its own, in a session of its own: Ctrl-C does not reach it.

    Its log and its process id are files in a folder, where the folder's guardian finds them.

    Args:
        name: for messages.
        command: program and arguments.
        port: on which it listens once it is up.
        folder: where its log goes, and its working directory.
        ready: whether it answers; gets its process id.
        environment: added to this process' own.
        inherits: a listening socket that it is given; closed here.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        folder: Path,
        ready: Callable[[int], bool],
        environment: Mapping[str, str] | None = None,
        inherits: socket.socket | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self._ready = ready
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                start_new_session=True,
                pass_fds=[inherits.fileno()] if inherits else [],
            )
        self._note = folder / f"{name}.pid"
        self._note.write_text(str(self.pid))
        if inherits:
            inherits.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there, be it busy or well."""
        return self._process.poll() is None

    def wait_until_up(self) -> None:
        """Return when the service answers.

        Raises:
            RuntimeError: it ended, or took over 30 seconds; tells the end of its log.
        """
        give_up = time.monotonic() + START_SECONDS
        while not self.alive():
            if self._process.poll() is not None or time.monotonic() > give_up:
                tail = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise RuntimeError(f"{self.name} does not start: {' '.join(tail)}")
            time.sleep(LOOK_EVERY)

    def alive(self) -> bool:
        """Whether the service is there and answers."""
        return self.running and self._ready(self.pid)

    def stop(self) -> None:
        """End the process, by force if it does not go."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._note.unlink(missing_ok=True)


def python(
    name: str,
    module: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    health: str,
    environment: Mapping[str, str] | None = None,
    host: str = HOST,
    port: int = 0,
) -> Child:
    """Start a module of ours as an HTTP server on a port of its own.

    Args:
        name: for messages.
        module: its name in this package; its first argument is the listening socket's descriptor.
        arguments: further ones.
        folder: as of `Child`.
        health: a path that is answered with success once it is up.
        environment: as of `Child`.
        host: as of `listener`; has to answer at 127.0.0.1 as well.
        port: as of `listener`.
    """
    inherits = listener(host, port)
    port = inherits.getsockname()[1]
    package = __name__.rpartition(".")[0]
    command = [sys.executable, "-m", f"{package}.{module}", str(inherits.fileno()), *arguments]
    # What this process can import, the child can: it may run in a folder of its caller's modules.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return Child(
        name,
        command,
        port=port,
        folder=folder,
        ready=lambda _: answers(port, health),
        environment={**(environment or {}), "PYTHONPATH": path},
        inherits=inherits,
    )
