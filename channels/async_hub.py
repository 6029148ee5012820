"""The pub/sub connection of an event loop to one server, shared by all who listen."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from redis.asyncio.client import PubSub

from .hub import LINGER, POLL, RECONNECT
from .register import Register, Sink

logger = logging.getLogger(__name__)


class AsyncHub:
    """A task that owns the connection.

    Args:
        connect: makes the PubSub.
        sharded: whether channels are shard channels.
        lost: awaited after the connection broke, before it is made again.
        closed: awaited when the event loop ends; the task stays until then. None: it ends when
            nobody has listened for a while.
    """

    def __init__(
        self,
        connect: Callable[[], PubSub],
        *,
        sharded: bool,
        lost: Callable[[], Awaitable[None]],
        closed: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._connect = connect
        self._sharded = sharded
        self._lost = lost
        self._closed = closed
        self._register = Register()
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._renew = False
        self._broken = False

    def add(self, channel: str, sink: Sink) -> None:
        """Hand a channel's messages to a sink."""
        self._register.add(channel, sink)
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="channels-hub")

    def remove(self, channel: str, sink: Sink) -> None:
        """Hand it nothing more."""
        self._register.remove(channel, sink)

    def renew(self) -> None:
        """Make the connection anew: it is silent although something was published."""
        self._renew = True

    async def _run(self) -> None:
        if self._closed is None:
            await self._work()
            return
        try:
            # Not at a pause: others may be using what would be closed.
            while await self._wanted.wait():
                await self._work()
        finally:
            await self._closed()

    async def _work(self) -> None:
        while self._register:
            await self._try()
        self._wanted.clear()

    async def _try(self) -> None:
        try:
            await self._serve()
        except Exception as error:  # noqa: BLE001 - a client that its owner closes raises all sorts
            heed_cancellation()
            # Broken in use, it is made again at once; one that cannot be made has to wait.
            level = logging.WARNING if self._broken and self._register else logging.INFO
            logger.log(level, "pubsub_broken", extra={"error": repr(error)})
            await asyncio.sleep(RECONNECT if self._broken else 0)
            self._broken = True

    async def _serve(self) -> None:
        """Hand on messages until the connection breaks or was unused for a while."""
        if self._broken:
            await self._lost()
        pubsub, now = self._connect(), asyncio.get_running_loop().time
        self._register.reset()
        self._renew, used = False, now()
        try:
            while not self._renew and now() < used + LINGER:
                heed_cancellation()
                await self._step(pubsub)
                if self._register:
                    used = now()
        finally:
            await pubsub.aclose()

    async def _step(self, pubsub: PubSub) -> None:
        changes, told = self._register.changes(), self._register.told
        subscribe = pubsub.ssubscribe if self._sharded else pubsub.subscribe
        unsubscribe = pubsub.sunsubscribe if self._sharded else pubsub.unsubscribe
        # One by one: the shard channels of one command must share a slot.
        for channel in changes.subscribe:
            await subscribe(channel)
        for channel in changes.unsubscribe:
            await unsubscribe(channel)
        message = await pubsub.get_message(timeout=POLL) if told or changes.unsubscribe else None
        if message:
            self._broken = False
            self._register.dispatch(message)
        elif not told:
            await asyncio.sleep(POLL)


def heed_cancellation() -> None:
    """End a cancelled task: a read may swallow the CancelledError, or make another of it."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
