"""The local stack as the commands use it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from celery import Celery

from .exits import Exit, fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ...local.stack import LocalStack


class Ping(Protocol):
    """Tells whether a worker answers."""

    def __call__(self) -> bool:
        """Ask now."""


@contextmanager
def started(behaviours: Path | None = None) -> Iterator[LocalStack]:
    """Start Redis, S3 and the endpoint emulator; stop them at the end.

    What cannot start ends the command with exit code 3 and one line.
    """
    try:
        from ...local.stack import LocalStack  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        fail(Exit.UNREACHABLE, f"{error.name} is missing: pip install 'celery-sagemaker[local]'")
    local = LocalStack(behaviours=behaviours)
    try:
        local.start()
    except (OSError, RuntimeError, ValueError) as error:
        local.stop()
        fail(Exit.UNREACHABLE, f"the local stack does not start: {error}")
    try:
        yield local
    finally:
        local.stop()


def worker_ping(environment: Mapping[str, str]) -> Ping:
    """A ping to the workers of the stack with this environment."""
    app = Celery("ping", broker=environment["CELERY_SAGEMAKER_BROKER_URL"], set_as_current=False)

    def ping() -> bool:
        return bool(app.control.inspect(timeout=2.0, limit=1).ping())

    return ping
