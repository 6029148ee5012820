"""Whether time and memory grow with the work, or faster; the exponent is fitted on log-log axes."""

import itertools
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence

import redis
from frame import Peer, Result, Spread, Table, Target, Variant
from loopback import PER_INVOCATION, UNKNOWN, Bench, bench
from realtime import Staged

#: Records of a batch job, workers of one, and pending asynchronous inferences; and with --long.
RECORDS, LONG_RECORDS = (1_000, 10_000, 50_000), (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 2, 4, 8)
PENDING, LONG_PENDING = (100, 300), (100, 1_000, 10_000, 100_000)

#: Records of a chunk and for each worker, at 200 ms: two chunks, as many as one runs at once.
CHUNK = 200
SHARE = 2 * CHUNK

#: The fleets' databases in Redis: this, and as many more as workers.
DATABASE = 20

#: What is still linear: an exponent of at most this.
LINEAR = 1.1
WHY = "the largest job shared the machine with something else, or what it keeps is no longer small"

#: Seconds for a turn, and with --long.
PATIENCE, LONG_PATIENCE = 60.0, 3_600.0

Measured = dict[int, dict[str, Spread]]


class Server:
    """What Redis says of itself."""

    def __init__(self, on: Bench) -> None:
        self._client = redis.Redis(port=on.redis.port)

    def commands(self) -> float:
        """Return how many commands it has done."""
        return float(self._client.info("stats")["total_commands_processed"])

    def used(self) -> float:
        """Return the bytes in use."""
        return float(self._client.info("memory")["used_memory"])


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Fit `value = a * size ** exponent`."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    return statistics.linear_regression(xs, ys).slope


def fitted(measured: Measured, name: str) -> Spread:
    """Return the exponent of a figure, round by round."""
    sizes = sorted(measured)
    rounds = zip(*(measured[size][name].rounds for size in sizes), strict=True)
    return Spread.of([exponent(sizes, values) for values in rounds])


def table(title: str, measured: Measured) -> Table:
    """Return the figures by size."""
    columns = tuple(next(iter(measured.values())))
    return Table(title, columns, {f"{size:,}": row for size, row in measured.items()})


def each(sizes: Sequence[int], rounds: int, turn: Callable[[int], Mapping[str, float]]) -> Measured:
    """Measure all sizes, in rounds."""
    found: dict[int, list[Mapping[str, float]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            found[size].append(turn(size))
    return {
        size: {name: Spread.of([one[name] for one in many]) for name in many[0]}
        for size, many in found.items()
    }


def records(on: Bench, rounds: int, sizes: Sequence[int], patience: float) -> Measured:
    """Grow a batch job."""
    peer, server, staged = on.peer("growing job", "ours.py"), Server(on), Staged(on)
    peer.started()
    options = {"how": "job", "endpoint": "multi-0", "batch_strategy": "MultiRecord"}
    variant = Variant(
        peer, {**options, "max_records": PER_INVOCATION}, patience=patience, prepare=staged
    )
    variant.turn(sizes[0])

    def turn(size: int) -> dict[str, float]:
        commands, used = server.commands(), server.used()
        sample = variant.turn(size)
        return {
            "seconds": sample.wall,
            "CPU µs a record": sample.cpu / size * 1e6,
            "worker MB": peer.memory(),
            "Redis commands a record": (server.commands() - commands) / size,
            "Redis KB left": (server.used() - used) / 1e3,
        }

    measured = each(sizes, rounds, turn)
    peer.stop()
    return measured


def fleets(on: Bench, sizes: Sequence[int]) -> dict[int, Peer]:
    """Start fleets side by side, each with a database of its own, so that they can take turns."""
    started = {
        number: on.peer(
            f"{number} workers",
            "ours.py",
            str(number),
            CELERY_SAGEMAKER_BROKER_URL=f"{on.environment['BENCH_REDIS']}/{DATABASE + number}",
            CELERY_SAGEMAKER_BATCH__CHUNK_RECORDS=str(CHUNK),
        )
        for number in sizes
    }
    for peer in started.values():
        peer.started()
    return started


def workers(on: Bench, rounds: int) -> Measured:
    """Grow the fleet, and the job with it.

    Each turn has an endpoint that is new to the fleets: of one that they know they cut chunks of
    five seconds, and a job as short as these would not have one for each worker.
    """
    sizes = WORKERS if rounds > 1 else WORKERS[:2]  # their start is longer than a quick round
    started, staged, unknown = fleets(on, sizes), Staged(on), itertools.count()

    def turn(number: int) -> dict[str, float]:
        options = {"how": "job", "endpoint": f"{UNKNOWN}{next(unknown)}"}
        sample = Variant(started[number], options, prepare=staged).turn(SHARE * number)
        return {"records per second": sample.count / sample.wall}

    for number in started:
        turn(number)
    measured = each(list(started), rounds, turn)
    for peer in started.values():
        peer.stop()
    return measured


def pending(on: Bench, rounds: int, sizes: Sequence[int], takes: int, patience: float) -> Measured:
    """Grow what is pending."""
    peer = on.peer("growing pending", "later.py", "ours")
    peer.started()
    on.put("input.json", b"{}")
    server = Server(on)
    variant = Variant(peer, {"endpoint": f"later-{takes}"}, patience=patience)
    variant.turn(sizes[0])

    def turn(size: int) -> dict[str, float]:
        commands = server.commands()
        sample = variant.turn(size)
        return {
            "seconds": sample.wall,
            "seconds beyond the model's": max(sample.wall - takes, 0.001),
            "Redis commands each": (server.commands() - commands) / size,
            "Redis KB each": sample.answer["redis KB"],
            "LIST and HEAD each": sample.answer["looks"],
            "worker MB": sample.answer["worker MB"],
            "CPU ms each": sample.cpu / size * 1e3,
        }

    measured = each(sizes, rounds, turn)
    peer.stop()
    return measured


def run(rounds: int, seconds: float, *, long: bool) -> Result:  # noqa: ARG001 - as all groups
    """Measure."""
    result = Result("Growth")
    result.notes.append(f"Workers share {os.cpu_count()} cores with everything else here.")
    patience = LONG_PATIENCE if long else PATIENCE
    with bench() as on:
        grown = records(on, rounds, LONG_RECORDS if long else RECORDS, patience)
        result.tables.append(table("Records of a batch job, MultiRecord of 100", grown))
        larger = {size: row for size, row in grown.items() if size > min(grown)}
        for title, of in (("all sizes", grown), ("without the smallest", larger)):
            got = fitted(of, "seconds")
            what = f"exponent of a batch job's seconds, {title}"
            result.targets.append(Target(what, LINEAR, got, WHY, most=True))
        fleet = workers(on, rounds)
        result.tables.append(table("Workers of a batch job, endpoint of 200 ms", fleet))
    with bench(late=True) as on:
        waiting = pending(on, rounds, LONG_PENDING if long else PENDING, 2, patience)
        result.tables.append(table("Pending asynchronous inferences, 2 s each", waiting))
    return result
