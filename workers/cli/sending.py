"""Send one task, wait for its result, print it."""

from base64 import b64encode
from dataclasses import replace
from time import monotonic
from typing import Any
from uuid import uuid4

import typer
from celery.exceptions import TimeoutError as ResultTimeout
from celery.result import AsyncResult

from ...runtime import exceptions, responses
from . import console
from .exits import Exit, fail
from .reach import require_redis
from .target import celery_app

#: Seconds of one look at the result; between looks the progress line has its turn.
LOOK_SECONDS = 1.0


def dry_run(
    name: str, endpoint: str, payload: object, members: dict[str, Any], *, as_json: bool
) -> None:
    """Print the HTTP request that a worker would send for these arguments, before it is signed.

    Raises:
        InvalidRequest: the service would refuse it.
    """
    app, _ = celery_app()
    task: Any = app.tasks[name]
    message, upload = task.draft(_arguments(endpoint, payload), members, uuid4().hex)
    request = message.request
    if message.staged:
        request = replace(request, body=upload.body)
    http = request.http_request()
    body = bytes(http.body or b"")
    if as_json:
        head = {"method": http.method, "path": http.path, "headers": dict(http.headers)}
        console.print_json(head | {"body": _readable(body)})
        return
    lines = [f"{http.method} {http.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in http.headers.items()]
    console.print_bytes("\n".join([*lines, "", ""]).encode() + body)


def _readable(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(body).decode()}


def send(name: str, endpoint: str, payload: object, members: dict[str, Any]) -> "AsyncResult[Any]":
    """Queue one inference; what cannot be right is refused before.

    Raises:
        InvalidRequest: the service would refuse it.
    """
    app, settings = celery_app()
    require_redis([settings.broker_url, settings.state_url])
    return app.tasks[name].apply_async(args=_arguments(endpoint, payload), kwargs=members)


def _arguments(endpoint: str, payload: object) -> tuple[object, ...]:
    return (endpoint,) if payload is None else (endpoint, payload)


def finish(sent: "AsyncResult[Any]", *, wait: bool, timeout: float, as_json: bool) -> None:
    """Print the id, or wait for the answer and print that."""
    if not wait:
        console.print_json({"id": sent.id}) if as_json else typer.echo(sent.id)
        return
    value = _wait(sent, timeout)
    if sent.failed():
        _failed(sent.id, value, as_json=as_json)
    elif as_json:
        console.print_json({"id": sent.id, "state": sent.state, "response": value})
    else:
        console.print_bytes(_body(value))


def _wait(sent: "AsyncResult[Any]", timeout: float) -> Any:
    end = monotonic() + timeout
    with console.busy(f"waiting for {sent.id}") as tick:
        while True:
            left = max(min(LOOK_SECONDS, end - monotonic()), 0.001)
            try:
                return sent.get(timeout=left, propagate=False)
            except ResultTimeout:
                tick()
            if monotonic() >= end:
                fail(Exit.TIMED_OUT, f"no answer in {timeout:g} s; later: status {sent.id}")


def _failed(inference: str, error: Any, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"id": inference, "state": "FAILURE", "error": _error(error)})
    fail(Exit.FAILED, f"{_error(error)['code']}: {error} (id {inference})")


def _error(error: Any) -> dict[str, Any]:
    if isinstance(error, exceptions.InferenceError):
        found: dict[str, Any] = error.to_json()
        return found
    return {"code": type(error).__name__, "message": str(error), "members": {}}


def _body(value: Any) -> bytes:
    response = responses.from_json(value)
    body = getattr(response, "body", None)
    if body is None:
        # Too large to travel through Redis: the place is the answer.
        return str(getattr(response, "output_location", "")).encode() + b"\n"
    return bytes(body)
