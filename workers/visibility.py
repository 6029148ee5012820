"""Keeps the messages that a worker holds from being delivered a second time.

Redis delivers an unacknowledged message again after `visibility_timeout`, whether its worker died
or is merely busy. This bootstep marks the held ones as seen just now, three times within the
timeout, so that the timeout can be minutes and still never doubles a long task. It stands on
kombu's internals; with another transport, or another kombu, it does nothing and says so.
"""

import logging
import time
from typing import Any

import redis

from .repeating import Repeated, Repeating

logger = logging.getLogger(__name__)


class VisibilityHeartbeat(Repeating):
    """Renews the visibility of a consumer's unacknowledged messages."""

    @property
    def renewing(self) -> bool:
        """Whether it renews at all: another broker needs it not, another kombu cannot."""
        return self._entry is not None

    def repeated(self, parent: Any) -> Repeated | None:
        """Renew every third of the visibility timeout."""
        channel = parent.task_consumer.channel
        interval = interval_of(channel)
        return None if interval is None else (interval, renew, (channel,))


def interval_of(channel: Any) -> float | None:
    """Return seconds between renewals; None where the broker needs none."""
    timeout = getattr(channel, "visibility_timeout", None)
    if timeout is None or not hasattr(channel, "unacked_index_key"):
        return None
    if not hasattr(channel.qos, "_delivered"):
        logger.warning("visibility_not_renewed", extra={"why": "this kombu keeps no such record"})
        return None
    return float(timeout) / 3


def renew(channel: Any) -> int:
    """Mark the messages that the channel has delivered as seen now. Returns how many there were."""
    tags = list(channel.qos._delivered)  # noqa: SLF001 - kombu has no public record of them
    if not tags or channel.closed:
        return 0
    now = time.time()
    try:
        with channel.conn_or_acquire() as client:
            client.zadd(channel.unacked_index_key, dict.fromkeys(tags, now), xx=True)
    except redis.RedisError as error:
        logger.warning("visibility_not_renewed", extra={"error": str(error)})
        return 0
    return len(tags)
