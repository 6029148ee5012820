"""The calls of batch chunks: one event loop for a worker process, and a transport on it."""

import asyncio
import importlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ...runtime.exceptions import ClientConfigurationError
from ...runtime.requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from ...runtime.responses import InvokeEndpointAsyncResponse, InvokeEndpointResponse

if TYPE_CHECKING:
    from ...config import Settings
    from ...runtime.transport import BotoTransport

T = TypeVar("T")

#: The module of the transport that is not in every installation.
FAST = "runtime.fast"


class AsyncTransport(Protocol):
    """What a run calls endpoints with."""

    async def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Call InvokeEndpoint once."""

    async def invoke_async(
        self, request: InvokeEndpointAsyncRequest
    ) -> InvokeEndpointAsyncResponse:
        """Call InvokeEndpointAsync once."""


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


def transport_of(settings: "Settings") -> AsyncTransport:
    """Make the transport that the settings name.

    Raises:
        ClientConfigurationError: it is not installed.
    """
    options: dict[str, Any] = {
        "max_connections": settings.batch.in_flight * settings.batch.chunks,
        "connect_timeout": settings.timeouts.connect,
        "read_timeout": settings.timeouts.read,
        "region_name": settings.region,
    }
    if settings.batch.transport == "fast":
        return _fast(options)
    from ...runtime.transport import BotoTransport  # noqa: PLC0415 - boto3 is for workers

    return ThreadedTransport(BotoTransport(**options), options["max_connections"])


def _fast(options: dict[str, Any]) -> AsyncTransport:
    package = (__package__ or "").rpartition(".tasks.")[0]
    try:
        module = importlib.import_module(f"{package}.{FAST}")
    except ImportError as error:
        raise ClientConfigurationError(f"batch.transport = fast: {error}.") from error
    made: AsyncTransport = module.FastTransport(**options)
    return made


class Caller:
    """The event loop of a process, in a thread of its own, and the transport that lives on it."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._transport: AsyncTransport | None = None
        threading.Thread(target=self._loop.run_forever, name="sagemaker-batch", daemon=True).start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the loop; the future is for another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def transport(self) -> AsyncTransport:
        """Return the transport; to be called on the loop."""
        if self._transport is None:
            self._transport = transport_of(self._settings)
        return self._transport
