"""The leases of this process' permits, renewed by one daemon thread.

When the process dies they lapse, and its permits are given to others.
"""

import logging
import threading

import redis

from .admission import Admission
from .gate import Gate

logger = logging.getLogger(__name__)


class Renewals:
    """Renews permits three times within their lease; one round trip per endpoint.

    Args:
        lease: seconds.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Gate, Admission]] = {}
        self._thread: threading.Thread | None = None

    def keep(self, gate: Gate, admission: Admission) -> None:
        """Renew an admission's permits until it ends."""
        with self._lock:
            self._held[admission.block] = (gate, admission)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_for_ever, name="sagemaker-permits", daemon=True
                )
                self._thread.start()

    def drop(self, block: str) -> None:
        """Renew no longer."""
        with self._lock:
            self._held.pop(block, None)

    def renew(self) -> None:
        """Renew everything once; what has lapsed is asked back from its holder."""
        with self._lock:
            held = list(self._held.values())
        for gate in {gate for gate, _ in held}:
            blocks = [(a.block, a.permits) for g, a in held if g is gate]
            self._lapsed(gate, gate.renew(blocks))

    def _lapsed(self, gate: Gate, blocks: set[str]) -> None:
        with self._lock:
            # One that was released meanwhile has not lapsed.
            lost = [self._held.pop(block)[1] for block in blocks if block in self._held]
        for admission in lost:
            admission.asked_back = admission.permits
            extra = {"endpoint": gate.name, "permits": admission.permits}
            logger.warning("permits_lapsed", extra=extra)

    def _renew_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._lease / 3):
            try:
                self.renew()
            except redis.RedisError as error:
                logger.warning("permits_not_renewed", extra={"error": repr(error)})
