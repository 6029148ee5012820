"""A web server with the streams' application in a thread, and an EventSource."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import uvicorn
from celery_sagemaker.channels import ChannelOptions, Cursor, End, Event, Part, Restarted
from celery_sagemaker.channels.asgi import create_app
from celery_sagemaker.channels.tokens import StreamTokens
from celery_sagemaker.local.processes import free_port
from channels_harness import PATIENCE

#: Signs the tests' tokens.
TOKENS = StreamTokens("test" * 8)


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event; a comment has no name."""

    name: str
    id: str
    data: dict[str, Any]


class Server:
    """The application behind uvicorn."""

    def __init__(self, redis_url: str, options: ChannelOptions, **more: Any) -> None:
        self.port = free_port()
        app = create_app(redis_url, TOKENS, options=options, **more)
        config = uvicorn.Config(
            app, port=self.port, log_level="error", lifespan="off", ws="none",
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)

    def stop(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @contextmanager
    def request(
        self,
        stream: str,
        *,
        method: str = "GET",
        token: str | None = None,
        query: str = "",
        **headers: str,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; the token is the query's. Leaving closes the connection."""
        asked = "" if token is None else f"?token={quote(token)}{query}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with closing(connection):
            connection.request(method, f"/streams/{stream}{asked}", headers=sent)
            with connection.getresponse() as response:
                yield response

    def follow(self, take: Callable[[Event], bool], stream: str, _: str, **more: Any) -> None:
        """Follow a stream as the other followers do, and come back when the connection ends."""
        last = str(more.get("cursor", "earliest"))
        while True:
            with self.request(stream, token=TOKENS.sign(stream), Last_Event_ID=last) as response:
                if response.status == http.client.NO_CONTENT:
                    return
                assert response.status == http.client.OK, response.status
                for message in messages(response):
                    last = message.id or last
                    if message.name and not take(event(message)):
                        return


@contextmanager
def serving(redis_url: str, options: ChannelOptions, **more: Any) -> Iterator[Server]:
    """A server, stopped at the end."""
    server = Server(redis_url, options, **more)
    try:
        yield server
    finally:
        server.stop()


def messages(response: http.client.HTTPResponse) -> Iterator[Message]:
    """Read server-sent events, comments included, as the HTML standard says."""
    fields: dict[str, str] = {}
    for raw in response:
        line = raw.decode().removesuffix("\n")
        if line.startswith(":"):
            yield Message("", "", {})
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Message(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            fields = {}


def event(message: Message) -> Event:
    """Make the event of a message."""
    cursor = Cursor.parse(message.id)
    if message.name == "part":
        return Part(cursor, message.data["text"].encode(), message.data["text"])
    if message.name == "restarted":
        return Restarted(cursor)
    assert message.name == "end"
    data = message.data
    return End(cursor, data["parts"], data["bytes"], data["finish"], None, data)
