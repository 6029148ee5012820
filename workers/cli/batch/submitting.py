"""`celery-sagemaker batch submit`."""

from typing import Annotated, Any

import typer

from .. import console
from ..exits import Exit, fail
from .reaching import AsJson, reached
from .watching import follow

Text = Annotated[str | None, typer.Option()]


def submit(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Name of the endpoint.")],
    *,
    input_: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            metavar="S3_URI|FILE",
            help="s3://bucket/key, s3://bucket/prefix/ or a local file, which is uploaded.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="S3_URI", help="By default under staging."),
    ] = None,
    mode: Annotated[str, typer.Option(help="auto, realtime or async.")] = "auto",
    s3_data_type: Annotated[
        str | None, typer.Option(help="S3Object, S3Prefix or ManifestFile.")
    ] = None,
    split_type: Annotated[str | None, typer.Option(help="Line or None.")] = None,
    batch_strategy: Annotated[
        str, typer.Option(help="SingleRecord or MultiRecord.")
    ] = "SingleRecord",
    max_payload_in_mb: Annotated[int, typer.Option(help="Of one invocation; up to 6.")] = 6,
    max_records: Annotated[int, typer.Option(help="Of one invocation, with MultiRecord.")] = 100,
    max_concurrent_transforms: Annotated[
        int | None, typer.Option(help="Calls in flight at once, over all workers.")
    ] = None,
    assemble_with: Annotated[str | None, typer.Option(help="Line or None.")] = None,
    join_source: Annotated[str, typer.Option(help="Input or None.")] = "None",
    input_filter: Annotated[str, typer.Option(help="JSONPath of what is sent.")] = "$",
    output_filter: Annotated[str, typer.Option(help="JSONPath of what is kept.")] = "$",
    content_type: Text = None,
    accept: Text = None,
    custom_attributes: Text = None,
    target_model: Text = None,
    target_variant: Text = None,
    inference_component_name: Text = None,
    repeatable: Annotated[
        bool, typer.Option("--repeatable", help="Repeat calls that may have run.")
    ] = False,
    client_token: Annotated[
        str | None, typer.Option(help="A second submit with it makes no second job.")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds until the job is given up.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, and submit nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a batch job and print its id."""
    members: dict[str, Any] = {
        "accept": accept,
        "custom_attributes": custom_attributes,
        "target_model": target_model,
        "target_variant": target_variant,
        "inference_component_name": inference_component_name,
    }
    with reached() as app:
        from ....tasks import batch  # noqa: PLC0415 - `--help` needs none of it

        job = batch.submit(
            endpoint,
            input=input_,
            output=output,
            mode=mode,
            s3_data_type=s3_data_type,
            split_type=split_type,
            batch_strategy=batch_strategy,
            max_payload_in_mb=max_payload_in_mb,
            max_records=max_records,
            max_concurrent_transforms=max_concurrent_transforms,
            assemble_with=assemble_with,
            join_source=join_source,
            input_filter=input_filter,
            output_filter=output_filter,
            content_type=content_type,
            repeatable=repeatable,
            client_token=client_token,
            expires_in=expires_in,
            metadata=_pairs(metadata or []),
            dry_run=dry_run,
            app=app,
            **{name: value for name, value in members.items() if value is not None},
        )
        if dry_run:
            return
        console.print_json({"id": job.id}) if as_json else typer.echo(job.id)
        if wait:
            follow(job, None)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if any(not separator for _, separator, _ in pairs):
        fail(Exit.USAGE, "--metadata is KEY=VALUE")
    return {key: value for key, _, value in pairs}
