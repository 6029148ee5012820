"""Credentials for an event loop: renewed by botocore, in a thread, while requests go on."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

logger = logging.getLogger(__name__)

#: Seconds before their end from which on requests wait for new credentials. botocore waits for
#: them from 600 on, because it cannot renew them beside the requests.
WAIT_BEFORE = 120

#: Seconds between two attempts to renew credentials that are still good.
RENEW_EVERY = 10.0


class Source(Protocol):
    """`botocore.credentials.Credentials`; those that end have `refresh_needed` as well."""

    def get_frozen_credentials(self) -> "ReadOnlyCredentials":
        """Return them, renewed if they are about to end. May block."""


class LoopCredentials:
    """Frozen credentials without blocking; all methods belong to one event loop.

    Args:
        source: from botocore's chain: container, instance, SSO, assumed role, process, profile.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ends = getattr(source, "refresh_needed", None)
        self._frozen: ReadOnlyCredentials | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._tried = -RENEW_EVERY

    async def frozen(self) -> "ReadOnlyCredentials":
        """Return credentials that are good for a request now.

        Raises:
            botocore.exceptions.BotoCoreError: they ended and cannot be renewed.
        """
        if self._frozen is None or (self._ends is not None and self._ends()):
            await self._renew()
        assert self._frozen is not None  # noqa: S101 - what a renewal that returns has set
        return self._frozen

    async def close(self) -> None:
        """Wait for a renewal that is under way."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal])

    async def _renew(self) -> None:
        must = self._frozen is None or (self._ends is not None and self._ends(WAIT_BEFORE))
        if self._renewal is None and (must or self._time_to_try()):
            self._renewal = asyncio.create_task(self._renewed())
            self._renewal.add_done_callback(self._finished)
        if must and self._renewal is not None:
            # One renewal for all: a request that is cancelled does not end it.
            await asyncio.shield(self._renewal)

    def _time_to_try(self) -> bool:
        if (now := time.monotonic()) - self._tried < RENEW_EVERY:
            return False
        self._tried = now
        return True

    async def _renewed(self) -> None:
        self._frozen = await asyncio.to_thread(self._source.get_frozen_credentials)

    def _finished(self, renewal: asyncio.Task[None]) -> None:
        self._renewal = None
        if not renewal.cancelled() and (error := renewal.exception()) is not None:
            logger.warning("credentials_not_renewed", extra={"error": str(error)})
