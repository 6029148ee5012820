"""Calls of containers in threads, with a time limit; their errors become the service's."""

import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from http.client import HTTPException
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from .containers import Answer, Container
from .refusals import model_error

#: Containers called at once, each in a thread of its own; others wait. SageMaker's own bound for
#: one instance (MaxConcurrentInvocationsPerInstance) is 1,000. Latency takes no thread.
CALLS = 1_000

#: The same for asynchronous calls: they have a queue, and 10,000 of them may be due at once. That
#: many new connections would be reset by a container with a short backlog; Python's own servers
#: let five wait.
ASYNC_CALLS = 8

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a container."""

    endpoint: str
    container: Container
    body: bytes
    headers: Mapping[str, str]
    seconds: float
    """How long it may take."""


class Caller:
    """Calls containers.

    Args:
        calls: at once.
    """

    def __init__(self, calls: int = CALLS) -> None:
        self._calls = calls

    async def whole(self, call: Call) -> tuple[Answer, bytes]:
        """Return what a container answered, and all of its body.

        Raises:
            Refusal: ModelError, with the container's status, 500 if it broke, 0 if it took too
                long.
        """
        return await self._in_time(call, _Work.whole)

    async def begun(self, call: Call) -> Answer:
        """Return what a container answered, its body unread.

        Raises:
            Refusal: as `whole`.
        """
        return await self._in_time(call, _Work.begun)

    async def parts(self, answer: Answer, seconds: float) -> AsyncGenerator[bytes, None]:
        """Read an answer's parts as they are made.

        Raises:
            TimeoutError: they took longer than so many seconds.
            Exception: whatever broke in the container.
        """
        end = time.monotonic() + seconds
        try:
            while True:
                with anyio.fail_after(end - time.monotonic()):
                    part = await self._thread(partial(next, answer.parts, None))
                if part is None:
                    return
                yield part
        finally:
            answer.close()

    async def _in_time(self, call: Call, work: "Callable[[_Work], T]") -> T:
        begun = _Work(call)
        try:
            with anyio.fail_after(call.seconds):
                return await self._thread(partial(work, begun))
        except TimeoutError as error:
            begun.abandon()
            text = "Your invocation timed out while waiting for a response from container"
            raise model_error(call.endpoint, 0, text) from error
        except BaseException:
            begun.abandon()
            raise

    async def _thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(self._calls)


class _Work:
    """A call in its thread. A thread cannot be stopped, but what it reads from can be closed."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._abandoned = False
        self._answer: Answer | None = None

    def begun(self) -> Answer:
        """Call the container."""
        call = self._call
        answer = self._guarded(partial(call.container, call.body, call.headers, call.seconds))
        with self._lock:
            self._answer = answer
            if self._abandoned:
                answer.close()
        if not answer.ok:
            text = self._guarded(answer.body).decode("utf-8", "replace")
            raise model_error(call.endpoint, answer.status, text)
        return answer

    def whole(self) -> tuple[Answer, bytes]:
        """Call the container and read what it answers."""
        answer = self.begun()
        return answer, self._guarded(answer.body)

    def abandon(self) -> None:
        """Close what the container answered, or will answer."""
        with self._lock:
            self._abandoned = True
            if self._answer:
                self._answer.close()

    def _guarded(self, work: Callable[[], T]) -> T:
        endpoint = self._call.endpoint
        try:
            return work()
        except TimeoutError:
            raise
        except (OSError, HTTPException) as error:
            raise model_error(endpoint, 500, repr(error)) from error
        except Exception as error:
            if not self._abandoned:
                # A function that raises is a container whose server answers 500.
                logger.exception("container_failed", extra={"endpoint": endpoint})
            raise model_error(endpoint, 500, repr(error)) from error
