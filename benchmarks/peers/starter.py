"""Starts processes, and says how long each took."""

import os
import subprocess
import sys
import time
from pathlib import Path

import line
import redis
from ours import COMMAND as OURS

BIN = Path(sys.executable).parent
PYTHON = [sys.executable, "-c"]
PLAIN = ("celery", "-A", "plain_tasks", "worker", "--loglevel", "WARNING")

#: Commands that end.
COMMANDS = {
    "nothing": [*PYTHON, "pass"],
    "celery": [*PYTHON, "import celery; celery.Task"],
    "boto": [*PYTHON, "import boto3; boto3.client('sagemaker-runtime')"],
    "tasks": [*PYTHON, "import celery_sagemaker.tasks"],
    "celery_help": [str(BIN / "celery"), "--help"],
    "help": [str(BIN / "celery-sagemaker"), "--help"],
}

client = redis.Redis.from_url(os.environ["BENCH_REDIS"])


def listening() -> int:
    """Return how many connections wait for messages: a worker that is up does."""
    return sum(entry["cmd"] == "brpop" for entry in client.client_list())


def turn(count: int, what: str) -> dict[str, float]:  # noqa: ARG001 - it is always one
    """Start something."""
    if what in COMMANDS:
        began = time.perf_counter()
        subprocess.run(COMMANDS[what], check=True, stdout=subprocess.DEVNULL)
        return {"seconds": time.perf_counter() - began}
    command = PLAIN if what == "plain_worker" else OURS
    line.until(lambda: not listening(), "the end of the worker before")
    began = time.perf_counter()
    with line.worker(*command) as worker:
        line.until(lambda: bool(listening()), "a worker that listens")
        took = time.perf_counter() - began
        worker.kill()  # its end is not measured, and slow
        return {"seconds": took}


line.serve(turn)
