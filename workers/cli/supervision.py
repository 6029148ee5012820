"""A worker or a beat that is started again when it ends.

Celery's worker can exit when the connection to Redis comes back (kombu#582), so something has to
start it again: systemd, Kubernetes, compose, and here `up` and `demo`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from . import beat, worker

#: Our own Celery app.
APP = "celery_sagemaker.workers.app"

#: Its node name: not that of a worker which somebody starts beside it.
NODE = "local@%h"

#: Seconds from SIGTERM to SIGKILL. SIGTERM is Celery's warm shutdown here: an idle worker ends at
#: once, where the soft shutdown of a production worker (`REMAP_SIGTERM`) always takes its 30 s.
STOP_SECONDS = 10.0

#: Seconds from the end of a worker to its next start, doubled each time up to the maximum.
RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 30.0

#: Seconds a worker has to run for its next restart to be quick again.
STEADY_SECONDS = 60.0


class Supervised:
    """A subprocess of Celery's; a context manager that starts and stops it.

    Args:
        environment: variables for it, over those of this process.
        arguments: of the `celery` command, behind the app.
        log: the file for its output; None lets it write where this process writes.
    """

    def __init__(
        self, environment: Mapping[str, str], arguments: Sequence[str], log: Path | None = None
    ) -> None:
        self.restarts = 0
        self._environment = {**os.environ, **environment}
        self._environment.pop("REMAP_SIGTERM", None)
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._next_start = 0.0
        self._delay = RESTART_SECONDS

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the present process."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs; it may still be starting."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches only us."""
        command = [sys.executable, "-m", "celery_sagemaker.workers.cli.child"]
        command += [str(os.getpid()), "--quiet", "-A", APP, *self._arguments]
        self._process = self._open(command)
        self._started_at = time.monotonic()

    def _open(self, command: list[str]) -> subprocess.Popen[bytes]:
        if self._log is None:
            return subprocess.Popen(  # noqa: S603 - our own module
                command, env=self._environment, start_new_session=True, stdout=sys.stderr.fileno()
            )
        with self._log.open("ab") as out:
            return subprocess.Popen(  # noqa: S603
                command, env=self._environment, start_new_session=True, stdout=out, stderr=out
            )

    def tend(self) -> bool:
        """Start it again if it has ended; call it about once a second.

        Returns:
            whether it was started again now.
        """
        if self.alive:
            return False
        now = time.monotonic()
        if not self._next_start:
            steady = now - self._started_at > STEADY_SECONDS
            self._delay = RESTART_SECONDS if steady else self._delay
            self._next_start = now + self._delay
            self._delay = min(self._delay * 2, RESTART_SECONDS_MAX)
        if now < self._next_start:
            return False
        self._next_start = 0.0
        self.restarts += 1
        self.start()
        return True

    def stop(self) -> None:
        """Stop it: SIGTERM, after `STOP_SECONDS` SIGKILL to its process group."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class SupervisedWorker(Supervised):
    """A worker.

    Args:
        environment: variables for the worker, over those of this process.
        concurrency: calls at once.
        log: the file for its output; None lets it write where this process writes.
    """

    def __init__(
        self, environment: Mapping[str, str], *, concurrency: int, log: Path | None = None
    ) -> None:
        arguments = worker.arguments(concurrency=concurrency, hostname=NODE, loglevel="warning")
        super().__init__(environment, arguments, log)


class SupervisedBeat(Supervised):
    """A beat; arguments as of a worker."""

    def __init__(self, environment: Mapping[str, str], *, log: Path | None = None) -> None:
        super().__init__(environment, beat.arguments(loglevel="warning"), log)
