"""What goes wrong, and when: drawn from a seed. No I/O."""

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A way in which something goes wrong."""

    WORKER_KILL = "worker-kill"
    """SIGKILL; the supervisor starts it again."""
    WORKER_TERM = "worker-term"
    """SIGTERM, as a deploy does."""
    WORKER_STOP = "worker-stop"
    """SIGSTOP, and SIGCONT afterwards."""
    WORKER_OLD = "worker-old"
    """The worker is one of an older version for a while."""
    CLOCK = "clock"
    """The worker's wall clock is wrong by `amount` seconds."""
    REDIS_KILL = "redis-kill"
    """SIGKILL; it is back, on its append-only file, afterwards."""
    REDIS_STOP = "redis-stop"
    """SIGSTOP, and SIGCONT afterwards."""
    REDIS_FULL = "redis-full"
    """`maxmemory` is what is in use."""
    REDIS_CUT = "redis-cut"
    """A worker's connections to Redis end; it can connect again at once."""
    REDIS_SILENT = "redis-silent"
    """A worker's connections to Redis stay, and carry nothing."""
    REDIS_SLOW = "redis-slow"
    """Everything between a worker and Redis takes `amount` seconds longer."""
    ENDPOINT_CUT = "endpoint-cut"
    ENDPOINT_SILENT = "endpoint-silent"
    ENDPOINT_SLOW = "endpoint-slow"
    ENDPOINT_DOWN = "endpoint-down"
    """The service's front answers 503 to everything."""
    ENDPOINT_ERRORS = "endpoint-errors"
    """Calls meet the errors and delays of `faults.ERRORS`."""
    S3_CUT = "s3-cut"
    S3_SILENT = "s3-silent"
    S3_SLOW = "s3-slow"
    S3_DOWN = "s3-down"
    """S3 answers 503 SlowDown to everything."""
    S3_DENIED = "s3-denied"
    """The policy has no s3:ListBucket for a while."""

    @property
    def subject(self) -> str:
        """What it happens to: worker, redis, endpoint or s3."""
        return "worker" if self is Kind.CLOCK else self.value.partition("-")[0]

    @property
    def one_worker(self) -> bool:
        """Whether it happens to one worker only."""
        return self.subject == "worker" or self in {
            Kind.REDIS_CUT, Kind.REDIS_SILENT, Kind.REDIS_SLOW,
        }  # fmt: skip


#: Seconds that each kind lasts, at least and at most; those that are not here are over at once.
LASTING = {
    Kind.WORKER_STOP: (3.0, 30.0),
    Kind.WORKER_OLD: (15.0, 40.0),
    Kind.CLOCK: (5.0, 20.0),
    Kind.REDIS_KILL: (0.1, 8.0),
    Kind.REDIS_STOP: (0.5, 8.0),
    Kind.REDIS_FULL: (1.0, 8.0),
    Kind.REDIS_SILENT: (1.0, 15.0),
    Kind.REDIS_SLOW: (2.0, 10.0),
    Kind.ENDPOINT_SILENT: (1.0, 8.0),
    Kind.ENDPOINT_SLOW: (2.0, 10.0),
    Kind.ENDPOINT_DOWN: (1.0, 8.0),
    Kind.ENDPOINT_ERRORS: (4.0, 12.0),
    Kind.S3_SILENT: (1.0, 8.0),
    Kind.S3_SLOW: (2.0, 10.0),
    Kind.S3_DOWN: (1.0, 8.0),
    Kind.S3_DENIED: (2.0, 8.0),
}

#: Amounts of the kinds that have one, at least and at most.
AMOUNTS = {
    Kind.CLOCK: (-7_200.0, 7_200.0),
    Kind.REDIS_SLOW: (0.01, 0.3),
    Kind.ENDPOINT_SLOW: (0.05, 0.5),
    Kind.S3_SLOW: (0.05, 0.5),
}

#: Seconds between two faults, on average.
PACE = 3.0

#: Part of the whole time that one fault may last.
SHARE = 0.4

#: Seconds that what was struck has until it is struck again.
REST = 2.0


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds after the start."""
    seconds: float
    """How long it lasts; 0: it is over at once."""
    kind: Kind
    worker: int = 0
    """Which worker it happens to, if it happens to one."""
    amount: float = 0.0
    """Seconds by which something is late or wrong."""

    @property
    def end(self) -> float:
        """Seconds after the start when it is over."""
        return self.at + self.seconds

    @property
    def place(self) -> str:
        """What two faults cannot happen to at once."""
        return f"worker {self.worker}" if self.kind.one_worker else self.kind.subject

    def __str__(self) -> str:
        where = f" {self.place}" if self.kind.one_worker else ""
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        amount = f" by {self.amount:+.2f} s" if self.amount else ""
        return f"{self.at:6.1f} s  {self.kind.value}{where}{amount}{lasting}"


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that was there. Times are Unix seconds."""

    kind: str
    begin: float
    end: float
    worker: int | None = None


def draw(
    seed: int, length: float, *, workers: int, kinds: Collection[Kind], pace: float = PACE
) -> tuple[Fault, ...]:
    """Draw a plan: the same for the same arguments.

    Kinds come as cards from a shuffled deck: each of them once, before any comes again. One whose
    place is taken goes under the deck.

    Args:
        seed: of everything that is drawn.
        length: seconds; every fault is over by then.
        workers: how many there are.
        kinds: what may go wrong.
        pace: seconds between two faults, on average.
    """
    rng = random.Random(f"plan {seed}")
    deck: list[Kind] = []
    free: dict[str, float] = {}
    faults: list[Fault] = []
    now = rng.expovariate(1 / pace)
    while now < length:
        deck = deck or _shuffled(kinds, rng)
        fault = _fault(deck.pop(), rng, now, length, workers)
        if fault.end <= length and free.get(fault.place, 0.0) <= fault.at:
            faults.append(fault)
            free[fault.place] = fault.end + REST
        else:
            deck.insert(0, fault.kind)
        now += rng.expovariate(1 / pace)
    return tuple(sorted(faults))


def _shuffled(kinds: Collection[Kind], rng: random.Random) -> list[Kind]:
    deck = sorted(kinds)
    rng.shuffle(deck)
    return deck


def _fault(kind: Kind, rng: random.Random, now: float, length: float, workers: int) -> Fault:
    least, most = LASTING.get(kind, (0.0, 0.0))
    lasting = rng.uniform(least, max(least, min(most, SHARE * length)))
    amount = rng.uniform(*AMOUNTS.get(kind, (0.0, 0.0)))
    return Fault(round(now, 2), round(lasting, 2), kind, rng.randrange(workers), round(amount, 3))


def dumps(faults: Sequence[Fault]) -> str:
    """Return a plan as JSON."""
    return json.dumps([asdict(fault) for fault in faults], indent=1)


def loads(text: str) -> tuple[Fault, ...]:
    """Read a plan from JSON."""
    return tuple(Fault(**{**row, "kind": Kind(row["kind"])}) for row in json.loads(text))
