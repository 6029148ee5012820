"""`schedule add`: a schedule as options, in the terms of the settings file."""

import json
from typing import Annotated, Any

import typer

from .. import console, inputs
from ..exits import Exit, fail
from ..options import AsJson, Data, Text, given
from . import showing
from .reaching import Name, reached

#: Groups of options in `--help`.
WHEN, WHAT, TROUBLE = "When", "What", "When something goes wrong"

Degrees = float | None


def add(
    name: Name,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Name of the endpoint.")],
    *,
    cron: Annotated[
        str | None,
        typer.Option(
            metavar='"M H D M W"',
            help="Minute, hour, day of the month, month, day of the week.",
            rich_help_panel=WHEN,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, metavar="SECONDS", help="Between two runs.", rich_help_panel=WHEN),
    ] = None,
    solar: Annotated[
        str | None,
        typer.Option(metavar="EVENT", help="sunrise, sunset, ...", rich_help_panel=WHEN),
    ] = None,
    latitude: Annotated[Degrees, typer.Option(help="Of --solar.", rich_help_panel=WHEN)] = None,
    longitude: Annotated[Degrees, typer.Option(help="Of --solar.", rich_help_panel=WHEN)] = None,
    timezone: Annotated[
        str, typer.Option(help="Of --cron, such as Europe/Berlin.", rich_help_panel=WHEN)
    ] = "UTC",
    until: Annotated[
        str | None,
        typer.Option(metavar="ISO8601", help="No run is due after it.", rich_help_panel=WHEN),
    ] = None,
    jitter: Annotated[
        int,
        typer.Option(
            min=0, metavar="SECONDS", help="A run may begin later by as much.", rich_help_panel=WHEN
        ),
    ] = 0,
    run: Annotated[
        str,
        typer.Option(help="invoke, invoke_async, stream or batch.", rich_help_panel=WHAT),
    ] = "invoke",
    data: Data = None,
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="S3_URI",
            help="A batch job's records, or the payload of invoke_async.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="S3_URI", help="Of a batch job.", rich_help_panel=WHAT
        ),
    ] = None,
    content_type: Text = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Further arguments, as split_type=Line; may be repeated.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    prewarm: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="So long before a run, --prewarm-data is sent.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    prewarm_data: Annotated[
        str | None,
        typer.Option(metavar="TEXT|@FILE|-", help="Payload of --prewarm.", rich_help_panel=WHAT),
    ] = None,
    overlap: Annotated[
        str,
        typer.Option(
            help="skip, queue or replace: while the run before goes on.", rich_help_panel=TROUBLE
        ),
    ] = "skip",
    misfire: Annotated[
        str,
        typer.Option(help="once or skip: runs that were missed.", rich_help_panel=TROUBLE),
    ] = "once",
    misfire_grace: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Later, a run is missed.", rich_help_panel=TROUBLE
        ),
    ] = None,
    disabled: Annotated[
        bool, typer.Option("--disabled", help="It runs only by `run-now`.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Change one that exists.")] = False,
    check: Annotated[bool, typer.Option(help="Ask SageMaker whether the endpoint exists.")] = True,
    as_json: AsJson = False,
) -> None:
    """Add a schedule and print when it is due.

    Texts may have {date}, {time}, {due} and {run} in them: of the run's due time, in the
    schedule's time zone.
    """
    members = given(
        cron=cron,
        every=every,
        solar=solar,
        latitude=latitude,
        longitude=longitude,
        until=until,
        payload=_payload(data),
        input=input_,
        output=output,
        prewarm=prewarm,
        prewarm_payload=_payload(prewarm_data),
        misfire_grace=misfire_grace,
        enabled=False if disabled else None,
        options=given(content_type=content_type, **_pairs(option or [])) or None,
    )
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        added = schedules.add(
            name,
            endpoint=endpoint,
            timezone=timezone,
            run=run,
            jitter=jitter,
            overlap=overlap,
            misfire=misfire,
            replace=replace,
            check=check,
            app=app,
            **members,
        )
    console.print_json(added.to_json()) if as_json else typer.echo(showing.line(added))


def _payload(data: str | None) -> Any:
    """Return what a schedule keeps of a payload: JSON objects and arrays as such, other as text."""
    payload = inputs.read(data)
    if isinstance(payload, bytes):
        fail(Exit.USAGE, "a schedule keeps text: put other payloads on S3, and use invoke_async -i")
    if inputs.content_type(payload, None) is None or not isinstance(payload, str):
        return payload
    return json.loads(payload)


def _pairs(options: list[str]) -> dict[str, Any]:
    pairs = [pair.partition("=") for pair in options]
    if any(not separator for _, separator, _ in pairs):
        fail(Exit.USAGE, "--option is KEY=VALUE")
    return {key: _value(text) for key, _, text in pairs}


def _value(text: str) -> Any:
    """Return an option's value: JSON where it is, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
