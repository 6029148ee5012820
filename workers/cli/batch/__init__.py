"""`celery-sagemaker batch`: submit, follow and clean up batch jobs."""

import typer

from . import acting, reading, submitting, watching

app = typer.Typer(
    help="Batch jobs: records of a file through an endpoint that is running.", no_args_is_help=True
)
app.command("submit")(submitting.submit)
app.command("status")(reading.status)
app.command("watch")(watching.watch)
app.command("results")(reading.results)
app.command("errors")(reading.errors)
app.command("cancel")(acting.cancel)
app.command("retry-failed")(acting.retry_failed)
app.command("list")(reading.list_)
app.command("purge")(acting.purge)
