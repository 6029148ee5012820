"""`celery-sagemaker stream` and `subscribe`: a response stream on the command line."""

from typing import Annotated, Any

import typer

from ...channels import EARLIEST, Cursor, StreamCancelled
from ...channels.wire import STREAM
from ...tasks import streams
from ...tasks.deployment import deployment
from ...tasks.stream import StreamTask
from . import console, inputs, sending
from .exits import Exit, fail, one_line_errors
from .following import Reading, follow
from .options import Data, DryRun, Endpoint, Repeatable, Text, given
from .reach import require_redis
from .target import celery_app
from .transcript import Transcript, transcript

Raw = Annotated[
    bool, typer.Option("--raw", help="Print the records' bytes as they are, not their text.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per event, one per line.")]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0.0, help="Seconds to wait for the end; the stream goes on after it."
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Print what arrives, or the id and end.")
]
Seconds = float | None


def stream(
    endpoint: Endpoint,
    *,
    data: Data = None,
    content_type: Text = None,
    accept: Text = None,
    custom_attributes: Text = None,
    target_variant: Text = None,
    target_container_hostname: Text = None,
    inference_id: Text = None,
    inference_component_name: Text = None,
    session_id: Text = None,
    prefix_aware_id: Text = None,
    framing: Annotated[
        str | None,
        typer.Option(help="How records are cut: raw, text, lines, jsonlines, json or sse."),
    ] = None,
    repeatable: Repeatable = False,
    restart_after_output: Annotated[
        bool,
        typer.Option("--restart-after-output", help="Begin again after a failure in the middle."),
    ] = False,
    first_part_timeout: Annotated[
        Seconds, typer.Option(metavar="SECONDS", help="Seconds from the call to the first part.")
    ] = None,
    idle_timeout: Annotated[
        Seconds, typer.Option(metavar="SECONDS", help="Seconds between two parts.")
    ] = None,
    total_timeout: Annotated[
        Seconds, typer.Option(metavar="SECONDS", help="Seconds from the call to the end.")
    ] = None,
    raw: Raw = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Stream an endpoint's response through a worker and print it as it arrives.

    Ctrl-C cancels the stream: its response is closed.
    """
    payload = inputs.read(data)
    members = given(
        content_type=inputs.content_type(payload, content_type),
        accept=accept,
        custom_attributes=custom_attributes,
        target_variant=target_variant,
        target_container_hostname=target_container_hostname,
        inference_id=inference_id,
        inference_component_name=inference_component_name,
        session_id=session_id,
        prefix_aware_id=prefix_aware_id,
        framing=framing,
        repeatable=repeatable or None,
        restart_after_output=restart_after_output or None,
        first_part_timeout=first_part_timeout,
        idle_timeout=idle_timeout,
        total_timeout=total_timeout,
    )
    with one_line_errors():
        if dry_run:
            sending.dry_run(streams.TASK, endpoint, payload, members, as_json=as_json)
            return
        sent = sending.send(streams.TASK, endpoint, payload, members)
        if not wait:
            sending.finish(sent, wait=False, timeout=timeout, as_json=as_json)
            return
        if as_json:
            console.print_json({"event": "sent", "id": sent.id})
        _follow_own(sent, timeout, transcript(EARLIEST, raw=raw, as_json=as_json))


def _follow_own(sent: Any, timeout: float, shown: Transcript) -> None:
    # Whether a worker begins it in time is for `timeout` to say, which comes first.
    reading = Reading(id=sent.id, cursor=EARLIEST, wait=timeout + 1.0, timeout=timeout)
    try:
        follow(deployment(sent.app), reading, shown)
    except KeyboardInterrupt:
        task: StreamTask = sent.app.tasks[streams.TASK]
        cancelled = task.cancel(sent.id)
        if cancelled:
            shown.failed(StreamCancelled("the stream was cancelled", shown.cursor))
        else:
            shown.close()
        how = "cancelled" if cancelled else "interrupted: the stream had ended"
        fail(Exit.INTERRUPTED, f"{how} (id {sent.id})")


def subscribe(
    stream_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of a stream, or schedule:NAME.")
    ],
    *,
    cursor: Annotated[
        str,
        typer.Option("--from", metavar="CURSOR", help="The last position seen, as 1-42."),
    ] = "earliest",
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.001, help="Seconds to wait for a stream that nobody has begun."
        ),
    ] = 30.0,
    raw: Raw = False,
    as_json: AsJson = False,
) -> None:
    """Follow a stream, from its beginning or from a cursor, and print what it brings.

    Ctrl-C leaves it, and says where to go on: the stream itself goes on.
    """
    begin = _begin(stream_id, cursor)
    shown = transcript(begin, raw=raw, as_json=as_json, stream_id=stream_id)
    reading = Reading(id=stream_id, cursor=begin, wait=wait)
    with one_line_errors():
        app, settings = celery_app()
        require_redis([settings.state_url])
        try:
            follow(deployment(app), reading, shown)
        except KeyboardInterrupt:
            shown.close()
            fail(Exit.INTERRUPTED, f"interrupted; {reading.resume(shown.cursor)}")


def _begin(stream_id: str, cursor: str) -> Cursor:
    if not STREAM.fullmatch(stream_id):
        fail(Exit.USAGE, f"{stream_id!r} cannot be a stream's id: it is not {STREAM.pattern}")
    try:
        return Cursor.parse(cursor)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
