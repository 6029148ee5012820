"""The calls of batch chunks: one event loop for a worker process, and transports on it."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ...runtime.allow import ANYTHING, Allowed
from ...runtime.requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from ...runtime.responses import InvokeEndpointAsyncResponse, InvokeEndpointResponse

if TYPE_CHECKING:
    from ...config import Settings
    from ...runtime.transport import BotoTransport

T = TypeVar("T")


class AsyncTransport(Protocol):
    """What a run calls endpoints with."""

    async def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Call InvokeEndpoint once."""

    async def invoke_async(
        self, request: InvokeEndpointAsyncRequest
    ) -> InvokeEndpointAsyncResponse:
        """Call InvokeEndpointAsync once."""

    async def close(self) -> None:
        """Close all connections."""


class ThreadedTransport:
    """boto3 in threads, for a loop.

    Args:
        transport: the blocking one.
        threads: calls at once.
    """

    def __init__(self, transport: "BotoTransport", threads: int) -> None:
        self._transport = transport
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sagemaker-call")

    async def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Call InvokeEndpoint once.

        Raises:
            InferenceError: whatever went wrong, as one of its classes.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._transport.invoke, request)

    async def invoke_async(
        self, request: InvokeEndpointAsyncRequest
    ) -> InvokeEndpointAsyncResponse:
        """Call InvokeEndpointAsync once.

        Raises:
            InferenceError: whatever went wrong, as one of its classes.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._transport.invoke_async, request)

    async def close(self) -> None:
        """Close all connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.close()


def transport_of(settings: "Settings", kind: str, allowed: Allowed) -> AsyncTransport:
    """Make a transport: `fast`, or `boto3` in threads."""
    options: dict[str, Any] = {
        "max_connections": settings.batch.in_flight * settings.batch.chunks,
        "connect_timeout": settings.timeouts.connect,
        "read_timeout": settings.timeouts.read,
        "region_name": settings.region,
        "allowed": allowed,
    }
    if kind == "fast":
        from ...runtime.fast import FastTransport  # noqa: PLC0415 - aiohttp is for workers

        return FastTransport(**options)
    from ...runtime.transport import BotoTransport  # noqa: PLC0415 - boto3 is for workers

    return ThreadedTransport(BotoTransport(**options), options["max_connections"])


class Caller:
    """The event loop of a process, in a thread of its own, and the transports on it.

    Args:
        settings: how calls are made.
        allowed: what may be called, and with inputs from where.
    """

    def __init__(self, settings: "Settings", allowed: Allowed = ANYTHING) -> None:
        self._settings = settings
        self._allowed = allowed
        self._loop = asyncio.new_event_loop()
        self._transports: dict[str, AsyncTransport] = {}
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sagemaker-batch", daemon=True
        )
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the loop; the future is for another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def transport(self, endpoint: str) -> AsyncTransport:
        """Return the transport to an endpoint; to be called on the loop."""
        settings = self._settings
        kind = settings.endpoint(endpoint).transport or settings.batch.transport
        if kind not in self._transports:
            self._transports[kind] = transport_of(settings, kind, self._allowed)
        return self._transports[kind]

    def close(self) -> None:
        """Close the connections and end the loop; nothing may be running on it."""
        self.submit(self._close_transports()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close_transports(self) -> None:
        for transport in self._transports.values():
            await transport.close()
