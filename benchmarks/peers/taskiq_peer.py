"""One taskiq task for each record, which calls boto3 in the worker's threads."""

import asyncio

import line
from taskiq_tasks import SLOTS, broker, call


async def begin() -> None:
    """Wait until the worker has done a task."""
    await broker.startup()
    sent = await call.kiq("single-0", {})
    await sent.wait_result(timeout=line.PATIENCE)


async def one(count: int, endpoint: str) -> None:
    """Send a task for each record, and read the results."""
    records = line.read(count)
    sent = [await call.kiq(endpoint, record["body"]) for record in records]
    done = [await task.wait_result(check_interval=0.02, timeout=line.PATIENCE) for task in sent]
    for result in done:
        result.raise_for_error()
    ids = [record["custom_id"] for record in records]
    line.write(count, zip(ids, (result.return_value.encode() for result in done), strict=True))


threads = ["--max-threadpool-threads", str(SLOTS), "--max-async-tasks", str(SLOTS)]
command = ["taskiq", "worker", "taskiq_tasks:broker", "--workers", "1", *threads]
with asyncio.Runner() as runner, line.worker(*command):
    runner.run(begin())
    line.serve(lambda **what: runner.run(one(**what)))
    runner.run(broker.shutdown())
