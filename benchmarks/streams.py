"""Response streams to readers: what a relay adds to a loop over boto3."""

from frame import (
    Peer,
    PeerError,
    Result,
    Sample,
    Spread,
    Table,
    Target,
    Variant,
    alternate,
    answers,
)
from loopback import bench

DIRECT, OURS = "boto3 loop, no readers", "stream"
PUBLISH, XADD = "boto3 loop with PUBLISH", "boto3 loop with XADD"

KINDS = {
    DIRECT: "direct",
    PUBLISH: "publish",
    XADD: "xadd",
    "resumable-stream's way": "resumable",
    OURS: "ours",
}

#: Parts of a stream that comes as a model speaks, and milliseconds between two.
PARTS, APART = 50, 20

#: Parts of one that comes as fast as it can.
FLOOD = 2_000

#: Readers of one stream, and with --long.
READERS, LONG_READERS = (1, 50), (1, 50, 500)

#: Milliseconds at the median that a relay may add.
TARGET = 1.0
WHY = (
    "each part is numbered and kept before a reader hears of it, so that one that comes late, or"
    " again, gets it too; a bare PUBLISH loses what nobody hears"
)


def paced(samples: dict[str, list[Sample]], readers: int) -> Table:
    """Return latencies; what a relay adds is over the bare loop of the same round."""
    if DIRECT not in samples:
        raise PeerError(f"{DIRECT} failed: there is nothing to compare the others with")
    bare = {name: answers(samples[DIRECT], name) for name in ("p50", "p99")}
    rows = {}
    for kind, found in samples.items():
        rows[kind] = {
            f"added {name}, ms": Spread.of(
                [a - b for a, b in zip(answers(found, name).rounds, base.rounds, strict=True)]
            )
            for name, base in bare.items()
        }
        spent = Spread.of([s.cpu / s.count / readers * 1e6 for s in found])
        rows[kind]["CPU µs a part and reader"] = spent
    if OURS in rows:
        ours = rows[OURS]["CPU µs a part and reader"]
        for row in rows.values():
            row["times our CPU"] = Spread.ratio(row["CPU µs a part and reader"], ours)
    columns = tuple(next(iter(rows.values())))
    return Table(f"Parts every {APART} ms, readers: {readers}", columns, rows)


def flood(samples: dict[str, list[Sample]]) -> Table:
    """Return how many parts get through."""
    rows = {}
    for name, found in samples.items():
        rate = Spread.of([s.count / s.wall for s in found])
        rows[name] = {
            "parts per second": rate,
            "CPU µs a part": Spread.of([s.cpu / s.count * 1e6 for s in found]),
            "p99, ms": answers(found, "p99"),
        }
    if OURS in rows:
        ours = rows[OURS]["parts per second"]
        for row in rows.values():
            row["times our rate"] = Spread.ratio(row["parts per second"], ours)
    return Table("Parts as fast as they come, one reader", tuple(next(iter(rows.values()))), rows)


def run(rounds: int, seconds: float, *, long: bool) -> Result:
    """Measure."""
    result = Result("Response streams, relayed to readers")
    with bench(late=True) as on:
        peers = {name: on.peer(name, "readers.py", kind) for name, kind in KINDS.items()}
        peers = {name: peer for name, peer in peers.items() if _starts(peer, result.notes)}

        def measured(parts: int, apart: int, readers: int) -> dict[str, list[Sample]]:
            options = {"apart": apart, "readers": readers}
            made = {name: Variant(p, options, parts, least=5) for name, p in peers.items()}
            return alternate(made, rounds, seconds, result.notes)

        if DIRECT not in peers:
            return result
        for readers in LONG_READERS if long else READERS:
            result.tables.append(paced(measured(PARTS, APART, readers), readers))
        result.tables.append(flood(measured(FLOOD, 0, 1)))
    if OURS in result.tables[0].rows:
        added = result.tables[0].rows[OURS]["added p50, ms"]
        what = "ms that a relay adds at the median"
        result.targets.append(Target(what, TARGET, added, WHY, most=True))
    return result


def _starts(peer: Peer, notes: list[str]) -> bool:
    try:
        peer.started()
    except PeerError as error:
        notes.append(f"{peer.name} is left out: {error}")
        return False
    return True
