"""What Celery drops before a task begins still reaches its one final state.

Celery tells of it by signals: a revoked or expired message, a task this worker does not know, a
message it cannot read.
"""

import logging
from typing import Any

import redis
from celery import Celery, signals

from ..runtime.exceptions import InferenceError
from ..tasks import delivery
from ..tasks.deployment import deployment
from ..tasks.exceptions import Expired, MalformedMessage, Revoked
from ..tasks.ledger import State

logger = logging.getLogger(__name__)

#: First part of the names of our tasks.
OURS = "sagemaker."


def connect() -> None:
    """Listen to Celery's signals; to be called once or more in a worker."""
    signals.task_revoked.connect(_revoked, dispatch_uid="sagemaker-revoked")
    signals.task_unknown.connect(_unknown, dispatch_uid="sagemaker-unknown")
    signals.task_rejected.connect(_rejected, dispatch_uid="sagemaker-rejected")


def _revoked(sender: Any, request: Any, *, expired: bool = False, **_: Any) -> None:
    name = getattr(sender, "name", sender)
    if not str(name).startswith(OURS):
        return
    state, error = (State.EXPIRED, Expired()) if expired else (State.REVOKED, Revoked())
    _close(sender.app, request.id, state, error)


def _unknown(sender: Any, message: Any, name: str, id: str, **_: Any) -> None:  # noqa: A002 - the signal's word
    if name.startswith(OURS):
        error = MalformedMessage(f"This worker has no task {name}: it may be of a newer version.")
        _bury(sender.app, id, name, error, message)
        _close(sender.app, id, State.FAILED, error)


def _rejected(sender: Any, message: Any, exc: BaseException, **_: Any) -> None:
    name = (message.headers or {}).get("task", "") if message is not None else ""
    if str(name).startswith(OURS):
        error = MalformedMessage(f"The message cannot be read: {exc!r}")
        id_ = (message.headers or {}).get("id", "")
        _bury(sender.app, id_, name, error, message)
        _close(sender.app, id_, State.FAILED, error)


def _bury(app: Celery, id_: str, name: str, error: MalformedMessage, message: Any) -> None:
    try:
        deployment(app).ledger.bury(
            {"id": id_, "task": name, **error.to_json(), "body": repr(message.body)[:65_536]}
        )
    except redis.RedisError as away:
        logger.warning("dead_letter_not_kept", extra={"id": id_, "error": str(away)})


def _close(app: Celery, id_: str, state: State, error: InferenceError) -> None:
    try:
        delivery.close(app, id_, state, error)
    except redis.RedisError as away:
        logger.warning("state_not_kept", extra={"id": id_, "error": str(away)})
