"""The way to one endpoint's limits in Redis: four scripts over three keys."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import redis

from ...config.sections import LimitSettings
from ..lua import register, text
from . import aimd, semaphore
from .breaker import BreakerState
from .outcomes import Tally

logger = logging.getLogger(__name__)

#: Seconds an endpoint's state is kept that nobody calls. Afterwards it starts anew: by then it may
#: have been scaled, mended or replaced.
IDLE = 3600

#: What every script has before it, in this order: each stands on those before.
_PARTS = ("common", "aimd", "semaphore", "breaker")


class Reason(StrEnum):
    """Why a call was not admitted."""

    CONCURRENCY = "concurrency"
    BREAKER = "breaker"


@dataclass(frozen=True, slots=True)
class LimitState:
    """The limits of one endpoint, for status and metrics."""

    name: str
    """The endpoint, or `endpoint/component`."""
    max_concurrency: int | None
    """The configured limit; None: any number of calls."""
    limit: int | None
    """Calls at once that are allowed now."""
    in_use: int
    """Permits that are out."""
    waiting: int
    """Permits that are waited for."""
    reason: Reason | None
    """Why the next call would be refused; None: it would be admitted."""
    breaker: BreakerState | None
    """None: the breaker is off."""
    retry_in: float
    """Seconds until an open breaker lets probes through."""
    calls: int
    """Calls that the breaker counts."""
    failed: int
    """Those of them that found the endpoint down."""
    seconds: float
    """What one call takes, as a moving average; 0: not known."""

    def to_json(self) -> dict[str, Any]:
        """Return the members."""
        return asdict(self)


def scripts(client: redis.Redis) -> dict[str, Any]:
    """Register the scripts with the client that runs them."""
    return register(client, __package__, _PARTS)


class Gate:
    """The limits of one endpoint.

    Args:
        scripts: what `scripts` returned.
        prefix: of all keys.
        name: the endpoint, or `endpoint/component`; its keys share a hash tag.
        settings: its limits.
        lease: seconds after which a silent holder's permits are given to others.
    """

    def __init__(
        self,
        scripts: dict[str, Any],
        prefix: str,
        name: str,
        settings: LimitSettings,
        lease: float,
    ) -> None:
        self.name = name
        self.settings = settings
        base = f"{{{prefix}:limits:{name.lower()}}}"
        self.keys = [f"{base}:{part}" for part in ("permits", "waiting", "state")]
        self._scripts = scripts
        self._json = json.dumps(_wire(settings, lease))

    def admit(self, block: str, waiter: str, want: int) -> tuple[int, str, float, int]:
        """Ask for up to `want` permits; returns permits, reason, seconds to wait, and epoch."""
        granted, reason, seconds, epoch = self._run("admit", block, waiter, want)
        return int(granted), text(reason), float(seconds), int(epoch)

    def report(
        self, block: str, kept: int, epoch: int, tally: Tally, seconds: float
    ) -> tuple[int, int]:
        """Report outcomes and keep so many permits; returns permits asked back, and epoch."""
        counts = (tally.calls, tally.grow, tally.cut, tally.up, tally.down)
        answer = self._run("report", block, kept, epoch, *counts, seconds)
        asked_back, epoch, moved, lowered = answer
        self._tell(text(moved), int(lowered))
        return int(asked_back), int(epoch)

    def _tell(self, moved: str, lowered: int) -> None:
        """Log what this report has changed for the whole fleet; nobody else's has."""
        if moved == BreakerState.OPEN:
            extra = {"endpoint": self.name, "seconds": self.settings.breaker_cooldown}
            logger.warning("breaker_opened", extra=extra)
        elif moved == BreakerState.CLOSED:
            logger.warning("breaker_closed", extra={"endpoint": self.name})
        if lowered:
            logger.info("limit_lowered", extra={"endpoint": self.name, "limit": lowered})

    def renew(self, held: Sequence[tuple[str, int]]) -> set[str]:
        """Renew the leases of blocks; returns those that have lapsed."""
        lapsed = self._run("renew", *(part for block in held for part in block))
        return {text(block) for block in lapsed}

    def state(self) -> LimitState:
        """Return how things stand."""
        return self.read(self._run("state"))

    def ask(self, pipe: redis.client.Pipeline) -> None:
        """Ask in a pipeline how things stand; `read` reads the answer."""
        self._scripts["state"](keys=self.keys, args=[self._json], client=pipe)

    def read(self, found: Sequence[Any]) -> LimitState:
        """Read what the script says of how things stand."""
        limit, in_use, waiting, phase, retry_in, calls, failed, seconds = found
        maximum = self.settings.max_concurrency
        state = BreakerState(text(phase))
        full = maximum is not None and in_use >= limit
        reason = Reason.CONCURRENCY if full else None
        return LimitState(
            name=self.name,
            max_concurrency=maximum,
            limit=None if maximum is None else int(limit),
            in_use=int(in_use),
            waiting=int(waiting),
            reason=Reason.BREAKER if state is BreakerState.OPEN else reason,
            breaker=state if self.settings.breaker else None,
            retry_in=float(retry_in),
            calls=int(calls),
            failed=int(failed),
            seconds=float(seconds),
        )

    def _run(self, script: str, *args: object) -> Any:
        return self._scripts[script](keys=self.keys, args=[self._json, *args])


def _wire(settings: LimitSettings, lease: float) -> dict[str, object]:
    return {
        "lease": lease,
        "keep": math.ceil(max(IDLE, 2 * lease)),
        "max": settings.max_concurrency or 0,
        "adaptive": settings.adaptive,
        "backoff": aimd.BACKOFF,
        "interval": aimd.INTERVAL,
        "min_wait": semaphore.MIN_WAIT,
        "max_wait": semaphore.MAX_WAIT,
        "guess": semaphore.GUESS,
        "waiting": semaphore.WAITING,
        "grace": semaphore.GRACE,
        "breaker": settings.breaker,
        "calls": settings.breaker_calls,
        "share": settings.breaker_share,
        "window": settings.breaker_window,
        "cooldown": settings.breaker_cooldown,
        "probes": settings.breaker_probes,
    }
