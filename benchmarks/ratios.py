"""README's table: this package next to its peers, a ratio a row, made of the groups' figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asynchronous
import overhead
import realtime
import startup
import streams
from frame import Spread
from run import number

#: A ratio so close to 1 is no difference.
EVEN = 0.05

#: A group's results, by its name.
Groups = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Where a figure is: a group, the beginning of a table's title, variants, and a column."""

    group: str
    table: str
    variants: tuple[str, ...]
    """Several are added up."""
    column: str

    def of(self, groups: Groups) -> Spread | None:
        """Return it; None if it was not measured."""
        tables = groups.get(self.group, {}).get("tables", ())
        for table in tables:
            if table["title"].startswith(self.table):
                rows = [table["rows"].get(variant) for variant in self.variants]
                if None in rows:
                    return None
                rounds = (row[self.column]["rounds"] for row in rows)
                return Spread.of([sum(values) for values in zip(*rounds, strict=True)])
        return None


@dataclass(frozen=True, slots=True)
class Row:
    """What is compared with what. The least is the best, or the most."""

    what: str
    against: str
    ours: Figure
    theirs: Figure
    words: tuple[str, str]
    """What more than once is for us, and for them; or a unit, and nothing: both are told."""
    most: bool = False

    def line(self, groups: Groups) -> str:
        """Return it as Markdown has it."""
        ours, theirs = self.ours.of(groups), self.theirs.of(groups)
        if ours is None or theirs is None:
            return f"| {self.what} | {self.against} | not measured | |"
        text = self._both(ours, theirs) if not self.words[1] else self._ratio(ours, theirs)
        return f"| {self.what} | {self.against} | {text} |"

    def _ratio(self, ours: Spread, theirs: Spread) -> str:
        better = Spread.ratio(*((ours, theirs) if self.most else (theirs, ours)))
        times, word = better, self.words[0]
        if better.median < 1.0:
            times, word = Spread.of([1.0 / value for value in better.rounds]), self.words[1]
        spread = f"{number(times.low)} to {number(times.high)}"
        return f"{number(times.median)} times {word} ({spread}) | {verdict(better.median)}"

    def _both(self, ours: Spread, theirs: Spread) -> str:
        unit, (more, less) = self.words[0], (theirs, ours)
        texts = [
            f"{number(s.median)}{unit} ({number(s.low)} to {number(s.high)})" for s in (less, more)
        ]
        if ours.median == theirs.median:
            found = verdict(1.0)
        else:
            found = verdict(2.0 if (ours.median > theirs.median) is self.most else 0.5)
        return f"{texts[0]} instead of {texts[1]} | {found}"


def verdict(better: float) -> str:
    """Say who is ahead, of how many times better we are."""
    if abs(better - 1.0) <= EVEN:
        return "even"
    return "ahead" if better > 1.0 else "**behind**"


def _of(group: str, table: str, column: str) -> Callable[..., Figure]:
    return lambda *variants: Figure(group, table, variants, column)


_cpu = _of("realtime", "Records, endpoint of 0 ms", "CPU µs")
_rate = _of("realtime", "Records, endpoint of 200 ms", "per second")
_looks = _of("asynchronous", "Pending", asynchronous.FIGURES["looks"])
_slots = _of("asynchronous", "Pending", asynchronous.FIGURES["slots"])
_late = _of("asynchronous", "Pending", asynchronous.FIGURES["late p50"])
_added = _of("streams", f"Parts every {streams.APART} ms, readers: 1", "added p50, ms")
_part = _of("streams", f"Parts every {streams.APART} ms, readers: 1", "CPU µs a part and reader")
_flood = _of("streams", "Parts as fast", "parts per second")
_single = _of("overhead", "One after the other", "CPU µs")
_bulk = _of("overhead", "Publishing", "published per second")
_boot = _of("startup", "From the start", "CPU seconds")

CHEAP, FAST = ("cheaper", "dearer"), ("its rate", "slower")

#: Who a batch job's CPU for a record is compared with.
BATCH_PEERS = {
    realtime.POOL: "`ThreadPoolExecutor(8)` over boto3",
    realtime.AIO: "aiobotocore, 64 in flight",
    realtime.SDK: "the SageMaker SDK's `Predictor`, 8 threads",
    realtime.DRAMATIQ: "a dramatiq message a record",
    realtime.TASKIQ: "a taskiq task a record",
    realtime.PLAIN: "a plain Celery task a record",
    realtime.FLOOR: "`wrk` with signed requests, the floor",
}

ROWS: Sequence[Row] = (
    *(
        Row("batch job, CPU a record", against, _cpu(realtime.BATCH), _cpu(peer), CHEAP)
        for peer, against in BATCH_PEERS.items()
    ),
    Row(
        "batch job, records a second at 200 ms",
        "boto3 in 64 threads",
        _rate(realtime.BATCH),
        _rate(realtime.WIDE),
        FAST,
        most=True,
    ),
    Row(
        "asynchronous: LIST and HEAD an inference",
        "a task that sleeps and looks",
        _looks(asynchronous.OURS),
        _looks(asynchronous.SLEEPING),
        ("", ""),
    ),
    Row(
        "asynchronous: slots while the model works",
        "the SDK's `AsyncPredictor`, a thread each",
        _slots(asynchronous.OURS),
        _slots(asynchronous.SDK),
        ("", ""),
    ),
    Row(
        "asynchronous: written to ready, p50 of a burst",
        f"a task that sleeps and looks, {asynchronous.PEERS[asynchronous.SLEEPING][1]} at once",
        _late(asynchronous.OURS),
        _late(asynchronous.SLEEPING),
        (" s", ""),
    ),
    Row(
        "stream: added latency, p50",
        "a boto3 loop with `PUBLISH`",
        _added(streams.OURS),
        _added(streams.PUBLISH),
        (" ms", ""),
    ),
    Row(
        "stream: parts a second, flat out",
        "a boto3 loop with `XADD`",
        _flood(streams.OURS),
        _flood(streams.XADD),
        FAST,
        most=True,
    ),
    Row(
        "stream: CPU a part, one reader",
        "a boto3 loop with `PUBLISH`",
        _part(streams.OURS),
        _part(streams.PUBLISH),
        CHEAP,
    ),
    Row(
        "one `invoke`, CPU",
        "an empty Celery task and a bare boto3 call",
        _single(overhead.INVOKE),
        _single(overhead.EMPTY, overhead.BARE),
        CHEAP,
    ),
    Row(
        "one `invoke`, CPU",
        "a Celery task that calls boto3, and keeps no books",
        _single(overhead.INVOKE),
        _single(overhead.BOTH),
        CHEAP,
    ),
    Row(
        "`tasks.apply_many` of 1,000",
        "`invoke.delay` one by one",
        _bulk(overhead.MANY),
        _bulk(overhead.SINGLE),
        FAST,
        most=True,
    ),
    Row(
        "boot of a worker, CPU",
        "a plain Celery worker",
        _boot(startup.WORKER),
        _boot(startup.PLAIN_WORKER),
        CHEAP,
    ),
)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the table, and the rounds that it was made of."""
    groups = {found["group"]: found for found in results}
    return "\n".join(_lines(groups))


def _lines(groups: Groups) -> Iterator[str]:
    yield from ("| | against | | |", "|---|---|---|---|")
    yield from (row.line(groups) for row in ROWS)
    rounds = min((found["rounds"] for found in groups.values()), default=0)
    yield from (
        "",
        f"Medians of at least {rounds} rounds; the lowest and the highest in parentheses.",
    )
