"""The local stack as the commands use it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from celery import Celery

from .exits import Exit, fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

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
    with _running(lambda local: local.LocalStack(behaviours)) as made:
        yield made


@contextmanager
def emulating(
    behaviours: Path | None, host: str, endpoint_port: int, s3_port: int
) -> Iterator[LocalStack]:
    """Start S3 and the endpoint emulator where others find them; as `started`."""

    def make(local: ModuleType) -> LocalStack:
        place = local.Place(host=host, endpoint_port=endpoint_port, s3_port=s3_port)
        made: LocalStack = local.LocalStack(behaviours, place=place, with_redis=False)
        return made

    with _running(make) as made:
        yield made


@contextmanager
def _running(make: Callable[[ModuleType], LocalStack]) -> Iterator[LocalStack]:
    try:
        from ...local import stack  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        fail(Exit.UNREACHABLE, f"{error.name} is missing: pip install 'celery-sagemaker[local]'")
    local = make(stack)
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
