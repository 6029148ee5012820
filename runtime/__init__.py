"""SageMaker Runtime's API, typed. Knows nothing of Celery; imports boto3 only to call."""

from . import exceptions
from .requests import (
    HttpRequest,
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from .responses import (
    AsyncInferenceOutput,
    InvokeEndpointAsyncResponse,
    InvokeEndpointResponse,
    InvokeEndpointWithResponseStreamResponse,
    StreamOutput,
)

__all__ = [
    "AsyncInferenceOutput",
    "HttpRequest",
    "InvokeEndpointAsyncRequest",
    "InvokeEndpointAsyncResponse",
    "InvokeEndpointRequest",
    "InvokeEndpointResponse",
    "InvokeEndpointWithResponseStreamRequest",
    "InvokeEndpointWithResponseStreamResponse",
    "StreamOutput",
    "exceptions",
]
