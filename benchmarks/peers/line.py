"""What all peers share: they do what a line of JSON says. The standard library only."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

#: Seconds for which a worker may take to end.
STOP = 5.0

#: Where a peer's script finds the others.
HERE = Path(__file__).parent

#: Seconds that a peer waits for something, and between two looks; whoever measures is less patient.
PATIENCE, LOOK = 3_600.0, 0.002

#: Seconds between two looks at whoever measures.
GONE = 2.0

#: What a library prints is no answer, from its import on.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def serve(turn: Callable[..., dict[str, float] | None]) -> None:
    """Say that this peer is ready; take turns until the input ends."""
    _say({})
    for line in sys.stdin:
        _say(turn(**json.loads(line)) or {})


def _end_with(parent: int) -> None:
    """Leave nothing behind when whoever measures was killed."""
    while os.getppid() == parent:
        time.sleep(GONE)
    os.killpg(0, signal.SIGKILL)


# From the import on: a peer may wait for its worker for long before it serves.
threading.Thread(target=_end_with, args=(int(os.environ["BENCH_PARENT"]),), daemon=True).start()


def _say(answer: dict[str, Any]) -> None:
    ANSWERS.write(json.dumps(answer) + "\n")
    ANSWERS.flush()


@contextmanager
def _worker(command: Sequence[str]) -> Any:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, stdout=2) as child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP)
            except subprocess.TimeoutExpired:
                child.kill()


def worker(*arguments: str) -> AbstractContextManager[Any]:
    """Run a module of this interpreter as a worker, until the peer ends."""
    return _worker([sys.executable, "-m", *arguments])


def until(true: Callable[[], bool], what: str, *, look: float = LOOK) -> None:
    """Wait for something, with so many seconds between two looks.

    Raises:
        TimeoutError: it did not come.
    """
    give_up = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > give_up:
            raise TimeoutError(what)
        time.sleep(look)


def asked() -> dict[str, int]:
    """Return how many requests of each kind S3 has been sent so far."""
    url = f"{os.environ['AWS_ENDPOINT_URL_S3']}/asked"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback
        found: dict[str, int] = json.load(answer)
    return found


def release() -> None:
    """Let the asynchronous inferences end that are to be pending at once."""
    url = f"{os.environ['AWS_ENDPOINT_URL_S3']}/release"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST")):  # noqa: S310
        pass


def resident(pid: int) -> float:
    """Return the megabytes that a process has resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def read(count: int) -> list[dict[str, Any]]:
    """Read records from S3, the cheapest way there is."""
    url = f"{os.environ['AWS_ENDPOINT_URL_S3']}/benchmark/in/{count}.jsonl"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback
        return [json.loads(line) for line in answer]


def write(count: int, outputs: Iterable[tuple[str, bytes]]) -> None:
    """Write outputs to S3; there has to be one for each record."""
    lines = [
        json.dumps({"id": id_, "output": json.loads(body)}).encode() + b"\n"
        for id_, body in outputs
    ]
    if len(lines) != count:
        raise RuntimeError(f"{len(lines)} outputs of {count} records")
    url = f"{os.environ['AWS_ENDPOINT_URL_S3']}/benchmark/out/{os.getpid()}.jsonl"
    request = urllib.request.Request(url, data=b"".join(lines), method="PUT")  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        answer.read()
