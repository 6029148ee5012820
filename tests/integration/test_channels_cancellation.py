"""A reader whose task is cancelled ends, whatever redis-py makes of the cancellation."""

import asyncio
import uuid

import pytest
from celery_sagemaker.channels import ChannelOptions, Cursor, Publisher, asubscribe
from celery_sagemaker.channels.async_server import AsyncServer
from celery_sagemaker.channels.wire import Keys, Look


def test_a_swallowed_cancellation_is_heeded(
    sagemaker_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that returns although its task was cancelled is the last one."""
    options = ChannelOptions(prefix=f"test-{uuid.uuid4().hex}")
    publisher = Publisher.open("s", sagemaker_redis_url, options=options)
    publisher.append(b"a")
    look = AsyncServer.look

    async def read() -> None:
        looking = asyncio.Event()

        async def swallow(self: AsyncServer, keys: Keys, after: Cursor) -> Look:
            looking.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                monkeypatch.undo()
            return await look(self, keys, after)

        async def follow() -> None:
            async for _ in asubscribe("s", sagemaker_redis_url, options=options):
                raise AssertionError("it went on")

        monkeypatch.setattr(AsyncServer, "look", swallow)
        task = asyncio.create_task(follow())
        await looking.wait()
        task.cancel()
        async with asyncio.timeout(10.0):
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(read())
    publisher.end()
