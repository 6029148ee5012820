"""The typer application: one command per module."""

import typer

from . import (
    batch,
    beat,
    configuration,
    demo,
    doctor,
    iam,
    invoking,
    limits,
    local,
    schedule,
    sse,
    state,
    streaming,
    up,
    worker,
)

app = typer.Typer(
    name="celery-sagemaker",
    help="Amazon SageMaker inference as Celery tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("local")(local.local)
app.command("sse")(sse.sse)
app.command("worker")(worker.worker)
app.command("beat")(beat.beat)
app.command("invoke")(invoking.invoke)
app.command("invoke-async")(invoking.invoke_async)
app.command("stream")(streaming.stream)
app.command("subscribe")(streaming.subscribe)
app.command("status")(state.status)
app.command("limits")(limits.limits)
app.command("iam-policy")(iam.iam_policy)
app.command("doctor")(doctor.doctor)
app.command("config")(configuration.config)
app.add_typer(batch.app, name="batch")
app.add_typer(schedule.app, name="schedule")
