"""A private S3: moto's server.

Run as `python -m celery_sagemaker.local.s3_server DESCRIPTOR` with a listening socket as the file
descriptor; moto's own command binds a port that may be lost meanwhile, and logs every request.
"""

import json
import logging
import os
import socket
import sys
import urllib.request
from pathlib import Path

from .processes import HOST, Child, python
from .s3_denials import ADMIN, Denials

#: Seconds for one request.
SECONDS = 10.0


def start(folder: Path, host: str = HOST, port: int = 0) -> Child:
    """Start moto's S3 server; host and port are as of `processes.listener`."""
    # The list of buckets: short, whatever is in them.
    return python("s3", "s3_server", [], folder=folder, health="/", host=host, port=port)


#: Nothing of ours deletes staged payloads: the bucket has the rule that docs/state.md advises.
LIFECYCLE = b"""<LifecycleConfiguration><Rule><ID>staged payloads</ID>
<Filter><Prefix>staging/</Prefix></Filter><Status>Enabled</Status>
<Expiration><Days>7</Days></Expiration></Rule></LifecycleConfiguration>"""


def make_bucket(port: int, bucket: str) -> None:
    """Make a bucket that expires what is staged; no signature is asked for."""
    url = f"http://{HOST}:{port}/{bucket}"
    _put(url, b"")
    _put(f"{url}?lifecycle", LIFECYCLE)


def deny(url: str, bucket: str, *actions: str) -> None:
    """Let actions on a bucket be refused from now on, all others granted.

    Args:
        url: the S3 server's address.
        bucket: the bucket.
        actions: of `s3_denials.ACTIONS`.

    Raises:
        urllib.error.HTTPError: there is no such action.
    """
    _put(f"{url}{ADMIN}{bucket}", json.dumps(actions).encode())


def _put(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    asked = urllib.request.Request(url, body, headers, method="PUT")  # noqa: S310 - our own server
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
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
    app = Denials(moto.DomainDispatcherApplication(moto.create_backend_app))
    # Newer versions of moto read some headers in a handler of their own.
    handler = getattr(moto, "MotoRequestHandler", None)
    make_server(
        HOST, port, app, threaded=True, request_handler=handler, fd=descriptor
    ).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
