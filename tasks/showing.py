"""What Celery's events, and Flower, show of a request that leaves its slot before it has ended.

Celery sends no event for a task that raises `Ignore`: it would look started for ever. An event of a
type that Celery does not know becomes a state of that name, which only a final state replaces; a
retry is one that it knows.
"""

from collections.abc import Iterator
from typing import Any

from celery.worker.request import Request

from .base import HandedBack, Submitted
from .collect_many import FAILED, SUCCEEDED


class LedgerRequest(Request):
    """A request in the worker's main process: the process that sends events, if they are on."""

    def on_failure(
        self,
        exc_info: Any,
        send_failed_event: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        return_ok: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Celery's own, and the event that it lacks."""
        answer = super().on_failure(exc_info, send_failed_event, return_ok)
        error = exc_info.exception
        # From a child process it comes with its traceback around it.
        error = getattr(error, "exc", error)
        if isinstance(error, Submitted):
            self.send_event("task-submitted")
        elif isinstance(error, HandedBack):
            self.send_event("task-retried", exception=f"{error.why}: in {error.seconds:.1f} s")
        return answer


class ManyRequest(Request):
    """A request whose task ends others: Celery would send an event of the message only."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send Celery's own, and the events of the requests that have ended."""
        super().send_event(type, **fields)
        eventer: Any = self._eventer  # type: ignore[attr-defined] # celery-types lacks it
        if type == "task-succeeded" and eventer and eventer.enabled:
            for id_, ended in self._ended(fields["result"]):
                eventer.send(ended, uuid=id_, runtime=fields["runtime"], result="", exception="")

    def _ended(self, letters: str) -> Iterator[tuple[str, str]]:
        """Yield ids, and the types of their events."""
        types = {SUCCEEDED: "task-succeeded", FAILED: "task-failed"}
        for id_, letter in zip(self.args[0], letters.strip("'"), strict=False):
            if letter in types:
                yield id_, types[letter]
