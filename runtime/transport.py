"""The operations over boto3: a request in, a response or one of our errors out."""

from typing import Any

from .allow import ANYTHING, Allowed
from .answers import async_response
from .clients import ClientOptions, Clients
from .deadlines import UNLIMITED, StreamDeadlines
from .requests import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from .responses import InvokeEndpointAsyncResponse, InvokeEndpointResponse
from .streaming import ResponseStream
from .translation import translate


class BotoTransport:
    """SageMaker Runtime through boto3.

    Args:
        max_connections: connections kept to the endpoint; the worker's concurrency.
        connect_timeout: seconds.
        read_timeout: seconds; a model has 60 to answer.
        region_name: by default the AWS configuration's.
        allowed: which endpoints may be called, and with inputs from where; by default any.
    """

    def __init__(
        self,
        *,
        max_connections: int = 10,
        connect_timeout: float = 5.0,
        read_timeout: float = 70.0,
        region_name: str | None = None,
        allowed: Allowed = ANYTHING,
    ) -> None:
        self._allowed = allowed
        self._clients = Clients(
            ClientOptions(
                max_connections=max_connections,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                region_name=region_name,
            )
        )

    def close(self) -> None:
        """Close the connections that are open."""
        self._clients.close()

    def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Call InvokeEndpoint once.

        Raises:
            InvalidRequest: the service would refuse it, or the settings do; nothing was sent.
            InferenceError: whatever else went wrong, as one of its classes.
        """
        request.validate()
        self._allowed.check_request(request)
        with translate():
            answer: Any = self._clients.runtime.invoke_endpoint(**request.parameters())
            return InvokeEndpointResponse(
                body=answer["Body"].read(),
                content_type=answer.get("ContentType"),
                invoked_production_variant=answer.get("InvokedProductionVariant"),
                custom_attributes=answer.get("CustomAttributes"),
                new_session_id=answer.get("NewSessionId"),
                closed_session_id=answer.get("ClosedSessionId"),
            )

    def invoke_async(self, request: InvokeEndpointAsyncRequest) -> InvokeEndpointAsyncResponse:
        """Call InvokeEndpointAsync once.

        Raises:
            InvalidRequest: the service would refuse it, or the settings do; nothing was sent.
            InferenceError: whatever else went wrong, as one of its classes.
        """
        request.validate()
        self._allowed.check_request(request)
        with translate():
            answer: Any = self._clients.runtime.invoke_endpoint_async(**request.parameters())
        return async_response(answer)

    def stream(
        self,
        request: InvokeEndpointWithResponseStreamRequest,
        deadlines: StreamDeadlines = UNLIMITED,
    ) -> ResponseStream:
        """Prepare one call of InvokeEndpointWithResponseStream; entering the stream makes it.

        Args:
            request: what to call.
            deadlines: how long the stream may take.

        Raises:
            InvalidRequest: the service would refuse it, or the settings do; nothing was sent.
        """
        request.validate()
        self._allowed.check_request(request)

        def call() -> Any:
            parameters = request.parameters()
            return self._clients.runtime.invoke_endpoint_with_response_stream(**parameters)

        return ResponseStream(call, deadlines)

    def describe_endpoint_kind(self, endpoint_name: str) -> str:
        """Return "async" or "realtime"; needs sagemaker:DescribeEndpoint.

        Raises:
            InferenceError: there is no such endpoint, or asking is not allowed.
        """
        self._allowed.check_endpoint(endpoint_name)
        with translate():
            found: Any = self._clients.sagemaker.describe_endpoint(EndpointName=endpoint_name)
        return "async" if "AsyncInferenceConfig" in found else "realtime"
