"""Arguments and options that several commands have."""

from typing import Annotated, Any

import typer

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Name of the endpoint.")]
Data = Annotated[
    str | None,
    typer.Option("--data", "-d", metavar="TEXT|@FILE|-", help="The payload; - reads stdin."),
]
Text = Annotated[str | None, typer.Option()]
Number = Annotated[int | None, typer.Option()]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the exact HTTP request and send nothing.")
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait for the answer, or print the id and end.")
]
Timeout = Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on one line.")]
Repeatable = Annotated[
    bool, typer.Option("--repeatable", help="Repeat it even where the model may have run.")
]


def given(**members: Any) -> dict[str, Any]:
    """Return the members that were given on the command line."""
    return {name: value for name, value in members.items() if value is not None}
