"""The channel of a schedule: what becomes of its runs, for whoever follows it.

`subscribe("schedule:nightly")` yields a part for each change of a run's state, whichever process
noticed it, from the oldest that is kept until the schedule is removed.
"""

import json
import logging
from typing import Final

import redis

from ...channels import Feed
from ..deployment import Deployment
from .values import Run

logger = logging.getLogger(__name__)

#: What the ids of schedules' channels begin with.
PREFIX: Final = "schedule:"


def stream_of(name: str) -> str:
    """Return the id by which a schedule is followed."""
    return f"{PREFIX}{name}"


def open_(parts: Deployment, name: str) -> None:
    """Let readers wait for the runs of a schedule that was added. Harmless if they can already.

    A schedule of the same name that was removed before is another one: its events go.
    """
    try:
        _feed(parts, name).open(schedule=name)
    except redis.RedisError as error:
        _away(name, error)


def announce(parts: Deployment, name: str, run: Run) -> None:
    """Tell the readers of a schedule what has become of a run.

    May be called again, and by others: each state of a run is told once. Does not raise when Redis
    is away: the readers' loss is nothing that a run should fail for.
    """
    event = json.dumps({"schedule": name, **run.to_json()}, separators=(",", ":"))
    try:
        _feed(parts, name).append(f"{run.id}/{run.state}", event.encode())
    except redis.RedisError as error:
        _away(name, error)


def close(parts: Deployment, name: str) -> None:
    """Tell the readers of a schedule that it was removed."""
    try:
        _feed(parts, name).end(result="removed")
    except redis.RedisError as error:
        _away(name, error)


def _feed(parts: Deployment, name: str) -> Feed:
    return Feed(stream_of(name), parts.ledger.client, options=parts.channels)


def _away(name: str, error: redis.RedisError) -> None:
    logger.warning("schedule_readers_not_told", extra={"schedule": name, "error": str(error)})
