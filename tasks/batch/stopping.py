"""Whether this worker process is stopping: its chunks save what they have and leave the rest."""

import threading

from celery import signals

_stopping = threading.Event()


@signals.worker_shutting_down.connect(dispatch_uid="sagemaker-batch-stopping")
def _note(**_: object) -> None:
    _stopping.set()


def stopping() -> bool:
    """Whether the worker has been told to stop; never so in a child of the prefork pool."""
    return _stopping.is_set()
