"""What a reader's events look like on the command line."""

import json
import sys
from base64 import b64encode
from typing import Any

import typer

from ...channels import ChannelError, Cursor, End, Event, Part, Restarted, StreamCancelled
from ...tasks.schedules import channel
from . import console
from .schedule import showing


class Transcript:
    """What the model writes goes to stdout as it arrives, what happens to the stream to stderr.

    Args:
        cursor: where reading begins.
        raw: print records as they are, not their text.

    Attributes:
        cursor: the last position that was shown.
    """

    def __init__(self, cursor: Cursor, *, raw: bool = False) -> None:
        self.cursor = cursor
        self._raw = raw
        self._last = b"\n"
        self._silent = 0

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Part):
            self._part(event)
        elif isinstance(event, Restarted):
            self._restarted(event)
        else:
            self._end(event)
        # Last: what Ctrl-C meets here is printed once more rather than never.
        self.cursor = event.cursor

    def failed(self, _: ChannelError) -> None:
        """Show how the stream failed; its line on stderr is the caller's."""
        self.close()

    def close(self) -> None:
        """Let what comes next on a terminal begin a line of its own."""
        if sys.stdout.isatty() and not self._last.endswith(b"\n"):
            self._write(b"\n")

    def _part(self, part: Part) -> None:
        # Records that cannot be told to be text are printed as they are.
        plain = self._raw or part.text is None
        data = part.data if plain else (part.text or "").encode()
        self._silent += not data
        if data:
            self._write(data)

    def _restarted(self, event: Restarted) -> None:
        self.close()
        typer.echo(f"restarted: attempt {event.attempt} begins from the start", err=True)

    def _end(self, event: End) -> None:
        self.close()
        if event.parts and self._silent == event.parts:
            typer.echo(f"none of {event.parts} records has text; --raw prints them", err=True)

    def _write(self, data: bytes) -> None:
        self._last = data
        console.print_part(data)


class JsonTranscript(Transcript):
    """One JSON object per event, named as in the server-sent events of `channels`."""

    def failed(self, error: ChannelError) -> None:
        """Print how the stream failed."""
        name = "cancelled" if isinstance(error, StreamCancelled) else "error"
        data = {"code": error.code, "message": error.message, "retryable": error.retryable}
        _print(name, cursor=error.cursor, **data)

    def _part(self, part: Part) -> None:
        if self._raw or part.text is None:
            _print("part", cursor=part.cursor, base64=b64encode(part.data).decode())
        else:
            _print("part", cursor=part.cursor, text=part.text)

    def _restarted(self, event: Restarted) -> None:
        _print("restarted", cursor=event.cursor, attempt=event.attempt)

    def _end(self, event: End) -> None:
        _print("end", cursor=event.cursor, **event.summary)


def _print(event: str, **members: Any) -> None:
    console.print_json({"event": event, **members})


class RunsTranscript(Transcript):
    """One line for each change of a run of a schedule."""

    def _part(self, part: Part) -> None:
        self._write(f"{showing.run(json.loads(part.data))}\n".encode())

    def _restarted(self, event: Restarted) -> None:  # noqa: ARG002 - the base's signature
        typer.echo("the schedule was added anew", err=True)

    def _end(self, event: End) -> None:  # noqa: ARG002 - the base's signature
        typer.echo("the schedule was removed", err=True)


def transcript(
    cursor: Cursor, *, raw: bool, as_json: bool, stream_id: str | None = None
) -> Transcript:
    """Return the transcript that was asked for.

    Args:
        cursor: where reading begins.
        raw: print records as they are.
        as_json: print JSON.
        stream_id: that of a schedule is shown as its runs.
    """
    if as_json:
        return JsonTranscript(cursor, raw=raw)
    of_schedule = stream_id is not None and stream_id.startswith(channel.PREFIX)
    return (RunsTranscript if of_schedule and not raw else Transcript)(cursor, raw=raw)
