"""What is put to the test: workers, a beat, Redis, and the local stack, with proxies in between."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import channels_harness
import redis
from celery_sagemaker.local.stack import LocalStack
from harness import Worker, behave, eventually
from proxy import Link, proxying
from tracing import CHUNK, SAVES, Left

#: Names of the endpoints, one for each kind of load.
REALTIME, LIMITED, ASYNC, STREAM, BATCH, SCHEDULED = (
    "chaos-realtime", "chaos-limited", "chaos-async", "chaos-stream", "chaos-batch",
    "chaos-scheduled",
)  # fmt: skip

#: Calls that the limited endpoint takes at once.
PERMITS = 2

#: How the endpoints behave when nothing is wrong.
WELL: Mapping[str, Mapping[str, object]] = {
    REALTIME: {"latency": {"uniform": [0.02, 0.4]}},
    LIMITED: {"latency": {"uniform": [0.02, 0.2]}},
    ASYNC: {"kind": "async", "delay": {"uniform": [0.2, 2.0]}},
    STREAM: {"target": "chaos_models:paced"},
    BATCH: {"latency": {"uniform": [0.02, 0.2]}},
    SCHEDULED: {"latency": {"uniform": [0.02, 0.2]}},
}

#: Short times, so that what takes minutes in production takes seconds here. A lease is long enough
#: for a busy machine: a process without a processor for that long is taken for dead.
SETTINGS = {
    "LEDGER__LEASE": "6",
    "LEDGER__RESEND_AFTER": "4",
    "POLLING__TICK": "0.5",
    "POLLING__MIN_INTERVAL": "0.3",
    "POLLING__MAX_INTERVAL": "1",
    "POLLING__UNANSWERED_GRACE": "8",
    "HOLD_LIMIT": "0.2",
    "TIMEOUTS__READ": "8",
    "TIMEOUTS__CONNECT": "3",
    "VISIBILITY_TIMEOUT": "15",
    "BUDGET__SIZE": "5000",
    "STREAMS__HEARTBEAT": "1",
    "STREAMS__GRACE": "60",
    "STREAMS__WAIT": "120",
    "STREAMS__FIRST_PART_TIMEOUT": "15",
    "STREAMS__IDLE_TIMEOUT": "15",
    "BATCH__CHUNK_RECORDS": str(CHUNK),
    "BATCH__SAVE_SECONDS": str(SAVES),
    "BATCH__IN_FLIGHT": "4",
    "BEAT__INTERVAL": "1",
    f"ENDPOINTS__{LIMITED.upper()}__LIMITS__MAX_CONCURRENCY": str(PERMITS),
}

#: Celery's pools, by worker: both that are supported.
POOLS = ("threads", "threads", "prefork")

#: Slots of a worker.
SLOTS = 5

#: Seconds until a worker that left is started again.
RESTART_SECONDS = 1.0

#: Seconds that a worker has to stop, as docs/howto/production.md grants it.
STOP_SECONDS = 75.0

#: Seconds between two looks whether they have.
LOOK = 0.1

#: Where the modules are that only workers import: their app, and what makes a clock wrong.
INSIDE = Path(__file__).parent / "worker"

#: Environment variable that marks every process of a run.
MARK = "CHAOS_RUN"

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")


class Member:
    """A worker with its own way to Redis, and a clock of its own."""

    def __init__(self, number: int, worker: Worker, link: Link, clock: Path) -> None:
        self.number = number
        self.worker = worker
        self.link = link
        self._lives = 0
        self._clock = clock
        self.version: Path | None = None
        self.stopped = False
        self.set_clock(0.0)

    def set_clock(self, offset: float) -> None:
        """Let the worker's wall clock be wrong by so many seconds."""
        moved = self._clock.with_suffix(".new")
        moved.write_text(f"{offset}")
        moved.replace(self._clock)

    @property
    def life(self) -> str:
        """Which worker it is, and how often it was started."""
        return f"w{self.number}.{self._lives}"

    def start(self) -> None:
        """Start it, as the version that it has now."""
        version = [str(self.version)] if self.version else []
        self._lives += 1
        path = os.pathsep.join([str(INSIDE), *version])
        self.worker.start(PYTHONPATH=path, CHAOS_LIFE=self.life)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes, if there are any."""
        if self.worker.alive and self.worker.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.worker.pid, number)


class Fleet:
    """Everything that runs.

    Args:
        folder: where logs and Redis' files go.
        workers: how many there are.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.left: list[Left] = []
        """Workers that were found to have left."""
        self._parts = ExitStack()
        self._workers = workers
        self._gone: dict[int, float] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def _start(self) -> None:
        (self.folder / "redis").mkdir(parents=True)
        self.stack = self._parts.enter_context(LocalStack())
        self.redis = self._parts.enter_context(channels_harness.own_redis(self.folder / "redis"))
        self.durable()
        for name, behaviour in WELL.items():
            behave(self.stack, name, **behaviour)
        self.proxy = self._parts.enter_context(proxying())
        self.endpoint = self.proxy.link(_port(self.stack.endpoint_url))
        self.s3 = self.proxy.link(_port(self.stack.s3_url))
        self.members = [self._member(number) for number in range(self._workers)]
        self.beat = self._beat()

    @property
    def testimony(self) -> Path:
        """What the workers' witnesses write."""
        return self.folder / "witness.jsonl"

    def environment(self) -> dict[str, str]:
        """The variables of a process that nothing stands in the way of."""
        settings = {f"CELERY_SAGEMAKER_{name}": value for name, value in SETTINGS.items()}
        outputs = {"CELERY_SAGEMAKER_ENDPOINTS__" + ASYNC.upper() + "__OUTPUT_PATH":
                   f"s3://{self.stack.bucket}/outputs"}  # fmt: skip
        ours = {"CELERY_SAGEMAKER_BROKER_URL": self.redis.url, MARK: self.mark}
        return {**self.stack.environment(), **settings, **outputs, **ours}

    def durable(self) -> None:
        """Let Redis have on disk what it says that it has.

        With `everysec` it may answer before it has written: a kill then loses what is not promised.
        """
        with self.client() as client:
            client.config_set("appendfsync", "always")

    def client(self) -> "redis.Redis":
        """A direct connection to Redis."""
        return redis.Redis.from_url(self.redis.url, socket_timeout=2.0, decode_responses=True)

    def supervise(self) -> None:
        """Start again, after a second, what has left."""
        now = time.monotonic()
        for number, member in enumerate(self.members):
            if member.worker.alive:
                self._gone.pop(number, None)
            elif number not in self._gone:
                self._gone[number] = now
                self.left.append(Left(number, member.life, time.time()))
            elif now - self._gone[number] >= RESTART_SECONDS:
                member.start()

    def ready(self) -> None:
        """Return when all workers take messages."""
        for member in self.members:
            member.start()
        eventually(lambda: all(" ready." in m.worker.output for m in self.members), 60.0)

    def dismiss(self) -> None:
        """Let workers and beat go, as a supervisor that stops does."""
        self.beat.terminate()
        for member in self.members:
            if member.worker.alive:
                member.worker.terminate()
        gone = time.monotonic() + STOP_SECONDS
        while any(m.worker.alive for m in self.members) and time.monotonic() < gone:
            time.sleep(LOOK)

    def _member(self, number: int) -> Member:
        link = self.proxy.link(self.redis.port)
        clock = self.folder / f"clock-{number}"
        ours = {
            "CHAOS_CLOCK": str(clock),
            "CHAOS_WITNESS": str(self.testimony),
            "REMAP_SIGTERM": "SIGQUIT",
        }
        environment = {**self.environment(), **self._proxied(link), **ours}
        log = self.folder / f"worker-{number}.log"
        pool = POOLS[number % len(POOLS)]
        options = ["--pool", pool, "--concurrency", str(SLOTS), "--hostname", f"w{number}@chaos"]
        made = Worker(environment, log, "witness", options, INSIDE)
        self._parts.callback(made.kill)
        return Member(number, made, link, clock)

    def _proxied(self, link: Link) -> dict[str, str]:
        endpoint = f"http://127.0.0.1:{self.endpoint.port}"
        return {
            "CELERY_SAGEMAKER_BROKER_URL": f"redis://127.0.0.1:{link.port}/0",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint,
            "AWS_ENDPOINT_URL_SAGEMAKER": endpoint,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.s3.port}",
        }

    def _beat(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "beat.log").open("ab") as log:
            made = subprocess.Popen(
                [*CLI, "beat"],
                env={**os.environ, **self.environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def end() -> None:
            if made.poll() is None:
                os.killpg(made.pid, signal.SIGKILL)
            made.wait()

        self._parts.callback(end)
        return made

    def orphans(self) -> list[str]:
        """Processes of this run that are left; the one that asks is none."""
        return [line for pid, line in _marked(self.mark) if pid != os.getpid()]


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _marked(mark: str) -> list[tuple[int, str]]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append((int(folder.name), f"{folder.name} {command}"))
    return found
