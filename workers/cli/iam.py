"""`celery-sagemaker iam-policy`: the least that each process has to be allowed on AWS."""

import json
from typing import Annotated

import typer

from ...config import Settings
from ..iam import ACCOUNT, REGION, Role, Scope, policy
from .exits import one_line_errors

Names = list[str] | None


def iam_policy(
    *,
    role: Annotated[
        Role | None, typer.Option(help="One policy document; by default all, by role.")
    ] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="The AWS account.")] = None,
    region: Annotated[str | None, typer.Option(help="By default the settings' region.")] = None,
    endpoint: Annotated[
        Names, typer.Option(metavar="NAME", help="A further real-time endpoint; may be repeated.")
    ] = None,
    async_endpoint: Annotated[
        Names, typer.Option(metavar="NAME", help="A further asynchronous one; may be repeated.")
    ] = None,
    output: Annotated[
        Names,
        typer.Option(
            metavar="S3_URI",
            help="Where asynchronous endpoints write outputs or failures; may be repeated.",
        ),
    ] = None,
    batch_input: Annotated[
        Names,
        typer.Option(
            metavar="S3_URI", help="s3://bucket/key, or s3://bucket/prefix/; may be repeated."
        ),
    ] = None,
    batch_output: Annotated[
        Names, typer.Option(metavar="S3_URI", help="Of batch jobs; may be repeated.")
    ] = None,
    purge: Annotated[bool, typer.Option("--purge", help="Let producers purge batch jobs.")] = False,
) -> None:
    """Print the least IAM policies for producer, worker, beat and doctor, from the settings."""
    with one_line_errors():
        settings = Settings.load()
        scope = Scope(
            account=account or ACCOUNT,
            region=region or settings.region or REGION,
            endpoints=tuple(endpoint or ()),
            async_endpoints=tuple(async_endpoint or ()),
            outputs=tuple(output or ()),
            batch_inputs=tuple(batch_input or ()),
            batch_outputs=tuple(batch_output or ()),
            purge=purge,
        )
        found = {one.value: policy(one, settings, scope) for one in ([role] if role else Role)}
    _note_placeholders(scope)
    typer.echo(json.dumps(found[role] if role else found, indent=2))


def _note_placeholders(scope: Scope) -> None:
    given = ((scope.account, ACCOUNT, "--account"), (scope.region, REGION, "--region"))
    missing = [f"{name} ({option})" for value, name, option in given if value == name]
    if missing:
        typer.echo(f"to be filled in: {' and '.join(missing)}", err=True)
