"""Whether time and memory grow with the work, or faster; the exponent is fitted on log-log axes."""

import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence

import redis
from frame import Peer, PeerError, Result, Spread, Table, Target, Variant
from loopback import PER_INVOCATION, Bench, bench
from realtime import Staged

#: Records of a batch job, workers of one, and pending asynchronous inferences; and with --long.
RECORDS, LONG_RECORDS = (1_000, 10_000, 100_000), (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 2, 4, 8)
PENDING, LONG_PENDING = (100, 1_000), (100, 1_000, 10_000, 100_000)

#: Records for each worker, at 200 ms.
SHARE, LONG_SHARE = 400, 2_000

#: What is still linear: an exponent of at most this.
LINEAR = 1.1

#: Seconds for a turn of the largest.
PATIENCE = 3_000.0

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


def records(on: Bench, rounds: int, sizes: Sequence[int]) -> Measured:
    """Grow a batch job."""
    peer, server, staged = on.peer("growing job", "ours.py"), Server(on), Staged(on)
    peer.started()
    options = {"how": "job", "endpoint": "multi-0", "batch_strategy": "MultiRecord"}
    variant = Variant(
        peer, {**options, "max_records": PER_INVOCATION}, patience=PATIENCE, prepare=staged
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


def workers(on: Bench, rounds: int, share: int, notes: list[str]) -> Measured:
    """Grow the fleet, and the job with it. Idle workers would take part: one fleet at a time."""
    staged = Staged(on)

    def turn(number: int) -> dict[str, float]:
        sample = Variant(fleets[number], options, prepare=staged).turn(share * number)
        return {"records per second": sample.count / sample.wall}

    options = {"how": "job", "endpoint": "single-200"}
    found: dict[int, list[dict[str, float]]] = {}
    fleets: dict[int, Peer] = {}
    for number in WORKERS:
        fleets[number] = on.peer(f"{number} workers", "ours.py", str(number))
        try:
            fleets[number].started()
            turn(number)
            found[number] = [turn(number) for _ in range(rounds)]
        except PeerError as error:
            notes.append(f"{number} workers are left out: {error}")
        fleets[number].stop()
    return {
        number: {name: Spread.of([one[name] for one in many]) for name in many[0]}
        for number, many in found.items()
    }


def pending(on: Bench, rounds: int, sizes: Sequence[int], takes: int) -> Measured:
    """Grow what is pending."""
    peer = on.peer("growing pending", "later.py", "ours")
    peer.started()
    on.put("input.json", b"{}")
    server = Server(on)
    variant = Variant(peer, {"endpoint": f"later-{takes}"}, patience=PATIENCE)
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
    with bench() as on:
        grown = records(on, rounds, LONG_RECORDS if long else RECORDS)
        result.tables.append(table("Records of a batch job, MultiRecord of 100", grown))
        larger = {size: row for size, row in grown.items() if size > min(grown)}
        for title, of in (("all sizes", grown), ("without the smallest", larger)):
            got = fitted(of, "seconds")
            what = f"exponent of a batch job's seconds, {title}"
            result.targets.append(Target(what, LINEAR, got, most=True))
        fleet = workers(on, rounds, LONG_SHARE if long else SHARE, result.notes)
        result.tables.append(table("Workers of a batch job, endpoint of 200 ms", fleet))
    with bench(late=True) as on:
        waiting = pending(on, rounds, LONG_PENDING if long else PENDING, 2)
        result.tables.append(table("Pending asynchronous inferences, 2 s each", waiting))
    return result
