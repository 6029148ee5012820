"""How long it takes to begin: imports, the command line, a worker's boot."""

from frame import PeerError, Result, Spread, Table, Variant, alternate
from loopback import bench

NOTHING, BOTO, CELERY = "python", "import boto3, with a client", "import celery"
TASKS, COMMAND = "import celery_sagemaker.tasks", "celery-sagemaker --help"
CELERY_COMMAND = "celery --help"
PLAIN_WORKER, WORKER = "boot of a plain worker", "boot of our worker"

#: In the order of the table, each with what our figure is compared to.
BEGINNINGS = {
    NOTHING: "nothing",
    CELERY: "celery",
    BOTO: "boto",
    TASKS: "tasks",
    CELERY_COMMAND: "celery_help",
    COMMAND: "help",
    PLAIN_WORKER: "plain_worker",
    WORKER: "worker",
}

COLUMNS = ("seconds", "CPU seconds")


def run(rounds: int, seconds: float, *, long: bool) -> Result:  # noqa: ARG001 - as all groups
    """Measure."""
    result = Result("Start-up")
    with bench() as on:
        peer = on.peer("starter", "starter.py")
        try:
            peer.started()
        except PeerError as error:
            result.notes.append(str(error))
            return result
        made = {
            name: Variant(peer, {"what": what}, 1, warm=None) for name, what in BEGINNINGS.items()
        }
        samples = alternate(made, rounds, seconds, result.notes)
    rows = {}
    for name, found in samples.items():
        wall, spent = Spread.of([s.wall for s in found]), Spread.of([s.cpu for s in found])
        rows[name] = {"seconds": wall, "CPU seconds": spent}
    result.tables.append(Table("From the start of a process", COLUMNS, rows))
    return result
