"""One dramatiq message for each record, whose actor calls boto3."""

import line
from dramatiq import group
from dramatiq_tasks import SLOTS, call


def turn(count: int, endpoint: str) -> None:
    """Send a message for each record, and read the results."""
    records = line.read(count)
    sent = group([call.message(endpoint, record["body"]) for record in records]).run()
    bodies = sent.get_results(block=True, timeout=int(line.PATIENCE * 1000))
    ids = [record["custom_id"] for record in records]
    line.write(count, zip(ids, (body.encode() for body in bodies), strict=True))


with line.worker("dramatiq", "dramatiq_tasks", "--processes", "1", "--threads", str(SLOTS)):
    call.send("single-0", {}).get_result(block=True, timeout=int(line.PATIENCE * 1000))
    line.serve(turn)
