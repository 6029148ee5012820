"""The demo's model server: SageMaker's container contract over the standard library.

`python -m celery_sagemaker.workers.demo.container` trains, listens on a free port of the
loopback interface and prints its address as its one line on stdout. It ends when its stdin
does, so that it never outlives the process that started it.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import chat
from .digits import JSON, Classifier, fold_of, image_of

#: The header in which SageMaker hands a request's custom attributes to the container.
ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"

#: Connections that may wait to be accepted.
BACKLOG = 128

#: Seconds a stopped container has before it is killed.
STOP_SECONDS = 5.0


class Server(ThreadingHTTPServer):
    """An HTTP server with a trained classifier."""

    daemon_threads = True
    # socketserver's backlog of 5 loses connections when many calls begin at once.
    request_queue_size = BACKLOG

    def __init__(self, classifier: Classifier, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.classifier = classifier

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """`GET /ping` and `POST /invocations`."""

    protocol_version = "HTTP/1.1"
    # A response's head and body are two writes: Nagle would hold the second one back for 40 ms.
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer the health check."""
        self._answer(HTTPStatus.OK if self.path == "/ping" else HTTPStatus.NOT_FOUND, {})

    def do_POST(self) -> None:
        """Classify one image; who accepts an event stream is told about it word by word."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/invocations":
            return self._answer(HTTPStatus.NOT_FOUND, {})
        try:
            image, fold = self._image(body)
            digit = self.server.classifier.classify(image, fold)
        except ValueError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        if self.headers.get("Accept") == chat.CONTENT_TYPE:
            return self._stream(chat.pieces(chat.events(chat.answer(image, digit))))
        return self._answer(HTTPStatus.OK, {"digit": digit})

    def _image(self, body: bytes) -> tuple[str, int]:
        if self.headers.get("Content-Type") == JSON:
            return image_of(body)
        return body.decode(), fold_of(self.headers.get(ATTRIBUTES_HEADER))

    def _stream(self, pieces: Iterable[bytes]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", chat.CONTENT_TYPE)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(chat.PIECE_SECONDS)
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: HTTPStatus, value: dict[str, object]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: a line per image would drown everything else."""


@contextmanager
def running() -> Iterator[str]:
    """Start the container as a process of its own; its URL, once it answers.

    Raises:
        RuntimeError: the container ended before it listened, with what it said.
    """
    command = [sys.executable, "-m", __name__]
    process = subprocess.Popen(  # noqa: S603 - this very module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield _address(process)
        finally:
            _stop(process)


def _address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline().strip() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the model container ended with code {process.wait()}")
    return line


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Train, say where, serve."""
    server = Server(Classifier())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
