"""Do waiting inferences hold worker slots? Measured at the workers while the demo runs."""

import threading
import time
from dataclasses import dataclass
from typing import Self

from celery import Celery

#: Seconds between two samples.
PERIOD = 1.0

#: Seconds a task may still be active after its request was seen to be waiting: it is just
#: about to leave its slot then, not holding it.
LEAVING = 0.3


@dataclass
class SlotSamples:
    """What the samples showed.

    Attributes:
        samples: times the workers were asked while something was waiting.
        held: the most slots seen held at once by requests that were waiting.
    """

    samples: int = 0
    held: int = 0


class SlotSampler:
    """Asks the workers in a thread of its own, as a context manager.

    A sample reads which of the tasks that the workers run (`inspect active`) belong to requests
    that the ledger says are SUBMITTED, that is, waiting for their output; asks the workers again
    0.3 s later; and counts those still running. A worker that waited for outputs in its slots
    would show up here with every slot it has.
    """

    def __init__(self, app: Celery) -> None:
        self.found = SlotSamples()
        self._app = app
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            held = self._held()
            if held is not None:
                self.found.samples += 1
                self.found.held = max(self.found.held, held)

    def _held(self) -> int | None:
        active = self._active()
        if active is None:
            return None
        waiting = {id_ for id_ in active if self._is_waiting(id_)}
        if not waiting:
            return 0
        time.sleep(LEAVING)
        again = self._active()
        return None if again is None else len(waiting & again)

    def _active(self) -> set[str] | None:
        reply = self._app.control.inspect(timeout=5.0, limit=1).active()
        if not reply:
            return None
        return {task["id"] for tasks in reply.values() for task in tasks}

    def _is_waiting(self, id_: str) -> bool:
        from ...tasks import status  # noqa: PLC0415

        found = status(id_, app=self._app)
        return found is not None and found.state == "SUBMITTED"
