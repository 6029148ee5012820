"""The tasks: SageMaker inference for `.delay`, chains, groups, chords and schedules.

Importing this in a web process loads neither boto3 nor the command line.
"""

from celery import Celery

from .. import channels
from . import batch, schedules, streams
from .bulk import apply_many
from .collect import collect
from .delivery import revoke
from .deployment import configure, deployment, this_app
from .exceptions import (
    Expired,
    LedgerError,
    LostMessage,
    MalformedMessage,
    PartlyAccepted,
    PoisonMessage,
    Revoked,
    StreamInterrupted,
)
from .invoke import invoke
from .invoke_async import invoke_async
from .ledger import State, Status
from .poll import poll
from .stream import stream

__all__ = [
    "Expired",
    "LedgerError",
    "LostMessage",
    "MalformedMessage",
    "PartlyAccepted",
    "PoisonMessage",
    "Revoked",
    "State",
    "Status",
    "StreamInterrupted",
    "apply_many",
    "batch",
    "collect",
    "configure",
    "counts",
    "deployment",
    "invoke",
    "invoke_async",
    "poll",
    "revoke",
    "schedules",
    "status",
    "stream",
    "usage",
]

# Whoever reads streams in this process reads those of the current app.
channels.configure(streams.reading)


def status(id_: str, app: Celery | None = None) -> Status | None:
    """Return where a request stands, also when its Celery result has expired.

    Returns:
        None for an id that the ledger does not know, or no longer.
    """
    return deployment(this_app(app)).ledger.status(id_)


def counts(app: Celery | None = None) -> dict[str, int]:
    """Return how many requests were ever accepted, and how many reached each final state."""
    return deployment(this_app(app)).ledger.counts()


def usage(app: Celery | None = None) -> dict[str, int]:
    """Return the S3 requests that the tasks made, by kind: GET, HEAD, LIST, PUT."""
    return deployment(this_app(app)).ledger.usage()
