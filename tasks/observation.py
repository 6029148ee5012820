"""What happens to requests, told once: the log has it, and whoever counts hears it.

The functions are the events in a request's life. The log's lines are an event's name and ids, never
payloads or what a model answered. Without an observer a call costs two readings of the clock.
"""

import logging
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from ..runtime.requests import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from .ledger import Run, State
from .limits import SUCCESS, outcome_of

logger = logging.getLogger(__name__)

Request = (
    InvokeEndpointRequest | InvokeEndpointAsyncRequest | InvokeEndpointWithResponseStreamRequest
)

#: Final states by the event that tells of them, and how loudly.
ENDINGS = {
    State.SUCCEEDED: logging.DEBUG,
    State.REVOKED: logging.INFO,
    State.FAILED: logging.WARNING,
    State.EXPIRED: logging.WARNING,
}

#: A task that ends another's request, and whose it is.
SECOND_HALVES = {"sagemaker.collect": "sagemaker.invoke_async"}


@dataclass(frozen=True, slots=True)
class Called:
    """One call of an endpoint that has ended."""

    endpoint: str
    operation: str
    """The API's name: InvokeEndpoint and so on."""
    outcome: str
    """`success`, the line of the retry table that its error has, or `unknown`."""
    seconds: float
    sent: int
    """Bytes of the request's body."""
    received: int
    """Bytes of the response's."""


class Observer(Protocol):
    """Whoever counts. Called in the thread of the work: it must be quick and must not raise."""

    def called(self, call: Called) -> None:
        """A call has ended."""

    def retried(self, endpoint: str, code: str) -> None:
        """A failed call is made again."""

    def ended(self, task: str, state: State, seconds: float) -> None:
        """A request has its final state, so long after it was accepted."""


_observers: tuple[Observer, ...] = ()


def observe(observer: Observer) -> None:
    """Tell an observer of everything in this process, and in those forked from it."""
    global _observers  # noqa: PLW0603 - like the logger's, its place is the process
    _observers = (*_observers, observer)


def leave(observer: Observer) -> None:
    """Tell it nothing more."""
    global _observers  # noqa: PLW0603
    _observers = tuple(other for other in _observers if other is not observer)


def task_of(name: str) -> str:
    """Return the task by which a request was accepted, whichever of its tasks ends it."""
    return SECOND_HALVES.get(name, name)


class Call:
    """A call of an endpoint, from entering to leaving the `with` block.

    Args:
        request: what is sent.

    Attributes:
        received: bytes of the response's body, for whoever knows them to set.
    """

    __slots__ = ("_began", "_request", "received")

    def __init__(self, request: Request) -> None:
        self._request = request
        self.received = 0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not _observers:
            return
        request = self._request
        call = Called(
            endpoint=request.endpoint_name,
            operation=request.operation,
            outcome=SUCCESS if error is None else outcome_of(error),
            seconds=time.perf_counter() - self._began,
            sent=len(request.body or b""),
            received=self.received,
        )
        for observer in _observers:
            observer.called(call)


def accepted(id_: str, task: str, endpoint: str) -> None:
    """A request is in the ledger."""
    logger.debug("request_accepted", extra={"id": id_, "task": task, "endpoint": endpoint})


def begun(run: Run, task: str) -> None:
    """A worker has begun a request, or goes on with it."""
    extra = {"id": run.id, "task": task, "run": run.number}
    logger.debug("request_begun", extra=extra)


def retried(
    endpoint: str, code: str, *, id_: str | None = None, calls: int = 0, wait: float | None = None
) -> None:
    """A failed call is made again.

    Args:
        endpoint: that was called.
        code: of the error.
        id_: of the request.
        calls: that have failed with this error.
        wait: seconds until the next one, where it is waited for in the worker. A request that is
            handed back is told of by `handed_back`, and a batch job counts its own.
    """
    if wait is not None:
        extra = {"id": id_, "endpoint": endpoint, "code": code, "calls": calls, "seconds": wait}
        logger.info("call_retried", extra=extra)
    for observer in _observers:
        observer.retried(endpoint, code)


def handed_back(id_: str, endpoint: str, why: str, seconds: float) -> None:
    """A request has left its worker slot and goes on later.

    Args:
        id_: of the request.
        endpoint: that it calls.
        why: the error's code, RetryBudget, or what limits the endpoint: concurrency or breaker.
        seconds: until it goes on.
    """
    extra = {"id": id_, "endpoint": endpoint, "why": why, "seconds": round(seconds, 3)}
    logger.info("request_handed_back", extra=extra)


def submitted(id_: str, endpoint: str, deadline: float) -> None:
    """An asynchronous endpoint has a request; it is given up in `deadline` seconds."""
    extra = {"id": id_, "endpoint": endpoint, "deadline": deadline}
    logger.info("request_submitted", extra=extra)


def answered(id_: str, endpoint: str, kind: str, seconds: float) -> None:
    """The answer of a submitted request was found, or its deadline has passed.

    Args:
        id_: of the request.
        endpoint: that had it.
        kind: output, failure or deadline.
        seconds: since it was submitted.
    """
    extra = {"id": id_, "endpoint": endpoint, "kind": kind, "seconds": round(seconds, 3)}
    logger.info("answer_found", extra=extra)


def ended(id_: str, task: str, state: State, code: str | None, seconds: float) -> None:
    """A request has its final state.

    Args:
        id_: of the request.
        task: that it was accepted for.
        state: the final one.
        code: of the error; None for a success.
        seconds: since it was accepted.
    """
    extra = {"id": id_, "task": task, "state": state.value, "seconds": round(seconds, 3)}
    if code is not None:
        extra["code"] = code
    logger.log(ENDINGS[state], "request_ended", extra=extra)
    for observer in _observers:
        observer.ended(task, state, seconds)
