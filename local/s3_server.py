"""A private S3: moto's server.

Run as `python -m celery_sagemaker.local.s3_server DESCRIPTOR` with a listening socket as the file
descriptor; moto's own command binds a port that may be lost meanwhile, and logs every request.
"""

import logging
import os
import socket
import sys
import urllib.request
from pathlib import Path

from .processes import HOST, Child, python

#: Seconds for one request.
SECONDS = 10.0


def start(folder: Path, host: str = HOST, port: int = 0) -> Child:
    """Start moto's S3 server; host and port are as of `processes.listener`."""
    # The list of buckets: short, whatever is in them.
    return python("s3", "s3_server", [], folder=folder, health="/", host=host, port=port)


def make_bucket(port: int, bucket: str) -> None:
    """Make a bucket; no signature is asked for."""
    url = f"http://{HOST}:{port}/{bucket}"
    with urllib.request.urlopen(
        urllib.request.Request(url, method="PUT"),
        timeout=SECONDS,
    ) as answer:
        answer.read()


def main(descriptor: int) -> None:
    """Serve on a listening socket until stopped."""
    from moto.moto_server import werkzeug_app as moto  # noqa: PLC0415 - not needed to start it
    from werkzeug.serving import make_server  # noqa: PLC0415

    with socket.socket(fileno=os.dup(descriptor)) as listening:
        port: int = listening.getsockname()[1]
    # moto calls itself at this port.
    os.environ["MOTO_PORT"] = str(port)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = moto.DomainDispatcherApplication(moto.create_backend_app)
    # Newer versions of moto read some headers in a handler of their own.
    handler = getattr(moto, "MotoRequestHandler", None)
    make_server(
        HOST, port, app, threaded=True, request_handler=handler, fd=descriptor
    ).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
