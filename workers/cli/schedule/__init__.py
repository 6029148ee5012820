"""`celery-sagemaker schedule`: what runs again and again."""

import typer

from . import acting, adding, reading

app = typer.Typer(
    help="Schedules: invoke, invoke-async, stream and batch jobs, again and again.",
    no_args_is_help=True,
)
app.command("add")(adding.add)
app.command("list")(reading.list_)
app.command("show")(reading.show)
app.command("pause")(acting.pause)
app.command("resume")(acting.resume)
app.command("run-now")(acting.run_now)
app.command("remove")(acting.remove)
app.command("runs")(reading.runs)
