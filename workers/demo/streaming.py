"""One image's answer as a stream, followed by two readers."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from celery import Celery
from redis.exceptions import RedisError

from ...channels import ChannelError, End, Event, Part, subscribe
from ...tasks import streams
from ...tasks.deployment import deployment
from .chat import CONTENT_TYPE as EVENT_STREAM
from .digits import CONTENT_TYPE, Record

#: The endpoint that tells about an image.
ENDPOINT = "digits-chat"

#: Parts that the first reader has when the second one comes.
LATE = 3


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a reader read."""

    events: tuple[Event, ...]
    error: str | None = None
    """Why it did not end."""

    @property
    def text(self) -> str:
        """What the model wrote."""
        return "".join(event.text or "" for event in self.events if isinstance(event, Part))

    @property
    def end(self) -> End | None:
        """The stream's end, if it was read."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, End) else None


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """What became of the stream."""

    early: Read
    late: Read
    """Who came after `LATE` parts."""
    seconds: float
    """From the request to the end."""

    @property
    def parts(self) -> int:
        """Records of the stream."""
        return self.early.end.parts if self.early.end else 0

    @property
    def finish(self) -> str | None:
        """How it ended; None: the first reader has not seen that."""
        return self.early.end.finish if self.early.end else None

    @property
    def agree(self) -> bool:
        """Whether both readers read the same, record by record."""
        return bool(self.early.events) and self.early.events == self.late.events

    def problems(self) -> list[str]:
        """What is not as it should be."""
        found = [f"stream: {read.error}" for read in (self.early, self.late) if read.error]
        if self.finish != "complete":
            found.append(f"stream: it ended as {self.finish or 'nobody knows'}, not complete")
        if not self.agree:
            found.append("stream: its two readers did not read the same")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "text": self.early.text,
            "parts": self.parts,
            "finish": self.finish,
            "readers_agree": self.agree,
            "seconds": round(self.seconds, 1),
        }


def run(app: Celery, record: Record, hear: Callable[[str], None]) -> Streamed:
    """Stream an image's answer.

    Args:
        app: the Celery app.
        record: the image.
        hear: given the text of each part as it arrives.
    """
    started = time.monotonic()
    id_ = _send(app, record)
    with ThreadPoolExecutor(1) as pool:
        late: list[Future[Read]] = []

        def heard(count: int, text: str) -> None:
            hear(text)
            if count == LATE:
                late.append(pool.submit(_read, app, id_))

        early = _read(app, id_, heard)
        seconds = time.monotonic() - started
        second = late[0].result() if late else _read(app, id_)
        return Streamed(early=early, late=second, seconds=seconds)


def _send(app: Celery, record: Record) -> str:
    task: Any = app.tasks[streams.TASK]
    sent = task.delay(
        ENDPOINT,
        record.body,
        content_type=CONTENT_TYPE,
        accept=EVENT_STREAM,
        custom_attributes=record.custom_attributes,
    )
    return str(sent.id)


def _read(app: Celery, id_: str, heard: Callable[[int, str], None] | None = None) -> Read:
    read: list[Event] = []
    try:
        for event in _events(app, id_):
            read.append(event)
            if heard and isinstance(event, Part):
                heard(event.cursor.seq, event.text or "")
    except (ChannelError, RedisError) as error:
        return Read(events=tuple(read), error=f"{type(error).__name__}: {error}")
    return Read(events=tuple(read))


def _events(app: Celery, id_: str) -> Iterator[Event]:
    parts = deployment(app)
    url, options = parts.settings.state_url, parts.channels
    return subscribe(id_, url, options=options, to_text=streams.text_of)
