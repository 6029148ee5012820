"""Runs that leave their slot before their request has ended, at a fair price.

Such a run raises Celery's `Ignore`. Celery copies the traceback of every exception, twice of this
one, with the positions of all instructions of all its frames, and shows it nowhere: a third of
the CPU that an asynchronous inference cost a worker (Celery 5.7, billiard 4.3). Here it is not
copied. A Celery that has no such class in that place goes on as it does.
"""

import sys
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import signals

from ..tasks.base import HandedBack, Submitted


class Leaving(ExceptionInfo):
    """What Celery knows of an exception; without a traceback if a run only leaves its slot."""

    def __init__(self, exc_info: Any = None, internal: bool = False) -> None:  # noqa: FBT001, FBT002 - billiard's signature
        kind, exception, _ = exc_info or sys.exc_info()
        if isinstance(exception, HandedBack | Submitted):
            about = {"type": kind, "exception": exception, "internal": internal}
            vars(self).update(about, tb=None, traceback="")
        else:
            super().__init__(exc_info, internal)


def connect() -> None:
    """Listen to the start of a worker of this process; may be called more than once."""
    signals.worker_init.connect(_install, dispatch_uid="sagemaker-leaving")


def _install(**_: Any) -> None:
    from celery.app import trace  # noqa: PLC0415 - for workers only

    if getattr(trace, "ExceptionInfo", None) is ExceptionInfo:
        vars(trace)["ExceptionInfo"] = Leaving
