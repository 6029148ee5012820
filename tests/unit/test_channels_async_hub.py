"""The connection of an event loop: it ends with its loop, whatever redis-py makes of that."""

import asyncio
from typing import Any

from celery_sagemaker.channels.async_hub import AsyncHub


class Turning:
    """A PubSub that turns a cancellation into an error of the connection, as redis-py may."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()

    async def subscribe(self, _: str) -> None:
        """Take a channel."""

    async def unsubscribe(self, _: str) -> None:
        """Take no longer."""

    async def get_message(self, timeout: float) -> None:  # noqa: ASYNC109 - redis-py's
        """Wait for ever."""
        self.reading.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("gone") from None

    async def aclose(self) -> None:
        """Close."""


def test_a_hub_ends_with_its_loop() -> None:
    """Its task is cancelled once; what a read made of that does not keep the loop waiting."""
    closed = []

    async def close() -> None:
        closed.append(True)

    async def lost() -> None:
        """Nothing to learn."""

    async def end() -> None:
        pubsub: Any = Turning()
        hub = AsyncHub(lambda: pubsub, sharded=False, lost=lost, closed=close)
        heard: list[bytes | None] = []
        sink = heard.append
        hub.add("channel", sink)
        await pubsub.reading.wait()
        hub.remove("channel", sink)
        assert hub._task is not None
        hub._task.cancel()
        ended, _ = await asyncio.wait([hub._task], timeout=5.0)
        assert ended
        assert hub._task.cancelled()

    asyncio.run(end())
    assert closed == [True]
