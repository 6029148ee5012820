"""`celery-sagemaker local`: S3 and the endpoint emulator on fixed ports, for others to use."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from . import stack
from .exits import Exit, fail
from .up import LOOK_SECONDS, stop_signals


def local(
    *,
    behaviours: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="TOML of the emulated endpoints."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 takes calls from everywhere.")
    ] = "127.0.0.1",
    endpoint_port: Annotated[
        int, typer.Option(min=1, max=65_535, help="SageMaker Runtime's port.")
    ] = 8080,
    s3_port: Annotated[int, typer.Option(min=1, max=65_535, help="S3's port.")] = 9000,
) -> None:
    """Run the emulated endpoint and S3 alone, without Redis and worker, until Ctrl-C or SIGTERM.

    Ends with exit code 3 when one of the two does: whoever started it starts it again.
    """
    with ExitStack() as parts:
        stop = parts.enter_context(stop_signals())
        running = parts.enter_context(stack.emulating(behaviours, host, endpoint_port, s3_port))
        typer.echo(f"endpoint: {running.endpoint_url}")
        typer.echo(f"S3: {running.s3_url}, bucket {running.bucket}")
        while not stop.wait(LOOK_SECONDS):
            if ended := running.ended():
                fail(Exit.UNREACHABLE, f"ended by itself: {', '.join(ended)}")
