"""The operations over asyncio: many requests in flight on one thread.

aiohttp carries requests that botocore's serializer makes and answers that its parser reads;
credentials, address, signature, proxy and TLS settings are boto3's (see `awsconfig`).
"""

import asyncio
from types import TracebackType
from typing import Self

from . import awsconfig
from .aiohttp_errors import translate_aiohttp
from .allow import ANYTHING, Allowed
from .answers import Answer, AnswerReader
from .clients import ClientOptions
from .requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from .responses import InvokeEndpointAsyncResponse, InvokeEndpointResponse
from .signed_session import SignedSession
from .translation import translate


class FastTransport:
    """SageMaker Runtime through aiohttp; an asynchronous context manager.

    Belongs to the event loop in which it is first used, and to one process. Every request is sent
    once: what may have run is never repeated here.

    Args:
        max_connections: requests in flight; further ones wait their turn, without a limit.
        connect_timeout: seconds for the connection, TLS included.
        read_timeout: seconds without a byte of the answer; a model has 60 to answer.
        region_name: by default the AWS configuration's.
        allowed: which endpoints may be called, and with inputs from where; by default any.
    """

    def __init__(
        self,
        *,
        max_connections: int = 32,
        connect_timeout: float = 5.0,
        read_timeout: float = 70.0,
        region_name: str | None = None,
        allowed: Allowed = ANYTHING,
    ) -> None:
        self._allowed = allowed
        self._options = ClientOptions(
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            region_name=region_name,
        )
        self._slots = asyncio.Semaphore(max_connections)
        self._opening = asyncio.Lock()
        self._session: SignedSession | None = None
        self._reader: AnswerReader
        self._closed = False

    async def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Call InvokeEndpoint once.

        Raises:
            InvalidRequest: the service would refuse it, or the settings do; nothing was sent.
            InferenceError: whatever else went wrong, as one of its classes.
        """
        answer = await self._call(request)
        return self._reader.invoke_endpoint(answer)

    async def invoke_async(
        self, request: InvokeEndpointAsyncRequest
    ) -> InvokeEndpointAsyncResponse:
        """Call InvokeEndpointAsync once.

        Raises:
            InvalidRequest: the service would refuse it, or the settings do; nothing was sent.
            InferenceError: whatever else went wrong, as one of its classes.
        """
        answer = await self._call(request)
        return self._reader.invoke_endpoint_async(answer)

    async def close(self) -> None:
        """Close all connections; requests that are in flight fail."""
        self._closed = True
        async with self._opening:
            if self._session is not None:
                await self._session.close()
                self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, request: InvokeEndpointRequest | InvokeEndpointAsyncRequest) -> Answer:
        self._allowed.check_request(request)
        async with self._slots:
            try:
                session = self._session or await self._open()
                answer = await session.send(request)
            except Exception:
                # Entered in vain a thousand times a second it would show in a profile.
                with translate_aiohttp():
                    raise
        if not answer.good:
            with translate():
                raise self._reader.error(request.operation, answer)
        return answer

    async def _open(self) -> SignedSession:
        """Read the AWS configuration, in a thread; again by the next request if that fails."""
        async with self._opening:
            if self._closed:
                raise RuntimeError("The transport is closed.")
            if self._session is None:
                config = await asyncio.to_thread(awsconfig.read, self._options)
                self._reader = AnswerReader(config.service_model)
                self._session = SignedSession(config, self._options)
            return self._session
