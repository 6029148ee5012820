"""Our own app, in a worker that meets a disaster at one step, once.

CRASH_AT names the step and CRASH_ACTION the disaster; CRASH_ONCE is a file that the first worker to
get there removes, so that the next one goes on. CRASH_USER is the Redis user whose connections are
cut: the worker's own, so that nobody else loses any.
"""

import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from celery.backends.redis import RedisBackend
from celery_sagemaker.runtime.transport import BotoTransport
from celery_sagemaker.tasks.base import LedgerTask
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.ledger import Ledger
from celery_sagemaker.tasks.schedules import starting
from celery_sagemaker.tasks.schedules.registry import Registry
from celery_sagemaker.workers import create_app

app = create_app()

#: The module; the package's `poll` is the task.
polling = importlib.import_module("celery_sagemaker.tasks.poll")


def strike() -> None:
    """Let the disaster happen, if it has not."""
    try:
        Path(os.environ["CRASH_ONCE"]).unlink()
    except FileNotFoundError:
        return
    if os.environ["CRASH_ACTION"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    client: redis.Redis = redis.Redis.from_url(deployment(app).settings.broker_url)
    client.client_kill_filter(user=os.environ["CRASH_USER"], skipme=True)
    client.close()


def around(owner: Any, name: str, *, before: bool, when: Callable[..., bool]) -> None:
    """Strike before or after calls of a method, when they are the ones that are meant."""
    method = getattr(owner, name)

    def struck(*args: Any, **kwargs: Any) -> Any:
        if before and when(*args, **kwargs):
            strike()
        found = method(*args, **kwargs)
        if not before and when(*args, **kwargs):
            strike()
        return found

    setattr(owner, name, struck)


def always(*_: Any, **__: Any) -> bool:
    """Every call is meant."""
    return True


def noting(field: str) -> Callable[..., bool]:
    """Only a note of one field is meant."""
    return lambda *_, **fields: field in fields


def final(_: Any, __: str, ___: Any, state: str, *____: Any, **_____: Any) -> bool:
    """Only a final result is meant."""
    return state in {"SUCCESS", "FAILURE"}


STEPS: dict[str, tuple[Any, str, bool, Callable[..., bool]]] = {
    "begun": (Ledger, "begin", False, always),
    "intent": (Ledger, "note", False, noting("intent")),
    "called_async": (BotoTransport, "invoke_async", False, always),
    "located": (Ledger, "note", False, noting("output_location")),
    "submitted": (Ledger, "submit", False, always),
    "polling": (polling, "find", True, always),
    "ready": (Ledger, "ready_many", False, always),
    "called": (BotoTransport, "invoke", False, always),
    "unnoted": (Ledger, "note", True, noting("outcome")),
    "outcome": (Ledger, "note", False, noting("outcome")),
    "storing": (RedisBackend, "store_result", True, final),
    "stored": (LedgerTask, "on_success", True, always),
    "finished": (Ledger, "finish", False, always),
    "closed": (Ledger, "close", False, always),
    "told": (Ledger, "told", True, always),
    "run_begun": (Registry, "begin", False, always),
    "run_started": (starting, "start", False, always),
    "run_noted": (Registry, "note", False, always),
}

if "CRASH_AT" in os.environ:
    owner, name, before, when = STEPS[os.environ["CRASH_AT"]]
    around(owner, name, before=before, when=when)
