"""Two operations of SageMaker's control plane: what an endpoint is, and whether it serves."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .async_store import roots
from .endpoints import Endpoint, Endpoints
from .refusals import ACCOUNT

MEDIA_TYPE = "application/x-amz-json-1.1"

#: What precedes an operation's name in the header `X-Amz-Target`.
SERVICE = "SageMaker."

#: First part of the names of resources.
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:"

#: Behind an endpoint's name: the name of its configuration.
CONFIG = "-config"

#: The one variant's name: that of the SageMaker Python SDK.
VARIANT = "AllTraffic"

#: MemorySizeInMB of serverless endpoints.
MEMORY = 2_048


class ControlPlane:
    """Answers the two operations.

    Args:
        endpoints: what there is.
        bucket: where asynchronous endpoints write.
    """

    def __init__(self, endpoints: Endpoints, bucket: str) -> None:
        self._endpoints = endpoints
        self._bucket = bucket
        self._started = time.time()
        self._operations: dict[str, Callable[[dict[str, Any]], Awaitable[Response]]] = {
            "DescribeEndpoint": self.describe,
            "DescribeEndpointConfig": self.describe_config,
        }

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/", self.answer, methods=["POST"])]

    async def answer(self, request: Request) -> Response:
        """Answer a request by the operation that its header names."""
        target = request.headers.get("x-amz-target", "")
        operation = self._operations.get(target.removeprefix(SERVICE))
        if operation is None or not target.startswith(SERVICE):
            return _refused("UnknownOperationException", f"{target} is not emulated.")
        try:
            return await operation(json.loads(await request.body()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _refused("ValidationException", f"The request cannot be read: {error!r}.")

    async def describe(self, members: dict[str, Any]) -> Response:
        """DescribeEndpoint; one whose container does not answer `/ping` is Creating."""
        name = str(members["EndpointName"])
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return _refused("ValidationException", f'Could not find endpoint "{name}".')
        well = await to_thread.run_sync(endpoint.container.ping)
        return _answered(self._description(endpoint, well=well))

    async def describe_config(self, members: dict[str, Any]) -> Response:
        """DescribeEndpointConfig."""
        name = str(members["EndpointConfigName"])
        endpoint = self._endpoints.get(name.removesuffix(CONFIG)) if name.endswith(CONFIG) else None
        if endpoint is None:
            return _refused(
                "ValidationException", f'Could not find endpoint configuration "{name}".'
            )
        return _answered(self._configuration(endpoint))

    def _description(self, endpoint: Endpoint, *, well: bool) -> dict[str, Any]:
        status = endpoint.behaviour.status or ("InService" if well else "Creating")
        found: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": f"{ARN}endpoint/{endpoint.name.lower()}",
            "EndpointConfigName": endpoint.name + CONFIG,
            "EndpointStatus": status,
            "CreationTime": self._started,
            "LastModifiedTime": self._started,
        }
        if status == "Failed":
            found["FailureReason"] = "The emulator was told so."
        if endpoint.behaviour.kind == "async":
            found["AsyncInferenceConfig"] = self._asynchronous(endpoint)
        return found

    def _configuration(self, endpoint: Endpoint) -> dict[str, Any]:
        found: dict[str, Any] = {
            "EndpointConfigName": endpoint.name + CONFIG,
            "EndpointConfigArn": f"{ARN}endpoint-config/{endpoint.name.lower()}{CONFIG}",
            "ProductionVariants": [_variant(endpoint)],
            "CreationTime": self._started,
        }
        if endpoint.behaviour.kind != "realtime":
            found["AsyncInferenceConfig"] = self._asynchronous(endpoint)
        return found

    def _asynchronous(self, endpoint: Endpoint) -> dict[str, Any]:
        where = roots(self._bucket)
        output = {"S3OutputPath": where.output}
        if endpoint.behaviour.failure_path:
            output["S3FailurePath"] = where.failure
        return {"OutputConfig": output}


def _variant(endpoint: Endpoint) -> dict[str, Any]:
    variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": endpoint.name}
    if endpoint.behaviour.serverless is None:
        return variant | {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    concurrency = endpoint.behaviour.serverless
    return variant | {"ServerlessConfig": {"MemorySizeInMB": MEMORY, "MaxConcurrency": concurrency}}


def _answered(content: dict[str, Any]) -> Response:
    return JSONResponse(content, media_type=MEDIA_TYPE)


def _refused(kind: str, message: str) -> Response:
    return JSONResponse({"__type": kind, "message": message}, 400, media_type=MEDIA_TYPE)
