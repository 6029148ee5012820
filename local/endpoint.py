"""The emulator: SageMaker Runtime's three operations as an ASGI application."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import eventstream, members, refusals, streams, wire
from .admin import Admin
from .async_store import AsyncStore, locate
from .behaviours import Behaviour
from .calling import Call, Caller
from .calls import Calls, Entry
from .containers import Answer
from .control_plane import ControlPlane
from .endpoints import Endpoint, Endpoints
from .faults import Fate
from .inferences import Inference, Inferences
from .members import PREFIX, Members
from .refusals import Drop, Refusal

#: RequestTTLSeconds and InvocationTimeoutSeconds when they are not given.
REQUEST_TTL = 21_600.0
INVOCATION_TIMEOUT = 900.0

#: Seconds that a session lasts.
SESSION = 3_600


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that was let in."""

    endpoint: Endpoint
    fate: Fate
    members: Members
    body: bytes

    def call(self, seconds: float) -> Call:
        """Return the call of the container."""
        headers = members.for_container(self.members)
        return Call(self.endpoint.name, self.endpoint.container, self.body, headers, seconds)

    def text(self, name: str) -> str | None:
        """Return a member."""
        found = self.members.get(name)
        return None if found is None else str(found)


class Emulator:
    """All endpoints, and the log of what was called."""

    def __init__(self, endpoints: dict[str, Behaviour], bucket: str) -> None:
        self.endpoints = Endpoints(endpoints)
        self.calls = Calls()
        self._bucket = bucket
        self._caller = Caller()
        self._inferences = Inferences(AsyncStore())

    def app(self) -> Starlette:
        """Return the ASGI application."""
        path = "/endpoints/{name}/"
        return Starlette(
            routes=[
                Route(path + "invocations", self.invoke, methods=["POST"]),
                Route(path + "async-invocations", self.invoke_async, methods=["POST"]),
                Route(path + "invocations-response-stream", self.stream, methods=["POST"]),
                Route("/ping", lambda _: JSONResponse({})),
                *Admin(self.endpoints, self.calls).routes(),
                *ControlPlane(self.endpoints, self._bucket).routes(),
            ],
            exception_handlers={Refusal: _refused, Drop: _dropped},
        )

    async def invoke(self, request: Request) -> Response:
        """InvokeEndpoint."""
        with self._noting(request, "InvokeEndpoint", 200):
            admitted = await self._admit(request, "InvokeEndpoint")
            await _meet(admitted)
            call = admitted.call(admitted.endpoint.behaviour.container_timeout)
            answer, content = await self._caller.whole(call)
        headers = _headers(answer, admitted) | _session(answer, admitted)
        return Response(content, headers=headers | {"content-type": answer.content_type})

    async def invoke_async(self, request: Request) -> Response:
        """InvokeEndpointAsync."""
        with self._noting(request, "InvokeEndpointAsync", 202):
            admitted = await self._admit(request, "InvokeEndpointAsync")
            if not (admitted.fate.error or "").startswith("ModelError"):
                # A model that fails later fails on S3.
                _refuse(admitted)
        inference_id = admitted.text("InferenceId") or str(uuid.uuid4())
        inference = self._inference(admitted, inference_id)
        self._inferences.take(inference)
        located = _request_id() | {PREFIX + "outputlocation": inference.locations.output}
        if admitted.endpoint.behaviour.failure_path:
            located[PREFIX + "failurelocation"] = inference.locations.failure
        return JSONResponse({"InferenceId": inference_id}, 202, headers=located)

    async def stream(self, request: Request) -> Response:
        """InvokeEndpointWithResponseStream."""
        with self._noting(request, "InvokeEndpointWithResponseStream", 200) as entry:
            admitted = await self._admit(request, "InvokeEndpointWithResponseStream")
            await _meet(admitted)
            behaviour = admitted.endpoint.behaviour
            answer = await self._caller.begun(admitted.call(behaviour.container_timeout))
            faulty = admitted.fate.stream_fault and behaviour.stream.fault is not None
            entry.error = f"stream:{behaviour.stream.fault}" if faulty else None
        parts = self._caller.parts(answer, behaviour.stream.timeout)
        events = streams.events(parts, behaviour.stream, request.scope, faulty=faulty)
        headers = _headers(answer, admitted) | {PREFIX + "content-type": answer.content_type}
        kind = wire.Chunked if behaviour.stream.chunked else wire.Unchunked
        return kind(events, media_type=eventstream.CONTENT_TYPE, headers=headers)

    @contextmanager
    def _noting(self, request: Request, operation: str, status: int) -> Iterator[Entry]:
        inference_id = request.headers.get(PREFIX + "inference-id")
        entry = Entry(request.path_params["name"], operation, inference_id)
        with self.calls.noting(entry, status):
            yield entry

    async def _admit(self, request: Request, operation: str) -> Admitted:
        if not request.headers.get("authorization", "").startswith("AWS4-"):
            raise Refusal("MissingAuthenticationTokenException", "The request is not signed.")
        name, body = request.path_params["name"], await request.body()
        given = members.read(operation, request.headers)
        members.check(operation, name, given, body)
        endpoint = self.endpoints.serving(name, operation)
        queued = operation == "InvokeEndpointAsync"
        fate = endpoint.faults.next(time.monotonic(), queued=queued)
        return Admitted(endpoint, fate, given, body)

    def _inference(self, admitted: Admitted, inference_id: str) -> Inference:
        extension = admitted.text("S3OutputPathExtension")
        name = admitted.text("Filename") or f"{inference_id}.out"
        given = admitted.members
        return Inference(
            call=admitted.call(float(given.get("InvocationTimeoutSeconds", INVOCATION_TIMEOUT))),
            source=admitted.text("InputLocation"),
            locations=locate(self._bucket, extension, name),
            behaviour=admitted.endpoint.behaviour,
            fate=admitted.fate,
            expires=float(given.get("RequestTTLSeconds", REQUEST_TTL)),
        )


def _refuse(admitted: Admitted) -> None:
    if admitted.fate.error:
        raise refusals.injected(admitted.fate.error, admitted.endpoint.name)


async def _meet(admitted: Admitted) -> None:
    _refuse(admitted)
    if admitted.fate.seconds:
        await asyncio.sleep(admitted.fate.seconds)


def _headers(answer: Answer, admitted: Admitted) -> dict[str, str]:
    variant = admitted.text("TargetVariant") or "AllTraffic"
    found = _request_id() | {"x-amzn-invoked-production-variant": variant}
    # The service hands on what the container says; it does not echo the request's.
    attributes = answer.headers.get(PREFIX + "custom-attributes")
    return found | ({PREFIX + "custom-attributes": attributes} if attributes else {})


def _request_id() -> dict[str, str]:
    return {"x-amzn-requestid": str(uuid.uuid4())}


def _session(answer: Answer, admitted: Admitted) -> dict[str, str]:
    names = (PREFIX + "new-session-id", PREFIX + "closed-session-id")
    found = {name: answer.headers[name] for name in names if name in answer.headers}
    if not found and admitted.text("SessionId") == "NEW_SESSION":
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + SESSION))
        found[names[0]] = f"{uuid.uuid4().hex}; Expires={expires}"
    return found


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refusal)  # noqa: S101 - what it is registered for
    if refused.code.isdecimal():
        return Response(f"<html>{refused.message}</html>", refused.status, media_type="text/html")
    content = {"Message": refused.message, **refused.members}
    headers = _request_id() | {"x-amzn-errortype": refused.code}
    return JSONResponse(content, refused.status, headers=headers)


async def _dropped(request: Request, drop: Exception) -> Response:
    assert isinstance(drop, Drop)  # noqa: S101 - what it is registered for
    if drop.outcome == "reset":
        wire.reset(request.scope)
    await wire.gone(request.receive)
    # Nobody is left to get it.
    return Response()
