"""Worker processes that tests can kill and start again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery_sagemaker.config import queues
from celery_sagemaker.local.stack import LocalStack

QUEUES = ",".join(queues.ALL)

Environment = dict[str, str]


def eventually(condition: Callable[[], bool], seconds: float = 45.0) -> None:
    """Return when a condition of other processes holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(0.05)


def behave(stack: LocalStack, name: str, **behaviour: Any) -> str:
    """Make an endpoint of the emulator, or change it; returns its name."""
    request = urllib.request.Request(  # noqa: S310 - ours
        f"{stack.endpoint_url}/_admin/endpoints/{name}",
        json.dumps(behaviour).encode(),
        method="PUT",
    )
    urllib.request.urlopen(request).close()  # noqa: S310 - ours
    return name


def calls(stack: LocalStack, endpoint: str) -> list[dict[str, Any]]:
    """Return the calls of an endpoint, refused ones too."""
    url = f"{stack.endpoint_url}/_admin/calls?endpoint={endpoint}"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - ours
        found: list[dict[str, Any]] = json.load(answer)
    return found


class Worker:
    """A worker process of the app in a module, in a process group of its own."""

    def __init__(self, environment: Environment, log: Path, module: str) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it; it need not be ready yet."""
        command = [
            sys.executable, "-m", "celery", "-A", self._module, "worker", "-Q", QUEUES,
            "--pool", "threads", "--concurrency", "4", "--without-mingle", "--loglevel", "INFO",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**self._environment, **environment},
                cwd=Path(__file__).parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process' id, if it was started."""
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        """SIGKILL for the whole process group."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def terminate(self) -> None:
        """SIGTERM: it stops warmly."""
        assert self._process is not None
        self._process.terminate()

    def wait_for_death(self) -> None:
        """Return when it has died by itself."""
        assert self._process is not None
        self._process.wait(30)
