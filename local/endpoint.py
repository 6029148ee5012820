"""The emulator: SageMaker Runtime's three operations over HTTP, with an admin route beside them.

Run as `python -m celery_sagemaker.local.endpoint PORT BUCKET [TOML]`; S3 by AWS_ENDPOINT_URL_S3.
"""

import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import anyio.to_thread
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from . import behaviours, eventstream, refusals
from .async_store import AsyncStore, locate
from .behaviours import Behaviour
from .containers import Answer, Container, open_container
from .faults import Fate, Faults
from .refusals import Refusal

#: Bytes of a real-time body, and of an inline asynchronous one.
REALTIME_LIMIT = 6_291_456
ASYNC_INLINE_LIMIT = 128_000

#: Seconds that a hanging call hangs: longer than anybody's read timeout.
HANG = 600.0

#: Seconds an idle connection is kept: AWS keeps one longer than a worker is usually idle.
KEEP_ALIVE = 600

HEADER = "x-amzn-sagemaker-"

OPERATIONS = {
    "InvokeEndpoint": {"realtime", "both"},
    "InvokeEndpointAsync": {"async", "both"},
    "InvokeEndpointWithResponseStream": {"realtime", "both"},
}


@dataclass
class Endpoint:
    """One emulated endpoint."""

    name: str
    behaviour: Behaviour
    faults: Faults = field(init=False)
    container: Container = field(init=False)

    def __post_init__(self) -> None:
        self.faults = Faults(self.behaviour)
        self.container = open_container(self.behaviour.target)


class Emulator:
    """All endpoints, and the log of what was called."""

    def __init__(self, endpoints: dict[str, Behaviour], bucket: str) -> None:
        self.endpoints = {name: Endpoint(name, b) for name, b in endpoints.items()}
        self.bucket = bucket
        self.store = AsyncStore()
        self.calls: list[dict[str, Any]] = []
        self._answering: set[asyncio.Task[None]] = set()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        path = "/endpoints/{name}/"
        return Starlette(
            routes=[
                Route(path + "invocations", self.invoke, methods=["POST"]),
                Route(path + "async-invocations", self.invoke_async, methods=["POST"]),
                Route(path + "invocations-response-stream", self.stream, methods=["POST"]),
                Route("/_admin/endpoints/{name}", self.admin, methods=["GET", "PUT"]),
                Route("/_admin/calls", self.log),
                Route("/_admin/counts", self.counts),
                Route("/ping", lambda _: JSONResponse({})),
                Route("/", self.describe, methods=["POST"]),
            ],
            exception_handlers={Refusal: _refused},
        )

    async def invoke(self, request: Request) -> Response:
        """InvokeEndpoint."""
        endpoint, _, body = await self._enter(request, "InvokeEndpoint", REALTIME_LIMIT)
        answer = await self._call(endpoint, body, _plain_headers(request))
        content = await anyio.to_thread.run_sync(answer.body)
        headers = _echoed(request) | _session(request)
        return Response(content, media_type=answer.content_type, headers=headers)

    async def invoke_async(self, request: Request) -> Response:
        """InvokeEndpointAsync."""
        operation = "InvokeEndpointAsync"
        endpoint, fate, body = await self._enter(request, operation, ASYNC_INLINE_LIMIT)
        headers = request.headers
        source = headers.get(HEADER + "inputlocation")
        if bool(body) is bool(source):
            raise Refusal("ValidationError", "Exactly one of Body and InputLocation is needed.", {})
        inference_id = headers.get(HEADER + "inference-id") or str(uuid.uuid4())
        name = headers.get(HEADER + "filename") or f"{inference_id}.out"
        locations = locate(self.bucket, headers.get(HEADER + "s3outputpathextension"), name)

        async def answer() -> None:
            await asyncio.sleep(fate.delay)
            if fate.missing:
                return
            if fate.failure:
                reason = "Injected by the emulator."
                await anyio.to_thread.run_sync(self.store.fail, locations, reason)
                return
            sent = _plain_headers(request, HEADER)
            given = await anyio.to_thread.run_sync(self.store.read, source) if source else body
            await anyio.to_thread.run_sync(
                self.store.answer, endpoint.container, given, sent, locations
            )

        task = asyncio.create_task(answer())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        located = {HEADER + "outputlocation": locations.output}
        if endpoint.behaviour.failure_path:
            located[HEADER + "failurelocation"] = locations.failure
        return JSONResponse({"InferenceId": inference_id}, 202, headers=located)

    async def stream(self, request: Request) -> Response:
        """InvokeEndpointWithResponseStream."""
        operation = "InvokeEndpointWithResponseStream"
        endpoint, _, body = await self._enter(request, operation, REALTIME_LIMIT)
        answer = await self._call(endpoint, body, _plain_headers(request))
        headers = _echoed(request) | {HEADER + "content-type": answer.content_type}
        return StreamingResponse(
            _events(endpoint.behaviour, answer),
            media_type="application/vnd.amazon.eventstream",
            headers=headers,
        )

    async def describe(self, request: Request) -> Response:
        """DescribeEndpoint of the control plane: whether an endpoint is asynchronous."""
        name = json.loads(await request.body())["EndpointName"]
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            message = f'Could not find endpoint "{name}".'
            refused = {"__type": "ValidationException", "message": message}
            return JSONResponse(refused, 400, media_type="application/x-amz-json-1.1")
        content: dict[str, Any] = {"EndpointName": name, "EndpointStatus": "InService"}
        if endpoint.behaviour.kind == "async":
            content["AsyncInferenceConfig"] = {}
        return JSONResponse(content, media_type="application/x-amz-json-1.1")

    async def admin(self, request: Request) -> Response:
        """Read or replace an endpoint's behaviour."""
        name = request.path_params["name"]
        if request.method == "PUT":
            try:
                behaviour = Behaviour.model_validate_json(await request.body())
                self.endpoints[name] = Endpoint(name, behaviour)
            except (ValidationError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
        if name not in self.endpoints:
            return JSONResponse({"error": f"no endpoint {name}"}, 404)
        return JSONResponse(self.endpoints[name].behaviour.model_dump())

    async def log(self, request: Request) -> Response:
        """List the calls, refused ones too."""
        wanted = request.query_params.get("endpoint")
        return JSONResponse([c for c in self.calls if wanted in (None, c["endpoint"])])

    async def counts(self, _: Request) -> Response:
        """Count the calls by endpoint, operation and status or error."""
        counted: dict[str, dict[str, Counter[str]]] = {}
        for call in self.calls:
            operations = counted.setdefault(call["endpoint"], {})
            operations.setdefault(call["operation"], Counter())[call["error"] or "200"] += 1
        return JSONResponse(counted)

    async def _enter(
        self, request: Request, operation: str, limit: int
    ) -> tuple[Endpoint, Fate, bytes]:
        name = request.path_params["name"]
        call = {
            "endpoint": name, "operation": operation, "status": 200, "error": None,
            "inference_id": request.headers.get(HEADER + "inference-id"), "time": time.time(),
        }  # fmt: skip
        self.calls.append(call)
        try:
            return await self._admit(request, operation, limit, name)
        except Refusal as refused:
            original = refused.members.get("OriginalStatusCode")
            error = refused.code if original is None else f"{refused.code}:{original}"
            call.update(status=refused.status, error=error)
            raise
        except ConnectionResetError:
            call.update(status=0, error="reset")
            raise

    async def _admit(
        self, request: Request, operation: str, limit: int, name: str
    ) -> tuple[Endpoint, Fate, bytes]:
        if "authorization" not in request.headers:
            raise Refusal("AccessDeniedException", "The request is not signed.", {})
        body = await request.body()
        if len(body) > limit:
            raise Refusal("RequestEntityTooLarge", f"{len(body)} bytes are over {limit}.", {})
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            raise refusals.not_found(name)
        if endpoint.behaviour.kind not in OPERATIONS[operation]:
            raise refusals.wrong_kind(name, operation)
        fate = endpoint.faults.next(time.monotonic())
        if fate.error == "hang":
            await asyncio.sleep(HANG)
        if fate.error == "reset":
            raise ConnectionResetError
        if fate.error:
            raise refusals.refusal(fate.error, name)
        if fate.seconds:
            await asyncio.sleep(fate.seconds)
        return endpoint, fate, body

    async def _call(self, endpoint: Endpoint, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            answer = await anyio.to_thread.run_sync(endpoint.container, body, headers)
        except TimeoutError as error:
            raise refusals.model_error(endpoint.name, 0, "Your invocation timed out") from error
        except (OSError, HTTPException) as error:
            raise refusals.model_error(endpoint.name, 500, repr(error)) from error
        if answer.status != 200:  # noqa: PLR2004 - OK
            text = (await anyio.to_thread.run_sync(answer.body)).decode("utf-8", "replace")
            raise refusals.model_error(endpoint.name, answer.status, text)
        return answer


async def _events(behaviour: Behaviour, answer: Answer) -> AsyncIterator[bytes]:
    fault, sent = behaviour.stream, 0
    async for part in iterate_in_threadpool(answer.parts):
        if fault.fault and sent >= fault.after_parts:
            break
        yield eventstream.payload_part(part)
        sent += 1
    if fault.fault is None:
        return
    if fault.fault == "reset":
        raise ConnectionResetError
    yield _broken(fault)


def _broken(fault: behaviours.Stream) -> bytes:
    if fault.fault == "truncated":
        return eventstream.payload_part(b"never whole")[:-6]
    if fault.fault == "wrong_crc":
        return eventstream.payload_part(b"damaged")[:-4] + b"\0\0\0\0"
    members = {"Message": "Injected by the emulator."}
    if fault.fault == "ModelStreamError":
        members["ErrorCode"] = fault.error_code
    return eventstream.exception(fault.fault or "InternalStreamFailure", members)


def _plain_headers(request: Request, prefix: str = "") -> dict[str, str]:
    """Return what SageMaker hands on to a container; some operations prefix the first two."""
    sources = {"content-type": prefix + "content-type", "accept": prefix + "accept"}
    sources |= {name: name for name in (HEADER + "custom-attributes", HEADER + "target-model")}
    headers = request.headers
    return {name: headers[source] for name, source in sources.items() if source in headers}


def _echoed(request: Request) -> dict[str, str]:
    variant = request.headers.get(HEADER + "target-variant", "AllTraffic")
    found = {"x-amzn-invoked-production-variant": variant}
    attributes = request.headers.get(HEADER + "custom-attributes")
    return found | ({HEADER + "custom-attributes": attributes} if attributes else {})


def _session(request: Request) -> dict[str, str]:
    if request.headers.get(HEADER + "session-id") != "NEW_SESSION":
        return {}
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return {HEADER + "new-session-id": f"{uuid.uuid4().hex}; Expires={expires}"}


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refusal)  # noqa: S101 - what it is registered for
    return refused.response()


def main(arguments: list[str]) -> None:
    """Serve on a port of 127.0.0.1 until stopped."""
    import uvicorn  # noqa: PLC0415 - not needed to make the application

    port, bucket, *path = arguments
    endpoints = behaviours.read(Path(path[0]) if path else None)
    app = Emulator(endpoints, bucket).app()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
