"""A private S3: moto's server."""

import json
import sys
import urllib.request
from pathlib import Path

from .processes import Child, free_port

#: Seconds for one request.
SECONDS = 10.0


def start(folder: Path, port: int | None = None) -> Child:
    """Start moto's S3 server."""
    port = port or free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return Child("s3", command, port=port, folder=folder)


def make_bucket(port: int, bucket: str) -> None:
    """Make a bucket; no signature is asked for."""
    url = f"http://127.0.0.1:{port}/{bucket}"
    with urllib.request.urlopen(
        urllib.request.Request(url, method="PUT"),
        timeout=SECONDS,
    ) as answer:
        answer.read()


def health(port: int) -> bool:
    """Whether the server answers."""
    url = f"http://127.0.0.1:{port}/moto-api/data.json"
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return isinstance(json.load(answer), dict)
