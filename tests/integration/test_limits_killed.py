"""Whoever is killed: no more permits are in use than there are, and none is lost."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.limits import Limits

LIMIT = 6
#: Seconds of a lease: permits of the dead come back during the test, and no live one lapses because
#: a busy machine stopped its holder for a while.
LEASE = 2.0
HOLDERS = 7
KILLS = 10

pytestmark = pytest.mark.timeout(120)


class Witness:
    """Counts the connections of those who use a permit: a dead process has none."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.uses = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            self._count(1)
            try:
                connection.sendall(b"x")
                connection.recv(1)
            except OSError:
                self._count(-1)
                return
            self._count(-1)
            # To the dead there is nothing to say.
            try:
                connection.sendall(b"x")
            except OSError:
                return

    def _count(self, change: int) -> None:
        with self._lock:
            self._now += change
            self.most = max(self.most, self._now)
            self.uses += change > 0

    def close(self) -> None:
        """Count no longer."""
        self._server.close()


@pytest.fixture
def witness() -> Iterator[Witness]:
    """A witness of the test's own."""
    made = Witness()
    yield made
    made.close()


class Holders:
    """Processes that hold permits."""

    def __init__(self, *arguments: str) -> None:
        module = str(Path(__file__).with_name("limits_holder.py"))
        self._nursery = subprocess.Popen(
            [sys.executable, module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._pids: list[int] = []

    def add(self) -> None:
        """Start another one."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(b"\n")
        self._nursery.stdin.flush()
        self._pids.append(int(self._nursery.stdout.readline()))

    def kill_one(self) -> None:
        """SIGKILL for any of them."""
        os.kill(self._pids.pop(random.randrange(len(self._pids))), signal.SIGKILL)

    def kill_all(self) -> None:
        """SIGKILL for all."""
        if self._nursery.poll() is None:
            os.killpg(self._nursery.pid, signal.SIGKILL)
        with self._nursery:
            self._nursery.wait()


@pytest.fixture
def prefix() -> str:
    """Keys of the test's own."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def holders(sagemaker_redis_url: str, prefix: str, witness: Witness) -> Iterator[Holders]:
    """Processes that share a semaphore."""
    made = Holders(sagemaker_redis_url, prefix, str(LIMIT), str(LEASE), str(witness.port))
    yield made
    made.kill_all()


def test_no_kill_gives_a_permit_to_two(
    sagemaker_redis_url: str, prefix: str, witness: Witness, holders: Holders
) -> None:
    """Processes die while they hold permits; the permits come back, and never too early."""
    for _ in range(HOLDERS):
        holders.add()
    _wait_for(lambda: witness.most == LIMIT)
    for _ in range(KILLS):
        wanted = witness.uses + 20
        _wait_for(lambda wanted=wanted: witness.uses >= wanted)  # type: ignore[misc]
        holders.kill_one()
        holders.add()
    holders.kill_all()
    assert witness.most == LIMIT
    with redis.Redis.from_url(sagemaker_redis_url) as client:
        limits = Limits(client, prefix, Settings(limits={"max_concurrency": LIMIT}))
        _wait_for(lambda: limits.state("churn").in_use == 0)


def _wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(0.01)
