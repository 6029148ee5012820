"""InvokeEndpointWithResponseStream: the payload's parts as they come, or one of our errors."""

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self, TypeVar

from .accounting import StreamSummary
from .bodyreader import BodyReader, Closed
from .deadlines import UNLIMITED, Deadline, StreamDeadlines
from .exceptions import StreamCancelled, StreamTimeout
from .payloadparts import PayloadParts
from .responses import InvokeEndpointWithResponseStreamResponse

T = TypeVar("T")


class ResponseStream:
    """A response stream; a context manager, and an iterator over the payload's parts.

    Nothing is sent before `start`, which entering does. When iteration ends, by the stream's end or
    by an error, the connection is given up; leaving does so in any case. One thread iterates, any
    may `cancel`. An empty part is given too: it is a sign of life.

    Args:
        call: makes the request and returns botocore's answer.
        deadlines: how long it may take.

    Attributes:
        summary: parts, bytes and checksum of what was given so far.
    """

    def __init__(
        self, call: Callable[[], Mapping[str, Any]], deadlines: StreamDeadlines = UNLIMITED
    ) -> None:
        self.summary = StreamSummary()
        self._deadlines = deadlines
        self._reader = BodyReader(call)
        # A stream that is dropped half read must not leave a thread and a connection behind.
        weakref.finalize(self, self._reader.close)
        self._head: Mapping[str, Any] = {}
        self._began = 0.0
        self._parts = PayloadParts()
        self._pending: Iterator[bytes] = iter(())
        self._has_ended = False
        self._is_cancelled = False

    def start(self) -> Self:
        """Send the request and wait for the response's head.

        Raises:
            StreamCancelled: somebody cancelled; before this, nothing is sent.
            StreamTimeout: a deadline passed.
            InferenceError: whatever else went wrong, as one of its classes.
        """
        self._began = time.monotonic()
        try:
            self._reader.start()
            self._head = self._wait(self._reader.head, self._began, self._began)
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def content_type(self) -> str | None:
        """The payload's content type, by which it is framed."""
        return self._head.get("ContentType")

    @property
    def invoked_production_variant(self) -> str | None:
        """The variant that was invoked."""
        return self._head.get("InvokedProductionVariant")

    @property
    def custom_attributes(self) -> str | None:
        """What the container says beside its answer."""
        return self._head.get("CustomAttributes")

    @property
    def skipped(self) -> int:
        """Events so far that are not in the service's model, and were passed over."""
        return self._parts.skipped

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Return the payload's next part.

        Raises:
            StreamCancelled: somebody cancelled; parts that came meanwhile are dropped.
            StreamTimeout: a deadline passed.
            StreamError: the stream broke, as one of its classes.
            ReadTimeout: no byte came for as long as the client's `read_timeout`.
            ConnectionLost: the connection ended before the body.
        """
        if self._has_ended:
            raise StopIteration
        try:
            part = self._next()
        except BaseException:
            self.close()
            raise
        self.summary = self.summary.add(part)
        return part

    def read(self) -> InvokeEndpointWithResponseStreamResponse:
        """Read to the end and return all parts, joined.

        Raises:
            InferenceError: as iteration does.
        """
        return InvokeEndpointWithResponseStreamResponse(
            body=b"".join(self),
            content_type=self.content_type,
            invoked_production_variant=self.invoked_production_variant,
            custom_attributes=self.custom_attributes,
        )

    def cancel(self) -> None:
        """End the stream, from any thread, at once; iteration raises `StreamCancelled`.

        The endpoint sees the connection close: at once if the response has begun, else when its
        head comes. Whether a container then stops to generate is its own choice.
        """
        self._is_cancelled = True
        self._reader.close()

    def close(self) -> None:
        """End the stream if it has not ended; the connection is given up."""
        self._has_ended = True
        self._reader.close()
        self._reader.join()

    def _next(self) -> bytes:
        since = now = time.monotonic()
        while not self._is_cancelled:
            part = next(self._pending, None)
            if part is not None:
                return part
            data = self._wait(self._reader.read, since, now)
            if not data:
                self._parts.close()
                raise StopIteration
            self._pending = self._parts.feed(data)
            now = time.monotonic()
        raise StreamCancelled

    def _wait(self, take: Callable[[float | None], T], since: float, now: float) -> T:
        has_part = self.summary.parts > 0
        deadline = self._deadlines.next(self._began, since, has_part=has_part)
        if deadline is not None and deadline.at < now:
            self._time_out(deadline)
        try:
            return take(None if deadline is None else deadline.at - now)
        except TimeoutError:
            assert deadline is not None  # noqa: S101 - without one the wait has no end
            self._time_out(deadline)
        except Closed:
            raise StreamCancelled from None

    def _time_out(self, deadline: Deadline) -> NoReturn:
        members = {"deadline": deadline.name, "seconds": deadline.seconds}
        raise StreamTimeout(
            f"The stream passed its deadline {deadline.name} of {deadline.seconds} s.", members
        ) from None
