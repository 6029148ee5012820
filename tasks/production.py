"""One run's production of a stream: the endpoint's records on their way to the readers."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import channels
from ..channels import Cancelled, Part, Publisher, Restarted, StaleProducer, StreamFinished
from ..runtime.exceptions import InferenceError, ModelStreamError, StreamCancelled
from ..runtime.framing import framing_for
from ..runtime.requests import InvokeEndpointWithResponseStreamRequest
from ..runtime.responses import StreamOutput
from . import observation, staging, streams
from .deployment import Deployment
from .exceptions import StreamInterrupted
from .messages import Message

if TYPE_CHECKING:
    from ..runtime.records import Record
    from ..runtime.streaming import ResponseStream
    from .streamoptions import StreamOptions


class TakenOver(Exception):
    """Another run has the stream: this one has nothing more to do."""


class Text:
    """All that the model wrote, up to a limit in characters."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._length = 0

    def add(self, piece: str | None) -> None:
        """Take the next piece."""
        self._length += len(piece or "")
        if piece and self._length <= self._limit:
            self._pieces.append(piece)

    @property
    def whole(self) -> str | None:
        """All of it; None if it is over the limit."""
        return "".join(self._pieces) if self._length <= self._limit else None


class Production:
    """The attempts of one run; the last one ends the stream.

    Args:
        parts: the deployment.
        id_: of the request, and of its stream.
        message: what to call.
        options: how.
        began: whether an earlier run had given its readers a part.
        note: called before the first record goes to the readers; False: the run is not ours now.
    """

    def __init__(
        self,
        parts: Deployment,
        id_: str,
        message: Message[InvokeEndpointWithResponseStreamRequest],
        options: "StreamOptions",
        *,
        began: bool,
        note: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._id = id_
        self._message = message
        self._options = options
        self._began = began
        self._note = note
        self._publisher: Publisher | None = None

    def attempt(self) -> dict[str, Any]:
        """Call the endpoint once and relay its response; returns the JSON form of the output.

        Raises:
            TakenOver: another run has the stream.
            StreamInterrupted: an earlier run died within it.
            InferenceError: the call failed. Member parts: what the readers were given before.
        """
        self.suspend(0.0)
        deadlines = self._options.deadlines(self._parts.settings.streams)
        request = staging.whole(self._message, self._parts)
        with observation.Call(request) as call:
            stream = self._parts.transport.stream(request, deadlines)
            try:
                return self._given(stream)
            finally:
                call.received = stream.summary.size

    def _given(self, stream: "ResponseStream") -> dict[str, Any]:
        """Give a response to the readers, unless they have the end of one."""
        try:
            self._publisher = streams.open_(self._parts, self._id, on_cancel=stream.cancel)
        except StreamFinished as finished:
            return self._adopt(finished)
        if self._began and not self._options.restart_after_output:
            raise StreamInterrupted
        try:
            with stream:
                return self._relay(stream, self._publisher)
        except StaleProducer as stale:
            raise TakenOver from stale
        except Cancelled:
            raise StreamCancelled from None
        except InferenceError as error:
            error.members["parts"] = self._publisher.cursor.seq
            raise

    def _relay(self, stream: "ResponseStream", publisher: Publisher) -> dict[str, Any]:
        framer = framing_for(stream.content_type, self._options.framing)
        publisher.describe(stream.content_type or "", framer.name)
        text = Text(self._parts.settings.result_inline_limit)
        for part in stream:
            for record in framer.feed(part):
                self._publish(publisher, record, text)
        for record in framer.flush():
            self._publish(publisher, record, text)
        summary = replace(stream.summary, finish=framer.finish)
        publisher.end(finish=framer.finish)
        return StreamOutput(
            text=text.whole,
            parts=publisher.cursor.seq,
            size=summary.size,
            crc32=f"{summary.crc32:08x}",
            finish=framer.finish,
            content_type=stream.content_type,
            invoked_production_variant=stream.invoked_production_variant,
            custom_attributes=stream.custom_attributes,
        ).to_json()

    def _publish(self, publisher: Publisher, record: "Record", text: Text) -> None:
        if not self._began:
            # Readers have a part from here on: another run must know.
            self._began = True
            if not self._note():
                raise TakenOver
        publisher.append(record.data)
        text.add(record.text)
        if record.error is not None:
            raise ModelStreamError(record.error)

    def _adopt(self, finished: StreamFinished) -> dict[str, Any]:
        """Take over how an earlier run ended the stream: nothing is called again."""
        if finished.state == "cancelled":
            raise StreamCancelled
        if finished.state == "error":
            raise InferenceError.from_json({"members": {}, **finished.outcome})
        outcome = finished.outcome
        return StreamOutput(
            text=self._replayed(),
            parts=int(outcome.get("parts", 0)),
            size=int(outcome.get("bytes", 0)),
            crc32=str(outcome.get("crc32", "")),
            finish=str(outcome.get("finish", "unknown")),
        ).to_json()

    def _replayed(self) -> str | None:
        """Return the text as a reader is given it."""
        limit = self._parts.settings.result_inline_limit
        url, options = self._parts.settings.state_url, self._parts.channels
        text = Text(limit)
        for event in channels.subscribe(self._id, url, options=options, to_text=streams.text_of):
            if isinstance(event, Part):
                text.add(event.text)
            elif isinstance(event, Restarted):
                text = Text(limit)
        return text.whole

    def suspend(self, seconds: float) -> None:
        """Leave the stream to another attempt within `seconds`."""
        if self._publisher is not None:
            self._publisher.suspend(seconds)
            self._publisher = None

    def fail(self, error: InferenceError) -> None:
        """End the stream as the request ends."""
        publisher, self._publisher = self._publisher, None
        if publisher is None:
            streams.conclude(self._parts, self._id, error)
            return
        with contextlib.suppress(StaleProducer):
            streams.finish(publisher, error)
