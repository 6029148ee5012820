"""The clock as a worker bootstep: every worker has one, and a lease lets one tick."""

import logging
import threading
import time
from typing import Any

import redis
from celery import bootsteps
from celery.worker import state
from kombu.exceptions import ConnectionError as BrokerError
from kombu.exceptions import OperationalError

from ..tasks.clock import Clock

logger = logging.getLogger(__name__)

#: Seconds between two looks at what this worker was told to revoke: a stream is stopped by it.
REVOKED_SECONDS = 0.1


class Ticker(bootsteps.StartStopStep):
    """Ticks the clock from a thread of the worker's main process."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        """Start ticking."""
        clock = Clock(parent.app, revoked=lambda: list(state.revoked))
        self._thread = threading.Thread(
            target=self._tick_on, args=(clock,), name="sagemaker-clock", daemon=True
        )
        self._thread.start()

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - the step's signature
        """Stop ticking, and let another worker's clock go on."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def terminate(self, parent: Any) -> None:
        """Stop at once."""
        self.stop(parent)

    def _tick_on(self, clock: Clock) -> None:
        pause = min(clock.parts.settings.polling.tick, REVOKED_SECONDS)
        due, seen = time.monotonic(), 0
        while not self._stopped.wait(pause):
            try:
                is_due, number = time.monotonic() >= due, len(state.revoked)
                # There may be 50,000 of them: they are compared when there is something new.
                if is_due or number != seen:
                    clock.close_revoked()
                    seen = number
                if is_due:
                    due = time.monotonic() + clock.parts.settings.polling.tick
                    clock.tick()
            except (redis.RedisError, OperationalError, BrokerError, OSError) as error:
                logger.warning("clock_tick_failed", extra={"error": str(error)})
            except Exception:
                # The clock is what brings back everything else: it goes on.
                logger.exception("clock_tick_failed")
        try:
            clock.resign()
        except redis.RedisError as error:
            logger.info("clock_not_resigned", extra={"error": str(error)})
