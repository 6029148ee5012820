"""One thread per process that wakes every open publisher when it has something to do.

A producer is blocked in the model's response most of the time and can run no timer itself.
"""

import logging
import os
import threading
import time
from typing import Protocol

logger = logging.getLogger(__name__)

#: Seconds a thread without publishers stays.
LINGER = 10.0


class Timed(Protocol):
    """Something that has to be woken."""

    def due(self) -> float | None:
        """Return when `tick` is to be called, in monotonic seconds; None: not any more."""
        ...

    def tick(self) -> None:
        """Do what is due."""
        ...


class Clock:
    """Calls `tick` of whoever is due, in a thread that starts when it is needed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._timed: list[Timed] = []
        self._thread: threading.Thread | None = None

    def add(self, timed: Timed) -> None:
        """Wake it from now on, until its `due` is None."""
        with self._changed:
            self._timed.append(timed)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="channels-clock", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def wake(self) -> None:
        """Somebody's `due` has become earlier."""
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while ready := self._wait():
            for timed in ready:
                self._tick(timed)

    def _wait(self) -> list[Timed]:
        """Return who is due; nobody: the thread ends."""
        idle_since = time.monotonic()
        with self._changed:
            while True:
                now = time.monotonic()
                due = {timed: at for timed in self._timed if (at := timed.due()) is not None}
                self._timed = list(due)
                ready = [timed for timed, at in due.items() if at <= now]
                if ready:
                    return ready
                idle_since = now if due else idle_since
                if now >= idle_since + LINGER:
                    self._thread = None
                    return []
                self._changed.wait(min(due.values(), default=idle_since + LINGER) - now)

    def _tick(self, timed: Timed) -> None:
        try:
            timed.tick()
        except Exception:
            # The others' leases depend on this thread.
            logger.exception("publisher_tick_failed")

    def forget(self) -> None:
        """Start anew: threads did not survive a fork."""
        self.__init__()  # type: ignore[misc]


CLOCK = Clock()
os.register_at_fork(after_in_child=CLOCK.forget)
