"""The lease of one process over the requests it is running.

One renewal covers every run of the process. When the process dies the lease lapses, and the clock
takes its runs back. A process that was only paused finds its runs fenced by their numbers.
"""

import logging
import threading

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

    def _renew_for_ever(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._ledger.renew(self._owner, self._ledger.now())
            except redis.RedisError as error:
                extra = {"owner": self._owner, "error": str(error)}
                logger.warning("lease_not_renewed", extra=extra)
            pause.wait(self._ledger.lease / 3)
