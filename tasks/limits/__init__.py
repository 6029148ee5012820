"""Limits that the whole fleet keeps: calls at once per endpoint, and a breaker if it is down.

They live in Redis, so that every worker sees the same. An endpoint without limits costs nothing;
one with limits costs two round trips a call, or two for a whole block of calls.
"""

import random
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

import redis

from ...config import Settings
from . import semaphore
from .admission import Admission
from .breaker import BreakerState
from .gate import Gate, LimitState, Reason, scripts
from .outcomes import SUCCESS, outcome_of
from .renewals import Renewals

__all__ = [
    "SUCCESS",
    "Admission",
    "BreakerState",
    "LimitState",
    "Limits",
    "Reason",
    "outcome_of",
    "resource",
]

T = TypeVar("T")

_RANDOM = random.Random()


def resource(endpoint: str, component: str | None = None) -> str:
    """Name what is limited: an endpoint, or one inference component of it, each by itself."""
    return f"{endpoint}/{component}" if component else endpoint


class Limits:
    """The limits of a deployment; safe for use by several threads, one for each process.

    Args:
        client: of the state server.
        prefix: of all keys, shared by all processes of the deployment.
        settings: say which endpoint has which limits, and how long a lease is.
    """

    def __init__(self, client: redis.Redis, prefix: str, settings: Settings) -> None:
        self._prefix = prefix
        self._settings = settings
        self._scripts = scripts(client)
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._renewals = Renewals(settings.ledger.lease)

    def admit(self, name: str, want: int = 1, *, waiter: str | None = None) -> Admission:
        """Ask whether calls may be made: one round trip, none for an endpoint without limits.

        Args:
            name: the endpoint, or the `resource` of an inference component.
            want: calls to make at once. Fewer may be granted.
            waiter: names whoever comes back after a refusal, so that it is counted once.

        Returns:
            the permits, or why there are none and how many seconds to wait.

        Raises:
            redis.RedisError: Redis is away.
        """
        gate = self._gate(name)
        if not gate.settings.limiting:
            return Admission(want)
        block = uuid.uuid4().hex
        granted, reason, seconds, epoch = gate.admit(block, waiter or block, want)
        if not granted:
            return Admission(0, Reason(reason), self._wait(gate, reason, seconds))
        if gate.settings.max_concurrency is None:
            return Admission(granted, gate=gate, block=block, epoch=epoch)
        drop = self._renewals.drop
        admission = Admission(granted, gate=gate, block=block, epoch=epoch, on_end=drop)
        self._renewals.keep(gate, admission)
        return admission

    def call(
        self,
        name: str,
        function: Callable[[], T],
        *,
        refused: Callable[[Admission], None],
        waiter: str | None = None,
    ) -> T:
        """Make one call under the limits.

        Args:
            name: the endpoint, or the `resource` of an inference component.
            function: makes the call.
            refused: told of a refusal; raises, or returns when it is time to ask again.
            waiter: names whoever comes back after a refusal.
        """
        if not self._gate(name).settings.limiting:
            return function()
        waiter = waiter or uuid.uuid4().hex
        while not (admission := self.admit(name, waiter=waiter)):
            refused(admission)
        outcome = SUCCESS
        try:
            return function()
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            admission.report({outcome: 1}, release=1)

    def state(self, name: str) -> LimitState:
        """Return how an endpoint's limits stand."""
        return self._gate(name).state()

    def states(self, names: Sequence[str], client: redis.Redis) -> list[LimitState]:
        """Return how the limits of several endpoints stand, in one round trip of `client`."""
        gates = [self._gate(name) for name in names]
        with client.pipeline(transaction=False) as pipe:
            for gate in gates:
                gate.ask(pipe)
            return [gate.read(found) for gate, found in zip(gates, pipe.execute(), strict=True)]

    def names(self) -> list[str]:
        """Return what the settings limit by its name, and what this process has called of it."""
        settings, known = self._settings, {name.lower() for name in list(self._gates)}
        return sorted(n for n in known | set(settings.endpoints) if settings.limits_of(n).limiting)

    def _gate(self, name: str) -> Gate:
        gate = self._gates.get(name)
        if gate is None:
            with self._lock:
                settings = self._settings
                lease, limits = settings.ledger.lease, settings.limits_of(name)
                made = Gate(self._scripts, self._prefix, name, limits, lease)
                gate = self._gates.setdefault(name, made)
        return gate

    def _wait(self, gate: Gate, reason: str, seconds: float) -> float:
        if reason == Reason.BREAKER:
            # Everything that was parked meanwhile: the few probes need no crowd behind them.
            return seconds + _RANDOM.uniform(0.0, gate.settings.breaker_cooldown)
        return semaphore.spread(seconds, _RANDOM)
