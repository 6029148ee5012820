"""Lets a worker with threads take its next message as soon as it has room for one.

Redis is asked for messages by the worker's event loop, and a thread that has ended a task does not
wake that loop before kombu 5.7: what waits is then taken a few messages at a time, whenever a timer
fires (celery#6941; measured with Celery 5.5.3 and 5.6.2: 24 tasks of 20 ms in 9 s, by four
threads). This bootstep has a timer fire often. Where the loop can be woken, it does nothing.
"""

from typing import Any

from celery.concurrency.thread import TaskPool
from kombu.asynchronous.hub import Hub

from .repeating import Repeated, Repeating

#: Seconds between two looks; about as long as the quickest of our tasks takes with its Redis calls.
INTERVAL = 0.02


class Waking(Repeating):
    """Wakes the event loop of a consumer whose pool cannot."""

    def include_if(self, parent: Any) -> bool:
        """Whether the pool is of threads, and kombu's loop sleeps through what they end."""
        return isinstance(parent.pool, TaskPool) and not hasattr(Hub, "_create_waker")

    def repeated(self, parent: Any) -> Repeated | None:
        """Look again and again, if the broker is one that has to be asked."""
        is_asked = hasattr(parent.task_consumer.channel, "unacked_index_key")
        return (INTERVAL, _nothing, ()) if is_asked else None


def _nothing() -> None:
    """Being called is all: the loop goes round."""
