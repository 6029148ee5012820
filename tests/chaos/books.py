"""What has to hold after a run, checked against what was collected. No I/O."""

import fnmatch
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import tracing
from tracing import Trace

#: Final states, and the state of Celery's result that goes with each.
RESULTS = {
    "SUCCEEDED": {"SUCCESS"},
    "FAILED": {"FAILURE"},
    "EXPIRED": {"FAILURE", "REVOKED"},
    "REVOKED": {"REVOKED", "FAILURE"},
}

#: Words of errors that leave no doubt: Redis itself has refused the command.
CERTAIN = ("OutOfMemory", "OOM command")

#: Keys without a time to live, as docs/reference/state.md has them; PREFIX is the setting.
EVERLASTING = (
    "{PREFIX}:started", "{PREFIX}:seq", "{PREFIX}:counts", "{PREFIX}:tally", "{PREFIX}:usage",
    "{PREFIX}:roots", "{PREFIX}:durations", "{PREFIX}:dead", "{PREFIX}:owners",
    "{PREFIX}:schedule:*", "{PREFIX}:schedules", "{PREFIX}:beat:*",
    "{PREFIX}:batch:jobs", "{PREFIX}:batch:workers", "{PREFIX}:batch:speeds",
    "{PREFIX}:batch:turn", "{PREFIX}:batch:ended",
    "{PREFIX}:batch:records", "_kombu.binding.*", "_kombu.binding_*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request as its caller knows it. Times are Unix seconds."""

    id: str
    kind: str
    """invoke, async or stream."""
    endpoint: str
    began: float
    ended: float
    refused: str | None = None
    """What `apply_async` raised."""
    restarts: bool = False
    """Whether it is a stream that may begin again after its readers were given a part."""

    @property
    def certain(self) -> bool:
        """Whether it was refused, beyond doubt: the connection did not break meanwhile."""
        return self.refused is not None and any(word in self.refused for word in CERTAIN)


@dataclass(slots=True)
class Reading:
    """What one reader of a stream was given."""

    stream: str
    way: str
    text: str
    """What the stream has if it is whole."""
    parts: list[tuple[str, str]] = field(default_factory=list)
    """Cursor and data, restarts included."""
    end: str | None = None
    """`End`, or the name of an error."""
    said: int | None = None
    """Parts of the last attempt, as the end says."""

    def last_attempt(self) -> list[str]:
        """The data of the last attempt."""
        if not self.parts:
            return []
        attempt = self.parts[-1][0].partition("-")[0]
        return [data for cursor, data in self.parts if cursor.partition("-")[0] == attempt]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger."""

    task: str
    state: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """A call, as the emulator noted it; refused ones too."""

    endpoint: str
    id: str
    time: float
    ran: bool
    """Whether the model was called."""


@dataclass(frozen=True, slots=True)
class Job:
    """A batch job that has ended."""

    id: str
    state: str
    total: int
    succeeded: int
    failed: int
    records: int
    """Records of its input."""
    lines: Sequence[int]
    """Positions of its output and error lines."""
    outputs: int
    """How many of them are outputs."""
    why: str = ""
    """Why it has failed."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a schedule."""

    schedule: str
    due: float
    state: str
    target: str | None
    missed: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was collected after a run."""

    prefix: str
    every: Mapping[str, int]
    """Seconds between the due times of each schedule."""
    accepted: Sequence[Accepted] = ()
    rows: Mapping[str, Row] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    """State of Celery's result by id, where the task keeps one."""
    counts: Mapping[str, int] = field(default_factory=dict)
    called: Sequence[Called] = ()
    trace: Trace = field(default_factory=Trace)
    jobs: Sequence[Job] = ()
    tokens: Mapping[str, str | None] = field(default_factory=dict)
    readings: Sequence[Reading] = ()
    runs: Sequence[Run] = ()
    everlasting: Sequence[str] = ()
    """Keys without a time to live."""
    left: Mapping[str, int] = field(default_factory=dict)
    """What has to be empty, and is not: sizes by name."""
    orphans: Sequence[str] = ()
    unread: int = 0
    """Readers that have not come to an end."""


def final_states(facts: Facts) -> Iterator[str]:
    """Every row has a final state; what was accepted has a row, what was refused has none."""
    for id_, row in facts.rows.items():
        if row.state not in RESULTS:
            yield f"{id_} ({row.task}) is {row.state}"
    ran = {call.id for call in facts.called}
    for sent in facts.accepted:
        if sent.refused is None and sent.id not in facts.rows:
            yield f"{sent.id} ({sent.kind}) was accepted and has no row"
        if sent.certain and sent.id in facts.rows:
            yield f"{sent.id} ({sent.kind}) was refused and has a row: {facts.rows[sent.id]}"
        if sent.certain and sent.id in ran:
            yield f"{sent.id} ({sent.kind}) was refused and was called"


def counted(facts: Facts) -> Iterator[str]:
    """The ledger's counts are those of its rows."""
    states = Counter(row.state for row in facts.rows.values())
    expected = {"ACCEPTED": len(facts.rows), **states}
    if dict(facts.counts) != expected:
        yield f"the ledger counts {dict(facts.counts)}, and has {expected}"


def results_agree(facts: Facts) -> Iterator[str]:
    """Celery's result says what the row says."""
    for id_, result in facts.results.items():
        row = facts.rows.get(id_)
        if row and row.state in RESULTS and result not in RESULTS[row.state]:
            yield f"{id_} ({row.task}) is {row.state}, and its result {result}"


def calls_explained(facts: Facts) -> Iterator[str]:
    """Each call beyond one has its cause, in the worker that made it, or in what it saw."""
    for cause in tracing.causes(facts.trace):
        if cause.why is None:
            yield str(cause)


def departures_explained(facts: Facts) -> Iterator[str]:
    """No worker left for a reason that nobody gave."""
    yield from tracing.departures(facts.trace)


def succeeded_were_called(facts: Facts) -> Iterator[str]:
    """A request that has succeeded was answered by its model."""
    ran = {call.id for call in facts.called if call.ran}
    for sent in facts.accepted:
        row = facts.rows.get(sent.id)
        if row is not None and row.state == "SUCCEEDED" and sent.id not in ran:
            yield f"{sent.id} ({sent.kind}) succeeded and was never called"


def jobs_exact(facts: Facts) -> Iterator[str]:
    """Every record of a job has one line; the counts are those of the lines."""
    for token, id_ in facts.tokens.items():
        if id_ is None:
            yield f"the job of token {token} was never accepted"
    for token, number in Counter(id_ for id_ in facts.tokens.values() if id_).items():
        if number > 1:
            yield f"{number} tokens have the job {token}"
    for job in facts.jobs:
        yield from _job_exact(job)


#: Errors that end a job rightly: nothing can be called without that right.
FORBIDDEN = ("AccessDeniedException", "S3AccessDenied")


def _job_exact(job: Job) -> Iterator[str]:
    lines = Counter(job.lines)
    twice = sorted(position for position, number in lines.items() if number > 1)
    missing = sorted(set(range(job.records)) - set(lines))
    failed = len(job.lines) - job.outputs
    if job.state == "failed" and any(code in job.why for code in FORBIDDEN):
        # What was never called has no line, and counts as failed.
        failed, missing = failed + len(missing), []
    elif job.state != "completed":
        yield f"job {job.id} is {job.state}: {job.why}"
        return
    if twice or missing:
        yield f"job {job.id}: twice {twice}, missing {missing}"
    said = (job.total, job.succeeded, job.failed)
    if said != (job.records, job.outputs, failed):
        yield f"job {job.id} counts {said}, and has {job.outputs} of {len(job.lines)} lines"


def parts_once(facts: Facts) -> Iterator[str]:
    """No reader is given a part twice, or out of order, or not the next one."""
    for reading in facts.readings:
        cursors = [tuple(map(int, cursor.split("-"))) for cursor, _ in reading.parts]
        for before, after in pairwise(cursors):
            follows = after[0] > before[0] or after == (before[0], before[1] + 1)
            if not follows:
                yield f"{reading.stream} ({reading.way}): {after} after {before}"


def readers_agree(facts: Facts) -> Iterator[str]:
    """All readers of a stream are given the same, up to where one of them gives up."""
    streams: dict[str, list[Reading]] = defaultdict(list)
    for reading in facts.readings:
        streams[reading.stream].append(reading)
    for stream, readings in streams.items():
        longest = max((reading.parts for reading in readings), key=len)
        for reading in readings:
            if longest[: len(reading.parts)] != reading.parts:
                yield f"{stream}: {reading.way} was given something else than another reader"
        ends = {(r.end, len(r.parts)) for r in readings if r.end not in GAVE_UP}
        if len(ends) > 1:
            yield f"{stream}: its readers end with {sorted(map(str, ends))}"


#: Errors by which a reader says that it has waited long enough: others may wait longer.
GAVE_UP = frozenset({"ProducerLost", "StreamNotFound"})

#: Errors by which a stream says that it has not become whole.
FAILED = frozenset({"StreamFailed", "StreamCancelled"})


def streams_honest(facts: Facts) -> Iterator[str]:
    """A reader that is told the end has all of it, and the row says the same."""
    for reading in facts.readings:
        row = facts.rows.get(reading.stream)
        state = "absent" if row is None else row.state
        where = f"{reading.stream} ({reading.way}, {state})"
        if reading.end not in GAVE_UP | FAILED | {"End"}:
            yield f"{where} ends with {reading.end}"
        if reading.end == "End":
            last = reading.last_attempt()
            if "".join(last) != reading.text or reading.said != len(last):
                yield f"{where} has {len(last)} parts of {reading.said} at its end: {last[-1:]}"
        if (state == "SUCCEEDED") != (reading.end == "End") and reading.end not in GAVE_UP:
            yield f"{where} ends with {reading.end}"
        if state == "SUCCEEDED" and reading.end in GAVE_UP:
            yield f"{where} gave up: {reading.end}"


def due_times_run(facts: Facts) -> Iterator[str]:
    """Every due time has one run, or is counted as missed; what a run started has ended."""
    schedules: dict[str, list[Run]] = defaultdict(list)
    for run in facts.runs:
        schedules[run.schedule].append(run)
    for name, runs in schedules.items():
        first, *rest = sorted(runs, key=lambda run: run.due)
        number = sum(run.missed + (run.state != "MISSED") for run in rest)
        expected = round((rest[-1].due - first.due) / facts.every[name]) if rest else 0
        if number != expected:
            yield f"schedule {name}: {number} runs and missed ones for {expected} due times"
        yield from _runs_ended(name, runs, facts.rows)


def _runs_ended(name: str, runs: Sequence[Run], rows: Mapping[str, Row]) -> Iterator[str]:
    for run in runs:
        row = rows.get(run.target) if run.target else None
        if run.state in {"WAITING", "RUNNING"}:
            yield f"schedule {name}: the run of {run.due} is {run.state}"
        elif row is not None and row.state != run.state:
            yield f"schedule {name}: the run of {run.due} is {run.state}, its target {row.state}"
    for target, number in Counter(run.target for run in runs if run.target).items():
        if number > 1:
            yield f"schedule {name}: {number} runs have the target {target}"


def keys_expire(facts: Facts) -> Iterator[str]:
    """Keys have a time to live, but for those that the documentation names."""
    known = [name.replace("PREFIX", facts.prefix) for name in EVERLASTING]
    # A set in brackets is a wildcard to fnmatch; braces are not.
    for key in facts.everlasting:
        if not any(fnmatch.fnmatchcase(key, pattern) for pattern in known):
            yield f"{key} has no time to live"


def nothing_left(facts: Facts) -> Iterator[str]:
    """Nothing is due, owned, awaited, waiting, unacknowledged or held; nobody still reads."""
    for name, size in facts.left.items():
        yield f"{name} has {size}"
    for process in facts.orphans:
        yield f"an orphan: {process}"
    if facts.unread:
        yield f"{facts.unread} readers have not come to an end"


Check = Callable[[Facts], Iterator[str]]

CHECKS: Sequence[Check] = (
    final_states, counted, results_agree, calls_explained, departures_explained,
    succeeded_were_called, jobs_exact, parts_once, readers_agree, streams_honest, due_times_run,
    keys_expire, nothing_left,
)  # fmt: skip


def audit(facts: Facts) -> list[str]:
    """Return what does not hold, each with the check that says so."""
    return [f"{check.__name__}: {found}" for check in CHECKS for found in check(facts)]
