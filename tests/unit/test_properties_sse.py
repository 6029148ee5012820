"""Server-sent events of any text, read as browsers do, and positions that browsers send back."""

import asyncio
import json
import re
from typing import Any

from celery_sagemaker.channels import Cursor, End, Part, Restarted, StreamFailed, sse
from celery_sagemaker.channels.asgi import create_app
from celery_sagemaker.channels.cursor import EARLIEST
from celery_sagemaker.channels.events import Event
from celery_sagemaker.channels.exceptions import StreamCancelled
from hypothesis import example, given
from hypothesis import strategies as st

#: Lone surrogates, too: JSON has them escaped, and models answer JSON.
TEXT = st.text(st.characters(codec=None))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CURSORS = st.builds(Cursor, st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1))

#: What ends a line for a browser: https://html.spec.whatwg.org/multipage/server-sent-events.html
LINE_END = re.compile("\r\n|\r|\n")

#: Whatever a browser may say of where it was; headers are Latin-1.
HEADERS = st.text(st.characters(max_codepoint=0xFF)) | CURSORS.map(str)

#: Nobody listens at this port.
NOWHERE = "redis://127.0.0.1:1/0"


class Browser:
    """Reads events as the standard says; `received` has their names, data and ids."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.received: list[tuple[str, str, str]] = []

    def read(self, body: bytes) -> None:
        """Take a body that ends with an event."""
        name, data = "", list[str]()
        *lines, rest = LINE_END.split(body.decode())
        assert rest == ""
        for line in lines:
            if not line:
                if data:
                    found = (name or "message", "\n".join(data), self.last_event_id)
                    self.received.append(found)
                name, data = "", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id" and "\0" not in value:
                self.last_event_id = value


def read(body: bytes) -> tuple[str, Any, str]:
    """The one event that a body is, between comments as they come; its data decoded."""
    browser = Browser()
    browser.read(sse.PING + body + sse.PING)
    ((name, data, id_),) = browser.received
    return name, json.loads(data), id_


@given(CURSORS, st.binary(), TEXT | st.none())
@example(Cursor(1, 1), b"", "\r\n\r\ndata: x\nid: 9-9\n\n")
@example(Cursor(1, 1), b"", "\ud800 \u2028 \x85")
def test_any_part_arrives_as_it_was(cursor: Cursor, data: bytes, text: str | None) -> None:
    """One event, whatever line ends, and fields, are in the record."""
    name, found, id_ = read(sse.of_event(Part(cursor, data, text)))
    assert (name, Cursor.parse(id_)) == ("part", cursor)
    if text is None:
        assert found == {"base64": found["base64"]}
    else:
        assert found == {"text": text}


@given(CURSORS, st.dictionaries(TEXT, JSON, max_size=4))
def test_any_end_arrives_as_it_was(cursor: Cursor, summary: dict[str, Any]) -> None:
    """With whatever its producer has added."""
    event: Event = End(cursor, 0, 0, "complete", summary=summary)
    assert read(sse.of_event(event)) == ("end", summary, str(cursor))
    assert read(sse.of_event(Restarted(cursor))) == (
        "restarted",
        {"attempt": cursor.attempt},
        str(cursor),
    )


@given(cursor=CURSORS, code=TEXT, message=TEXT, retryable=st.booleans())
@example(cursor=Cursor(1, 1), code="ModelError", message="\udfff", retryable=False)
def test_any_error_arrives_as_it_was(
    cursor: Cursor, code: str, message: str, *, retryable: bool
) -> None:
    """An error's text may be a model's own."""
    error = StreamFailed(code, message, cursor, retryable=retryable)
    expected = {"code": error.code, "message": error.message, "retryable": retryable}
    assert read(sse.of_error(error)) == ("error", expected, str(cursor))
    name, data, id_ = read(sse.of_error(StreamCancelled(message, cursor)))
    assert (name, data["message"], id_) == ("cancelled", message, str(cursor))


@given(st.lists(st.binary() | st.none(), max_size=5))
def test_a_browser_is_where_it_was_told(records: list[bytes | None]) -> None:
    """What it sends back after any part is that part's position; a comment changes nothing."""
    browser = Browser()
    for seq, record in enumerate(records, 1):
        cursor = EARLIEST.at(seq)
        text = None if record is None else record.decode("utf-8", "replace")
        browser.read(sse.PING)
        browser.read(sse.of_event(Part(cursor, record or b"", text)))
        assert Cursor.parse(browser.last_event_id) == cursor
    assert len(browser.received) == len(records)


async def allowed(*_: object) -> bool:
    """Everybody may read."""
    return True


def status(headers: list[tuple[bytes, bytes]]) -> int:
    """The status of a request for a stream, of a Redis that is not there."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/streams/s",
        "query_string": b"",
        "headers": headers,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(create_app(NOWHERE, allowed)(scope, receive, send))
    return int(sent[0]["status"])


@given(HEADERS)
@example("earliest")
@example("")
@example("99999999999999999999-0")
@example("\xb2-1")
def test_any_last_event_id_has_an_answer(text: str) -> None:
    """A position is looked for, and anything else is the client's mistake."""
    try:
        Cursor.parse(text or "earliest")
        expected = 503
    except ValueError:
        expected = 400
    assert status([(b"last-event-id", text.encode("latin-1"))]) == expected
