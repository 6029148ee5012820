"""Worker processes that tests can kill and start again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from celery_sagemaker.config import queues
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.base import inference_id

QUEUES = ",".join(queues.ALL)

#: A worker as it is advised: threads, and the queues that are ours.
OPTIONS = ("--queues", QUEUES, "--pool", "threads", "--concurrency", "4")

Environment = dict[str, str]


def eventually(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Return when a condition of other processes holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(0.05)


def behave(stack: LocalStack, endpoint: str, **behaviour: Any) -> str:
    """Make an endpoint, or change how it behaves; returns its name."""
    asked = urllib.request.Request(  # noqa: S310 - ours
        f"{stack.endpoint_url}/_admin/endpoints/{endpoint}",
        data=json.dumps(behaviour).encode(),
        method="PUT",
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        assert answer.status == 200
    return endpoint


def calls_of(stack: LocalStack, endpoint: str) -> list[dict[str, Any]]:
    """Return the calls of an endpoint, refused ones too."""
    url = f"{stack.endpoint_url}/_admin/calls?endpoint={endpoint}"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - ours
        found: list[dict[str, Any]] = json.load(answer)
    return found


def calls(stack: LocalStack, *ids: str) -> Counter[str]:
    """How often the endpoints were called for each of some requests."""
    with urllib.request.urlopen(f"{stack.endpoint_url}/_admin/calls") as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)
    wanted = {inference_id(id_): id_ for id_ in ids}
    return Counter(wanted[c["inference_id"]] for c in found if c["inference_id"] in wanted)


class Worker:
    """A worker process of the app in a module, in a process group of its own.

    Args:
        environment: what it has beside this process' own.
        log: the file that it writes to.
        module: where the app is.
        options: of `celery worker`.
        folder: where it runs, and where the module is looked for first.
    """

    def __init__(
        self,
        environment: Environment,
        log: Path,
        module: str,
        options: Sequence[str] = OPTIONS,
        folder: Path = Path(__file__).parent,
    ) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log
        self._module = module
        self._options = options
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it; it need not be ready yet."""
        command = [
            sys.executable, "-m", "celery", "-A", self._module, "worker",
            "--without-mingle", "--loglevel", "INFO", *self._options,
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**self._environment, **environment},
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text("utf-8", "replace")

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
