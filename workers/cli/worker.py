"""`celery-sagemaker worker`: our worker in this process."""

from typing import Annotated

import typer

from .exits import one_line_errors
from .reach import require_redis, require_s3
from .target import celery_app


def worker(
    *,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Calls at once; by default the setting's.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="Celery's pool; threads suit waiting calls.")
    ] = "threads",
    queues: Annotated[
        str | None, typer.Option(help="Comma-separated queues; by default all of sagemaker.*.")
    ] = None,
    hostname: Annotated[str | None, typer.Option(help="Node name, such as w1@%h.")] = None,
    loglevel: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run a worker until it is told to stop (Ctrl-C or SIGTERM)."""
    with one_line_errors():
        app, settings = celery_app()
        require_redis([settings.broker_url, settings.result_url, settings.state_url])
        require_s3(settings.staging)
        # Celery lets its own setting win over `--pool prefork`, the option's default there.
        app.conf.worker_pool = pool
        size = settings.concurrency if concurrency is None else concurrency
        app.worker_main(
            arguments(
                concurrency=size, pool=pool, queues=queues, hostname=hostname, loglevel=loglevel
            )
        )


def arguments(
    *,
    concurrency: int,
    pool: str = "threads",
    queues: str | None = None,
    hostname: str | None = None,
    loglevel: str = "info",
) -> list[str]:
    """The arguments of `celery ... worker`, its own name first.

    Without gossip and mingle: nothing of ours needs to know the other workers, and both cost
    messages and a second at start.
    """
    from ...config.queues import ALL  # noqa: PLC0415 - `--help` needs none of it

    made = ["worker", "--without-gossip", "--without-mingle", f"--loglevel={loglevel}"]
    made += [f"--pool={pool}", f"--concurrency={concurrency}"]
    made.append(f"--queues={queues or ','.join(ALL)}")
    return made if hostname is None else [*made, f"--hostname={hostname}"]
