"""The lease of one process over the requests it is running.

One renewal covers every run of the process. When the process dies the lease lapses, and the clock
takes its runs back. A process that was only paused finds its runs fenced by their numbers.

A run can also be lost while its process lives: it could not note how it ended, because Redis was
full or away for long; or Redis gave it the request and the answer was lost. At each renewal, what
the ledger says that this process runs, and it does not, is given back.
"""

import logging
import threading
from collections import Counter

import redis

from .ledger import Ledger

logger = logging.getLogger(__name__)


class Lease:
    """Renews an owner's lease three times within its length, from a daemon thread.

    Args:
        ledger: holds the lease and says how long it is.
        owner: this process' name in the ledger.
    """

    def __init__(self, ledger: Ledger, owner: str) -> None:
        self._ledger = ledger
        self._owner = owner
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._thread: threading.Thread | None = None

    def keep(self) -> None:
        """Start renewing, unless that goes on already."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_for_ever, name="sagemaker-lease", daemon=True
                )
                self._thread.start()

    def hold(self, id_: str) -> None:
        """Say that a thread of this process is about to begin a request, and then runs it."""
        with self._lock:
            self._held[id_] += 1

    def let_go(self, id_: str) -> None:
        """Say that the thread has done with it, whatever became of it."""
        with self._lock:
            self._held[id_] -= 1
            if self._held[id_] <= 0:
                del self._held[id_]

    def give_back(self) -> list[str]:
        """Give back what no thread of this process runs. Returns the ids.

        Raises:
            redis.RedisError: Redis is away, or full.
        """
        given = []
        for id_, number in self._ledger.running(self._owner, besides=self._held):
            # Held now: it was begun again after the ledger was asked.
            if id_ not in self._held and self._ledger.give_back(id_, self._owner, number):
                logger.warning("run_given_back", extra={"id": id_, "owner": self._owner})
                given.append(id_)
        return given

    def _renew_for_ever(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._ledger.renew(self._owner, self._ledger.now())
                self.give_back()
            except redis.RedisError as error:
                extra = {"owner": self._owner, "error": str(error)}
                logger.warning("lease_not_renewed", extra=extra)
            pause.wait(self._ledger.lease / 3)
