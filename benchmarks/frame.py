"""How everything is measured: processes that take turns, medians, and the spread.

Every variant is a script of `peers/` in a process of its own, its workers are its children, and
what it costs is the CPU of that tree. The turns alternate, so that a noisy machine is noisy for
all; a ratio is that of two variants in the same round.
"""

import json
import math
import os
import selectors
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

#: The scripts.
PEERS = Path(__file__).with_name("peers")

#: Seconds that a peer may take to start, to do one turn, and to stop.
START, TURN, STOP = 120.0, 60.0, 10.0

#: A turn's work is at least this, and at most that.
LEAST, MOST = 64, 200_000

#: How much slower the turn that opens connections may be than others.
COLD = 3.0

#: What a peer finds this process' id under: it ends with it.
PARENT = "BENCH_PARENT"

#: The kernel's number for the clock of a process' CPU time, which counts nanoseconds: its id,
#: inverted, above these bits (`clock_getcpuclockid`). What /proc has are hundredths of a second.
CLOCK_SHIFT, CLOCK_KIND = 3, 2


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure of several rounds."""

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum up the values of the rounds."""
        return cls(statistics.median(values), min(values), max(values), tuple(values))

    @classmethod
    def ratio(cls, above: "Spread", below: "Spread") -> "Spread":
        """Divide round by round."""
        pairs = zip(above.rounds, below.rounds, strict=True)
        return cls.of([a / b if b else math.inf for a, b in pairs])


@dataclass(frozen=True, slots=True)
class Table:
    """Variants, and what was measured of each."""

    title: str
    columns: tuple[str, ...]
    """Names of the figures, with their units."""
    rows: Mapping[str, Mapping[str, Spread]]
    """By variant, by column."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for, and what came out."""

    what: str
    wanted: float
    got: Spread
    why: str
    """What keeps it from being met, where it is not."""
    most: bool = False
    """Whether `wanted` is the most that it may be; else it is the least."""

    @property
    def met(self) -> bool:
        """Whether the median keeps to it."""
        return self.got.median <= self.wanted if self.most else self.got.median >= self.wanted


@dataclass(slots=True)
class Result:
    """What a group of benchmarks found."""

    title: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader has to know, and what could not be measured, with the reason."""


class PeerError(Exception):
    """A peer did not start, or did not do its turn."""


class Peer:
    """A script of `peers/`, which does what each line of JSON says and answers with one.

    Args:
        name: of the variant.
        command: the interpreter, the script and its arguments.
        log: where its standard error goes; it works in that folder.
        environment: the whole of its environment.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=log.parent,
                env={**environment, PARENT: str(os.getpid())},
                start_new_session=True,
            )
        self._tree = psutil.Process(self._process.pid)

    def started(self) -> None:
        """Wait until it is ready."""
        self._answer(START)

    def ask(self, seconds: float = TURN, **what: Any) -> dict[str, Any]:
        """Let it do something, and return its answer.

        Raises:
            PeerError: it has ended, or takes longer than `seconds`.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise PeerError(f"{self.name} has ended: {self._why()}") from error
        return self._answer(seconds)

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                self._kill()  # else its answer would be taken for that to another question
                raise PeerError(f"{self.name} took over {seconds:g} s: {self._why()}")
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.name} has ended: {self._why()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _why(self) -> str:
        return " ".join(self._log.read_text("utf-8", "replace").strip().splitlines()[-1:])[:300]

    def cpu(self) -> float:
        """Return the seconds of CPU that it and its children have used."""
        return sum(cpu_of(process) for process in self._all())

    def memory(self) -> float:
        """Return the megabytes that it and its children have resident."""
        return sum(p.memory_info().rss for p in self._all()) / 1e6

    def _all(self) -> list[psutil.Process]:
        return [self._tree, *self._tree.children(recursive=True)]

    def stop(self) -> None:
        """End it and its children; nothing of theirs is needed any more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._kill()
        self._process.wait(STOP)
        with suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def cpu_of(process: psutil.Process) -> float:
    """Return the seconds of CPU of a process and of its children that have ended."""
    try:
        ended = process.cpu_times()
        own = time.clock_gettime(~process.pid << CLOCK_SHIFT | CLOCK_KIND)
    except (psutil.NoSuchProcess, OSError):
        return 0.0
    return float(own + ended.children_user + ended.children_system)


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn."""

    count: int
    wall: float
    """Seconds."""
    cpu: float
    """Seconds of CPU of the peer's processes."""
    answer: Mapping[str, float]
    """What the peer measured itself."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A peer in one situation."""

    peer: Peer
    options: Mapping[str, Any] = field(default_factory=dict)
    """Goes with every turn."""
    count: int | None = None
    """Work of a turn; by default as much as fills the seconds."""
    least: int = LEAST
    """Work of the shortest turn, and of the one that opens connections."""
    warm: Mapping[str, Any] | None = field(default_factory=dict)
    """Options of the turn that opens connections, where they differ; None: there is no such."""
    longer: float = 1.0
    """Times the seconds of others, for what has costs of its own in every turn."""
    patience: float = TURN
    """Seconds after which a turn is given up."""
    prepare: Callable[[int], None] = lambda _: None
    """Called before a turn, and not measured."""

    def turn(self, count: int, **options: Any) -> Sample:
        """Let it work, and measure."""
        self.prepare(count)
        cpu, wall = self.peer.cpu(), time.perf_counter()
        answer = self.peer.ask(self.patience, count=count, **{**self.options, **options})
        wall = time.perf_counter() - wall
        count, wall = int(answer.pop("count", count)), answer.pop("seconds", wall)
        return Sample(count, wall, self.peer.cpu() - cpu, answer)

    def sized(self, seconds: float) -> int:
        """Return how much work fills the seconds; connections are open afterwards."""
        first = self.turn(self.least, **self.warm).wall if self.warm is not None else 0.0
        wanted, count = seconds * self.longer, self.least
        if self.count is not None or first > wanted * COLD:
            return self.count or self.least
        while (wall := self.turn(count).wall) < wanted / 2 and count < MOST:
            count = _whole(count * min(4.0, wanted / wall), self.least)
        return _whole(count / wall * wanted, self.least)


def _whole(count: float, least: int) -> int:
    return max(least, min(MOST, int(count)))


def alternate(
    variants: Mapping[str, Variant], rounds: int, seconds: float, notes: list[str]
) -> dict[str, list[Sample]]:
    """Let variants take turns; one that fails is left out, and its reason is a note."""
    sizes: dict[str, int] = {}
    samples: dict[str, list[Sample]] = {name: [] for name in variants}

    def tried(name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except PeerError as error:
            notes.append(f"{name} is left out: {error}")
            samples.pop(name)

    def size(name: str) -> None:
        sizes[name] = variants[name].sized(seconds)

    def turn(name: str) -> None:
        samples[name].append(variants[name].turn(sizes[name]))

    for name in variants:
        tried(name, lambda name=name: size(name))  # type: ignore[misc]
    for _ in range(rounds):
        for name in list(samples):
            tried(name, lambda name=name: turn(name))  # type: ignore[misc]
    return samples


def per_record(samples: Sequence[Sample]) -> dict[str, Spread]:
    """Return the usual figures of a variant."""
    return {
        "CPU µs": Spread.of([s.cpu / s.count * 1e6 for s in samples]),
        "per second": Spread.of([s.count / s.wall for s in samples]),
    }


def answers(samples: Sequence[Sample], name: str) -> Spread:
    """Return a figure that the peer measured itself."""
    return Spread.of([sample.answer[name] for sample in samples])
