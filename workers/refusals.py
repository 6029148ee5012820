"""What Celery drops before a task begins still reaches its one final state.

Celery tells of a revoked or expired message by a signal; what cannot be read never comes so far
(see `guard`).
"""

import logging
from typing import Any

import redis
from celery import Celery, signals

from ..runtime.exceptions import InferenceError
from ..tasks import delivery
from ..tasks.exceptions import Expired, Revoked
from ..tasks.ledger import State
from .envelopes import OURS

logger = logging.getLogger(__name__)


def connect() -> None:
    """Listen to Celery's signals; to be called once or more in a worker."""
    signals.task_revoked.connect(_revoked, dispatch_uid="sagemaker-revoked")


def _revoked(sender: Any, request: Any, *, expired: bool = False, **_: Any) -> None:
    name = getattr(sender, "name", sender)
    if not str(name).startswith(OURS):
        return
    state, error = (State.EXPIRED, Expired()) if expired else (State.REVOKED, Revoked())
    _close(sender.app, request.id, state, error)


def _close(app: Celery, id_: str, state: State, error: InferenceError) -> None:
    try:
        delivery.close(app, id_, state, error)
    except redis.RedisError as away:
        logger.warning("state_not_kept", extra={"id": id_, "error": str(away)})
