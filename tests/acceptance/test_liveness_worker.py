"""A worker's sign of life: it is there while the worker takes messages, and not otherwise."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from channels_harness import OwnRedis
from harness import Environment, Worker, eventually

pytestmark = pytest.mark.timeout(120)

#: Seconds between two signs.
EVERY = 0.1

#: A moment long ago, as a file's time.
LONG_AGO = (0.0, 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the sign is to be."""
    return tmp_path / "alive"


@pytest.fixture
def showing(
    environment: Environment, own_redis: OwnRedis, file: Path, tmp_path: Path
) -> Iterator[Worker]:
    """A worker that shows that it is alive."""
    made = Worker(
        {
            **environment,
            "CELERY_SAGEMAKER_BROKER_URL": own_redis.url,
            "CELERY_SAGEMAKER_LIVENESS__FILE": str(file),
            "CELERY_SAGEMAKER_LIVENESS__EVERY": str(EVERY),
        },
        tmp_path / "worker.log",
        "celery_sagemaker.workers.app",
    )
    made.start()
    yield made
    made.kill()


def fresh(file: Path) -> bool:
    """Whether there is a sign since the file was made old."""
    return file.exists() and file.stat().st_mtime > 0


def test_a_worker_shows_that_it_takes_messages(
    showing: Worker, own_redis: OwnRedis, file: Path
) -> None:
    """Again and again; not while its Redis is away; and again when that has come back."""
    eventually(file.exists)
    os.utime(file, LONG_AGO)
    eventually(lambda: fresh(file), seconds=10)
    own_redis.kill()
    eventually(lambda: "Connection to broker lost" in showing.output)
    # The consumer stops its steps right behind that line.
    eventually(lambda: "Trying again in" in showing.output)
    os.utime(file, LONG_AGO)
    give_up = time.monotonic() + 10 * EVERY
    while time.monotonic() < give_up:
        assert not fresh(file)
        time.sleep(EVERY)
    own_redis.start()
    eventually(lambda: fresh(file) or not showing.alive)
    # kombu#582: it may have ended, and then shows nothing either.
    assert fresh(file) == showing.alive
