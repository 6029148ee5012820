"""DescribeEndpoint of SageMaker's control plane: whether an endpoint is there, and asynchronous."""

import json
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .endpoints import Endpoint, Endpoints

MEDIA_TYPE = "application/x-amz-json-1.1"

TARGET = "SageMaker.DescribeEndpoint"


class ControlPlane:
    """Answers the one operation."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/", self.describe, methods=["POST"])]

    async def describe(self, request: Request) -> Response:
        """DescribeEndpoint; one whose container does not answer `/ping` is Creating."""
        target = request.headers.get("x-amz-target")
        if target != TARGET:
            return _refused("UnknownOperationException", f"{target} is not emulated.")
        try:
            name = json.loads(await request.body())["EndpointName"]
        except (ValueError, KeyError, TypeError):
            return _refused("ValidationException", "EndpointName is missing.")
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return _refused("ValidationException", f'Could not find endpoint "{name}".')
        well = await to_thread.run_sync(endpoint.container.ping)
        return JSONResponse(_description(endpoint, well=well), media_type=MEDIA_TYPE)


def _description(endpoint: Endpoint, *, well: bool) -> dict[str, Any]:
    status = "InService" if well else "Creating"
    found: dict[str, Any] = {"EndpointName": endpoint.name, "EndpointStatus": status}
    if endpoint.behaviour.kind == "async":
        found["AsyncInferenceConfig"] = {}
    return found


def _refused(kind: str, message: str) -> Response:
    return JSONResponse({"__type": kind, "message": message}, 400, media_type=MEDIA_TYPE)
