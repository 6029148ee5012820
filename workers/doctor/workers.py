"""Workers: alive, of one version, of one mind about the settings they share."""

from collections.abc import Iterator

from ...config import Settings
from ..inspection import versions
from . import clocks
from .findings import Check, Finding, duration
from .fleet import Fleet, Worker, probe
from .target import Target

ASKED = Check(
    "workers.asked",
    "Whether workers are alive, and of one version, is not known.",
    "See what is said of queues.reachable.",
    "broker_url",
)
ALIVE = Check(
    "workers.alive",
    "What is accepted waits; nothing is polled, and nothing lost is found again.",
    "Start a worker: celery-sagemaker worker. If one runs, does it have this broker?",
)
NAMES = Check(
    "workers.names",
    "Two workers of one name: revocations and inspections reach either, never surely both.",
    "Give each a name: --hostname w1@%h.",
)
KNOWN = Check(
    "workers.known",
    "It takes messages of ours and may not know the tasks: those are buried as dead letters.",
    "Upgrade it, call install(app) in its app, or take the sagemaker.* queues from it.",
)
VERSIONS = Check(
    "workers.versions",
    "Workers read what others write: a newer message may mean nothing to an older worker.",
    "Finish the rollout: one image for callers, workers and beat.",
)
PREFIX = Check(
    "workers.prefix",
    "It keeps a ledger of its own: a request may run twice, and status ID does not find it.",
    "Give all processes of a deployment one prefix and one state_url.",
    "prefix",
)
CLOCK = Check(
    "workers.clock",
    "Visibility, countdowns and signatures go by the worker's clock: messages are delivered "
    "twice, calls refused.",
    "Let its host keep time by NTP (chronyc tracking).",
)
CONNECTIONS = Check(
    "workers.connections",
    "Calls wait for a connection, or make one each: slower than fewer threads would be.",
    "Start the worker with --concurrency of the setting, or raise the setting.",
    "concurrency",
)
POOL = Check(
    "workers.pool",
    "Workers with gevent or eventlet never look for a dead worker's messages (celery#4968).",
    "Let at least one worker have threads or prefork.",
)
VISIBILITY = Check(
    "workers.visibility",
    "A message whose task runs longer is delivered again: the ledger drops ours, at a cost; "
    "other tasks run twice.",
    "Raise visibility_timeout in every app on the broker over the longest task, limit the tasks "
    "(streams.total_timeout, task_time_limit), or let these workers have the heartbeat "
    "(install(app), and a kombu it knows).",
    "visibility_timeout",
)

#: Part of the names of pools that run on greenlets.
GREEN = ("gevent", "eventlet")

#: Distributions of which two versions do not understand each other for sure.
OURS = "celery-sagemaker"


def examine(target: Target) -> list[Finding]:
    """Ask all workers on the broker."""
    fleet = probe(target)
    return list(judge(fleet, target.settings, versions(), visible=target.redis_broker))


def judge(
    fleet: Fleet, settings: Settings, here: dict[str, str], *, visible: bool
) -> Iterator[Finding]:
    """Judge the workers.

    Args:
        fleet: who answered.
        settings: those of this machine.
        here: the versions in this process.
        visible: whether the broker has a visibility timeout.
    """
    if fleet.away is not None:
        yield ASKED.fault("workers", f"the broker does not answer: {fleet.away}")
        return
    number = len(fleet.workers)
    yield ALIVE.holds(number, "workers", _names(fleet.workers) or "none answers")
    if not number:
        return
    twice = ", ".join(fleet.twice)
    yield NAMES.should(not twice, "workers", twice or "each has a name of its own")
    for worker in fleet.workers:
        yield from _one(worker, settings, here)
    if visible:
        yield from _visibility(fleet.workers)


def _names(workers: tuple[Worker, ...]) -> str:
    return ", ".join(worker.name for worker in workers)


def _one(worker: Worker, settings: Settings, here: dict[str, str]) -> Iterator[Finding]:
    on, report = f"worker {worker.name}", worker.report
    if report is None:
        ours = [queue for queue in worker.queues if queue.startswith("sagemaker.")]
        if ours:
            yield KNOWN.fault(on, f"consumes {', '.join(ours)}, has no sagemaker_report")
        return
    yield _versions(on, report["versions"], here)
    prefix = report["prefix"]
    yield PREFIX.holds(prefix == settings.prefix, on, f"prefix {prefix}")
    yield clocks.judge(
        CLOCK, on, worker.skew, uncertain=worker.uncertain,
        broken=min(clocks.BROKEN, worker.visibility_timeout / 2),
    )  # fmt: skip
    connections = int(report["connections"])
    if worker.slots is not None and "thread" in worker.pool:
        seen = f"{worker.slots} threads, {connections} connections"
        yield CONNECTIONS.should(worker.slots <= connections, on, seen)


def _versions(on: str, theirs: dict[str, str], here: dict[str, str]) -> Finding:
    others = {name: version for name, version in theirs.items() if _other(name, version, here)}
    if not others:
        return VERSIONS.ok(on, f"{OURS} {theirs.get(OURS)}, the rest as here")
    seen = ", ".join(f"{name} {version}, here {here.get(name)}" for name, version in others.items())
    return VERSIONS.fault(on, seen) if OURS in others else VERSIONS.warning(on, seen)


def _other(name: str, version: str, here: dict[str, str]) -> bool:
    known = here.get(name, "")
    if name == "python":
        return version.split(".")[:2] != known.split(".")[:2]
    return version != known


def _visibility(workers: tuple[Worker, ...]) -> Iterator[Finding]:
    green = all(any(word in worker.pool for word in GREEN) for worker in workers)
    seen = "all run on greenlets" if green else "a dead one's messages are looked for"
    yield POOL.should(not green, "workers", seen)
    shortest = min(workers, key=lambda worker: worker.visibility_timeout)
    seconds = shortest.visibility_timeout
    said = f"the shortest timeout is {duration(seconds)} ({shortest.name})"
    for worker in workers:
        on, longest = f"worker {worker.name}", worker.longest_task
        if worker.renewing:
            yield VISIBILITY.ok(on, f"renews its messages; {said}")
        elif longest is None:
            bad = VISIBILITY.fault if worker.report else VISIBILITY.warning
            yield bad(on, f"its tasks have no limit, and are not renewed; {said}")
        else:
            seen = f"its longest task takes {duration(longest)}, not renewed; {said}"
            yield VISIBILITY.holds(longest < seconds, on, seen)
