"""A step of a worker's consumer that does one thing again and again."""

from collections.abc import Callable
from typing import Any

from celery import bootsteps

#: Seconds, a function, and its arguments.
Repeated = tuple[float, Callable[..., object], tuple[Any, ...]]


class Repeating(bootsteps.StartStopStep):
    """Has the consumer's timer call a function, from the consumer's start to its stop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._entry: Any = None

    def repeated(self, parent: Any) -> Repeated | None:
        """Return what is to be called how often; None: nothing."""
        raise NotImplementedError

    def start(self, parent: Any) -> None:
        """Begin; a consumer that lost its broker starts again."""
        self.stop(parent)
        repeated = self.repeated(parent)
        if repeated is not None:
            self._entry = parent.timer.call_repeatedly(*repeated)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - the step's signature
        """Let it be."""
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None
