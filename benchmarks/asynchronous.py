"""Asynchronous inferences that are pending: what they hold, and what looking for them costs."""

import environments
from frame import Peer, PeerError, Result, Spread, Table, Target, Variant, alternate, answers
from loopback import Bench, bench

OURS, SLEEPING, RETRYING = "invoke_async", "task that sleeps and looks", "task that retries"
SDK = "SageMaker SDK's AsyncPredictor, 64 threads"

#: Kind, and how many are pending at once: the others have 64 slots, and hold one for each.
PEERS = {SLEEPING: ("sleeping", 64), RETRYING: ("retrying", 100), SDK: ("sdk", 64)}

#: Ours that are pending at once, and seconds that the model takes, or longer until all are
#: submitted; and with --long.
PENDING, SECONDS = 400, 3
LONG_PENDING, LONG_SECONDS = 10_000, 30

#: The first peer's database in Redis.
DATABASE = 10

#: Inferences of the turn that opens connections, and what they take.
FIRST, FIRST_ENDPOINT = 16, "together-1"

#: Seconds for a turn.
PATIENCE, LONG_PATIENCE = 90.0, 900.0

#: What was asked for: looks (LIST and HEAD) and slots for an inference.
LOOKS, SLOTS = 0.05, 0.0
WHY_LOOKS = "one look is for all that are pending under a prefix, and these were too few for it"
WHY_SLOTS = "a task was still at work that had submitted one, or looked for all"

#: The figures, as the peers name them.
FIGURES = {
    "looks": "LIST and HEAD each",
    "gets": "GET each",
    "slots": "slots each",
    "late p50": "written to ready, p50 s",
    "late p99": "p99 s",
    "redis KB": "Redis KB each",
    "worker MB": "worker MB",
}


def start(on: Bench, notes: list[str]) -> dict[str, Peer]:
    """Start the peers that there are."""
    peers = {OURS: on.peer(OURS, "later.py", "ours")}
    for number, (name, (kind, _)) in enumerate(PEERS.items()):
        try:
            python = environments.python("sdk") if kind == "sdk" else None
        except environments.NotInstalledError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        database = str(DATABASE + number)  # else one's worker would do the other's tasks
        peers[name] = on.peer(name, "later.py", kind, python=python, BENCH_DATABASE=database)
    for name, peer in list(peers.items()):
        try:
            peer.started()
        except PeerError as error:
            notes.append(f"{name} is left out: {error}")
            del peers[name]
    return peers


def run(rounds: int, seconds: float, *, long: bool) -> Result:
    """Measure."""
    result = Result("Asynchronous inferences")
    pending, takes = (LONG_PENDING, LONG_SECONDS) if long else (PENDING, SECONDS)
    counts = {OURS: pending} | {name: count for name, (_, count) in PEERS.items()}
    with bench(late=True) as on:
        on.put("input.json", b"{}")
        peers = start(on, result.notes)
        made = {
            name: Variant(
                peer,
                {"endpoint": f"together-{takes}"},
                counts[name],
                least=FIRST,
                warm={"endpoint": FIRST_ENDPOINT},
                patience=LONG_PATIENCE if long else PATIENCE,
            )
            for name, peer in peers.items()
        }
        samples = alternate(made, rounds, seconds, result.notes)
    rows = {}
    for name, found in samples.items():
        row = {"pending": Spread.of([float(s.count) for s in found])}
        row |= {title: answers(found, figure) for figure, title in FIGURES.items()}
        row["CPU ms each"] = Spread.of([s.cpu / s.count * 1e3 for s in found])
        rows[name] = row
    columns = ("pending", *FIGURES.values(), "CPU ms each")
    result.tables.append(Table(f"Pending, the model takes {takes} s", columns, rows))
    if OURS in rows:
        looks, slots = rows[OURS][FIGURES["looks"]], rows[OURS][FIGURES["slots"]]
        result.targets.append(
            Target("LIST and HEAD of an inference", LOOKS, looks, WHY_LOOKS, most=True)
        )
        result.targets.append(
            Target("worker slots of a pending one", SLOTS, slots, WHY_SLOTS, most=True)
        )
    return result
