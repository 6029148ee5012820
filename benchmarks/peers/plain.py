"""One plain Celery task for each record, which calls boto3."""

import line
from celery.result import ResultSet
from plain_tasks import app, call


def turn(count: int, endpoint: str) -> None:
    """Send a task for each record, and read the results."""
    records = line.read(count)
    sent = ResultSet([call.delay(endpoint, record["body"]) for record in records])
    bodies = sent.join_native(timeout=line.PATIENCE)
    ids = [record["custom_id"] for record in records]
    line.write(count, zip(ids, (body.encode() for body in bodies), strict=True))


with line.worker("celery", "-A", "plain_tasks", "worker", "--loglevel", "WARNING"):
    line.until(lambda: bool(app.control.ping(limit=1)), "the worker's start")
    line.serve(turn)
