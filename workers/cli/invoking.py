"""`celery-sagemaker invoke` and `invoke-async`: one inference from the shell."""

from typing import Annotated

import typer

from . import inputs, sending
from .exits import Exit, fail, one_line_errors
from .options import (
    AsJson,
    Data,
    DryRun,
    Endpoint,
    Number,
    Repeatable,
    Text,
    Timeout,
    Wait,
    given,
)


def invoke(
    endpoint: Endpoint,
    *,
    data: Data = None,
    content_type: Text = None,
    accept: Text = None,
    custom_attributes: Text = None,
    target_model: Text = None,
    target_variant: Text = None,
    target_container_hostname: Text = None,
    inference_id: Text = None,
    enable_explanations: Text = None,
    inference_component_name: Text = None,
    session_id: Text = None,
    prefix_aware_id: Text = None,
    repeatable: Repeatable = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Invoke a real-time endpoint through a worker and print the answer's body."""
    payload = inputs.read(data)
    members = given(
        content_type=inputs.content_type(payload, content_type),
        accept=accept,
        custom_attributes=custom_attributes,
        target_model=target_model,
        target_variant=target_variant,
        target_container_hostname=target_container_hostname,
        inference_id=inference_id,
        enable_explanations=enable_explanations,
        inference_component_name=inference_component_name,
        session_id=session_id,
        prefix_aware_id=prefix_aware_id,
    )
    members |= given(repeatable=repeatable or None)
    with one_line_errors():
        if dry_run:
            sending.dry_run("sagemaker.invoke", endpoint, payload, members, as_json=as_json)
            return
        sent = sending.send("sagemaker.invoke", endpoint, payload, members)
        sending.finish(sent, wait=wait, timeout=timeout, as_json=as_json)


def invoke_async(
    endpoint: Endpoint,
    *,
    data: Data = None,
    input_location: Annotated[
        str | None, typer.Option(metavar="S3_URI", help="The payload's place in S3, not -d.")
    ] = None,
    content_type: Text = None,
    accept: Text = None,
    custom_attributes: Text = None,
    inference_id: Text = None,
    s3_output_path_extension: Text = None,
    filename: Text = None,
    request_ttl_seconds: Number = None,
    invocation_timeout_seconds: Number = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Submit to an asynchronous endpoint through a worker and print the output's body."""
    if (data is None) == (input_location is None):
        fail(Exit.USAGE, "give the payload with -d or its place with --input-location, one of them")
    payload = inputs.read(data)
    members = given(
        input_location=input_location,
        content_type=inputs.content_type(payload, content_type),
        accept=accept,
        custom_attributes=custom_attributes,
        inference_id=inference_id,
        s3_output_path_extension=s3_output_path_extension,
        filename=filename,
        request_ttl_seconds=request_ttl_seconds,
        invocation_timeout_seconds=invocation_timeout_seconds,
    )
    with one_line_errors():
        if dry_run:
            sending.dry_run("sagemaker.invoke_async", endpoint, payload, members, as_json=as_json)
            return
        sent = sending.send("sagemaker.invoke_async", endpoint, payload, members)
        sending.finish(sent, wait=wait, timeout=timeout, as_json=as_json)
