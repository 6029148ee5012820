"""Records through an endpoint: a batch job against what a user would pick instead."""

import json
import random
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import environments
from frame import LEAST, Peer, PeerError, Result, Sample, Spread, Table, Target, Variant, alternate
from frame import per_record as figures
from loopback import LATENCIES, PER_INVOCATION, Bench, bench

#: Numbers in a record: with id and envelope it has about 300 bytes.
FEATURES = 36

#: Records of a batch job's shortest turn; more fit in a job that packs them.
JOB, PACKED = 2_000, 4_000

#: How much longer a batch job's turns are: it has costs of its own, and is made for millions.
LONGER = 3.0

#: Where the model takes most of the time, a turn has so many calls of each slot, or thread; and a
#: job has two of its chunks, which it cuts for five seconds each: one worker runs two at once.
WAVES, TWO_CHUNKS = 3, 1_500

BATCH, MULTI = "batch job", f"batch job, MultiRecord of {PER_INVOCATION}"
INVOKE, PLAIN, POOL = "invoke for each record", "Celery task for each record", "boto3, 8 threads"
FLOOR, WIDE, AIO = "wrk, signed beforehand", "boto3, 64 threads", "aiobotocore, 64 in flight"
SDK = "SageMaker SDK's Predictor, 8 threads"
DRAMATIQ, TASKIQ = "dramatiq message for each record", "taskiq task for each record"


@dataclass(frozen=True, slots=True)
class Script:
    """How a peer is started."""

    name: str
    arguments: tuple[str, ...] = ()
    slots: int = 64
    """Calls that it has in flight."""
    environment: str | None = None
    """Its interpreter, if it is not ours."""


PEERS = {
    FLOOR: Script("floor.py"),
    POOL: Script("pool.py", ("8",), 8),
    WIDE: Script("pool.py", ("64",)),
    AIO: Script("aio.py", ("64",), environment="aio"),
    SDK: Script("sdk.py", ("8",), 8, "sdk"),
    PLAIN: Script("plain.py"),
    DRAMATIQ: Script("dramatiq_peer.py", environment="queues"),
    TASKIQ: Script("taskiq_peer.py", environment="queues"),
}

#: How many times cheaper a record has to be than that of others.
TARGETS = ((POOL, 4.0), (PLAIN, 6.0))
WHY = (
    "what a job costs once, its plan, its manifest and its end, is spread over the few records of"
    " so short a turn; in a longer one (`--long`) it is less of each"
)


def records(count: int) -> Iterable[bytes]:
    """Yield lines of about 300 bytes."""
    numbers = random.Random(0)
    features = [[round(numbers.gauss(0, 1), 3) for _ in range(FEATURES)] for _ in range(100)]
    for n in range(count):
        body = {"features": features[n % len(features)], "model": "iris"}
        yield json.dumps({"custom_id": f"record-{n:07d}", "body": body}).encode() + b"\n"


class Staged:
    """The inputs in S3, each written once."""

    def __init__(self, on: Bench) -> None:
        self._on = on
        self._there: set[int] = set()

    def __call__(self, count: int) -> None:
        """Write an input of so many records."""
        if count not in self._there:
            self._on.put(f"in/{count}.jsonl", b"".join(records(count)))
            self._there.add(count)


def start(on: Bench, notes: list[str]) -> dict[str, Peer]:
    """Start all peers that there are; those that are missing are notes."""
    peers: dict[str, Peer] = {}
    for name, script in PEERS.items():
        if name == FLOOR and shutil.which("wrk") is None:
            notes.append(f"{name} is left out: wrk is not on PATH")
            continue
        try:
            python = environments.python(script.environment) if script.environment else None
            peers[name] = on.peer(name, script.name, *script.arguments, python=python)
        except environments.NotInstalledError as error:
            notes.append(f"{name} is left out: {error}")
    peers[BATCH] = on.peer(BATCH, "ours.py")
    for name, peer in list(peers.items()):
        try:
            peer.started()
        except PeerError as error:
            notes.append(f"{name} is left out: {error}")
            del peers[name]
    return peers


def variants(peers: dict[str, Peer], ms: int, staged: Staged, *, long: bool) -> dict[str, Variant]:
    """Return all variants at one latency; the floor has none, as it does nothing but wait then."""
    single, waits = f"single-{ms}", ms == max(LATENCIES) and not long
    made = {
        name: Variant(
            peers[name],
            {"endpoint": single},
            script.slots * WAVES if waits else None,
            script.slots if waits else LEAST,
            prepare=staged,
        )
        for name, script in PEERS.items()
        if name in peers and (name != FLOOR or not ms)
    }
    if BATCH not in peers:
        return made
    ours, job = peers[BATCH], {"how": "job", "endpoint": single}
    multi: dict[str, object] = {
        "how": "job",
        "endpoint": f"multi-{ms}",
        "batch_strategy": "MultiRecord",
    }
    multi |= {"max_records": PER_INVOCATION}
    made[INVOKE] = Variant(
        ours, {"how": "tasks", "endpoint": single}, LEAST * WAVES if waits else None, prepare=staged
    )
    made[BATCH] = (
        Variant(ours, job, TWO_CHUNKS, prepare=staged)
        if waits
        else Variant(ours, job, least=JOB, longer=LONGER, prepare=staged)
    )
    made[MULTI] = Variant(ours, multi, least=PACKED, longer=LONGER, prepare=staged)
    return made


def table(title: str, samples: dict[str, list[Sample]]) -> Table:
    """Return the figures of one latency, the cheapest last."""
    rows = {name: figures(found) for name, found in samples.items()}
    if BATCH in rows:
        ours = rows[BATCH]["CPU µs"]
        for row in rows.values():
            row["times the batch job's CPU"] = Spread.ratio(row["CPU µs"], ours)
            row["times the batch job's rate"] = Spread.ratio(
                row["per second"], rows[BATCH]["per second"]
            )
    columns = tuple(next(iter(rows.values())))
    order = sorted(rows, key=lambda name: -rows[name]["CPU µs"].median)
    return Table(title, columns, {name: rows[name] for name in order})


def run(rounds: int, seconds: float, *, long: bool) -> Result:
    """Measure."""
    result = Result("Records through a real-time endpoint")
    with bench() as on:
        result.notes.append(f"The endpoint is {on.endpoint_is}.")
        peers, staged = start(on, result.notes), Staged(on)
        for ms in LATENCIES:
            made = variants(peers, ms, staged, long=long)
            samples = alternate(made, rounds, seconds, result.notes)
            result.tables.append(table(f"Records, endpoint of {ms} ms", samples))
    cheapest = result.tables[0].rows
    for peer, wanted in TARGETS:
        with suppress(KeyError):
            got = Spread.ratio(cheapest[peer]["CPU µs"], cheapest[BATCH]["CPU µs"])
            result.targets.append(Target(f"CPU of {peer} / {BATCH}, 0 ms", wanted, got, WHY))
    return result
