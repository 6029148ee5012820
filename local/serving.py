"""The emulator as a server: in a process of its own, or in a thread.

Run as `python -m celery_sagemaker.local.serving DESCRIPTOR BUCKET [TOML]` with a listening socket
as the file descriptor; S3 by AWS_ENDPOINT_URL_S3.
"""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from . import behaviours, wire
from .endpoint import Emulator
from .processes import HOST, listener

#: Seconds an idle connection is kept: AWS keeps one longer than a worker is usually idle.
KEEP_ALIVE = 600

#: Seconds that calls under way have when the emulator is told to stop.
STOP_SECONDS = 1


def server(emulator: Emulator) -> uvicorn.Server:
    """Return a server that is not running yet."""
    config = uvicorn.Config(
        emulator.app(),
        http=wire.Protocol,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return uvicorn.Server(config)


@contextmanager
def running(emulator: Emulator) -> Iterator[str]:
    """Serve from a thread; gives the address."""
    made, inherits = server(emulator), listener()
    url = f"http://{HOST}:{inherits.getsockname()[1]}"
    thread = threading.Thread(target=made.run, kwargs={"sockets": [inherits]})
    thread.start()
    try:
        yield url
    finally:
        made.should_exit = True
        thread.join()


def main(arguments: list[str]) -> None:
    """Serve on a listening socket until stopped."""
    descriptor, bucket, *path = arguments
    endpoints = behaviours.read(Path(path[0]) if path else None)
    made = server(Emulator(endpoints, bucket))
    made.run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main(sys.argv[1:])
