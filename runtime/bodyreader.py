"""A call and the reading of its body, in a thread of their own.

Whoever waits here can be woken at any moment, also before the response's head has come: that is
where a model's time to its first token is mostly spent, and where no socket can be reached.
"""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from .httpbody import HttpBody
from .translation import translate

#: Bytes that may wait to be taken. Beyond them nothing is read, and TCP slows the sender down.
BUFFER = 1024 * 1024

#: Seconds that closing waits for a read that was ended, and returns at once, to give up its socket.
JOIN = 1.0


class Closed(Exception):
    """The reader was closed."""


class BodyReader:
    """Makes one call and reads its body ahead. One thread takes; any may close.

    Args:
        call: makes the request and returns botocore's answer, when its head is here.
    """

    def __init__(self, call: Callable[[], Mapping[str, Any]]) -> None:
        self._call = call
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._head: Mapping[str, Any] | None = None
        self._body: HttpBody | None = None
        self._waiting = deque[bytes]()
        self._size = 0
        self._has_ended = False
        self._error: Exception | None = None
        self._is_closed = False

    def start(self) -> None:
        """Send the request, unless the reader was closed."""
        # Tracing of botocore finds the caller's span in its context.
        context = contextvars.copy_context()
        with self._changed:
            if self._is_closed:
                return
            self._thread = threading.Thread(
                target=context.run, args=(self._run,), name="sagemaker-stream", daemon=True
            )
            self._thread.start()

    def head(self, timeout: float | None) -> Mapping[str, Any]:
        """Wait for the answer's head.

        Raises:
            Closed: the reader was closed.
            TimeoutError: it did not come in time; seconds.
            InferenceError: there is no answer, or it is an error.
        """
        with self._changed:
            self._wait(lambda: self._head is not None, timeout)
            if self._head is None:
                raise self._error or Closed
            return self._head

    def read(self, timeout: float | None) -> bytes:
        """Take what has come, or wait for it; empty at the end.

        Raises:
            Closed: the reader was closed.
            TimeoutError: nothing came in time; seconds.
            InferenceError: the body broke.
        """
        with self._changed:
            self._wait(lambda: bool(self._waiting), timeout)
            if not self._waiting and self._error is not None:
                raise self._error
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            self._changed.notify_all()
            return data

    def close(self) -> None:
        """Stop, at once; whoever waits gets `Closed`.

        A head that has not come is not waited for: the connection is closed when it comes.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            if self._body is not None:
                self._body.shutdown()

    def join(self) -> None:
        """After `close`, wait until the connection was given up, if there is a body to stop."""
        if self._thread is not None and (self._head is not None or self._has_ended):
            self._thread.join(JOIN)

    def _wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        def is_over() -> bool:
            return self._is_closed or self._has_ended or ready()

        if not self._changed.wait_for(is_over, timeout):
            raise TimeoutError
        if self._is_closed:
            raise Closed

    def _run(self) -> None:
        error: Exception | None = None
        try:
            with translate():
                self._receive(self._call())
        except Exception as raised:  # noqa: BLE001 - raised again where the body is read
            error = raised
        with self._changed:
            self._has_ended, self._error = True, error
            self._changed.notify_all()

    def _receive(self, answer: Mapping[str, Any]) -> None:
        with closing(HttpBody(answer["Body"])) as body:
            if not self._begin(answer, body):
                return
            try:
                while (data := body.read()) and self._put(data):
                    pass
            finally:
                with self._changed:
                    self._body = None

    def _begin(self, answer: Mapping[str, Any], body: HttpBody) -> bool:
        with self._changed:
            self._head, self._body = answer, body
            self._changed.notify_all()
            return not self._is_closed

    def _put(self, data: bytes) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._size < BUFFER)
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify_all()
            return not self._is_closed
