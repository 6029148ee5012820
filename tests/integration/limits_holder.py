"""Processes that take permits and use them, until they are killed; see test_limits_killed.

Forks one for every line on stdin, after the imports that take a second, and prints its id. A permit
in use is a connection to the witness: the kernel closes it, whatever ends the process.
"""

import os
import random
import signal
import socket
import sys
import time

import redis
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.limits import SUCCESS, Limits

#: Share of the blocks that are held for longer than a lease.
LONG = 0.1


def enter(port: int) -> socket.socket:
    """Tell the witness that a permit is in use; returns when it has counted it."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.recv(1)
    return connection


def leave(connection: socket.socket) -> None:
    """Tell the witness that a permit is not in use; returns when it has counted that."""
    connection.sendall(b"x")
    connection.recv(1)
    connection.close()


def use(limits: Limits, port: int, lease: float) -> None:
    """Take blocks of permits and use them, now and then for longer than a lease."""
    draw = random.Random()
    while True:
        admission = limits.admit("churn", draw.randint(1, 4), waiter=str(os.getpid()))
        if not admission:
            time.sleep(0.005)
            continue
        with admission:
            used = [enter(port) for _ in range(admission.permits)]
            time.sleep(1.5 * lease if draw.random() < LONG else draw.uniform(0.02, 0.05))
            while used:
                leave(used.pop())
                admission.report({SUCCESS: 1}, release=1)


def main(url: str, prefix: str, limit: str, lease: str, port: str) -> None:
    """Fork until stdin ends."""
    settings = Settings(limits={"max_concurrency": int(limit)}, ledger={"lease": float(lease)})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            use(Limits(redis.Redis.from_url(url), prefix, settings), int(port), float(lease))
        print(pid, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
