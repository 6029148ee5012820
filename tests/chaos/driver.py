"""A run: a load, a plan of faults, time to heal, and the books.

`make chaos` runs one with a new seed, `make chaos SEED=7 MINUTES=1` that one again. Everything
that is written is in build/chaos/SEED.
"""

import argparse
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import books
import collecting
import faults
import plan
import tracing
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from fleet import Fleet
from load import Load
from plan import Fault, Kind

ROOT = Path(__file__).parents[2]

#: Folders that make the package.
PACKAGES = ("channels", "config", "local", "runtime", "tasks", "workers")

#: Minutes of load and faults, by default: with what follows, under ten.
MINUTES = 4.0

WORKERS = 3

#: Seconds until everything is quiet after the last fault, at most.
QUIET_SECONDS = 150.0

#: Seconds for the readers of streams to come to an end, after that.
READ_SECONDS = 60.0

#: Seconds between two looks at the plan.
LOOK = 0.1

#: Seconds between two lines about what is still open.
TELL_EVERY = 20.0

#: Looks, half a second apart, at which everything has to be quiet.
QUIET_LOOKS = 4

Say = Callable[[str], None]


def run(
    seed: int,
    folder: Path,
    *,
    seconds: float,
    workers: int = WORKERS,
    kinds: Collection[Kind] | None = None,
    old: Path | None = None,
    pace: float = plan.PACE,
    say: Say = print,
) -> list[str]:
    """Run a load through a plan's faults; returns what does not hold afterwards.

    Args:
        seed: of the plan, and of the load.
        folder: where everything is written; what was there is removed.
        seconds: of load and faults.
        workers: how many there are.
        kinds: what may go wrong; by default all that is possible here.
        old: the package of an older version, as a folder for PYTHONPATH.
        pace: seconds between two faults, on average.
        say: is told what is being done.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    able, why = faults.possible(old)
    faulty = plan.draw(seed, seconds, workers=workers, kinds=able & set(kinds or Kind), pace=pace)
    (folder / "plan.json").write_text(plan.dumps(faulty))
    for line in [f"seed {seed}, {seconds:g} s, {len(faulty)} faults:", *why, *map(str, faulty)]:
        say(line)
    with Fleet(folder, workers) as fleet, _caller(fleet) as app:
        facts = _ordeal(app, fleet, faulty, seed, seconds, old, say)
    (folder / "facts.json").write_text(
        json.dumps(dataclasses.asdict(facts), indent=1, default=sorted)
    )
    found = books.audit(facts)
    (folder / "books.txt").write_text("".join(f"{line}\n" for line in found))
    again = list(tracing.causes(facts.trace))
    (folder / "calls.txt").write_text("".join(f"{cause}\n" for cause in again))
    _summarise(facts, len(again), say)
    return found


def _ordeal(
    app: Celery,
    fleet: Fleet,
    faulty: tuple[Fault, ...],
    seed: int,
    seconds: float,
    old: Path | None,
    say: Say,
) -> books.Facts:
    fleet.ready()
    load = Load(app, seed, fleet.folder, fleet.redis.url)
    striking = faults.Faults(fleet, old)
    load.start()
    try:
        _strike(fleet, striking, faulty, seconds, say)
        say("healing")
    finally:
        striking.heal()
        load.stop()
    load.finish()
    _quiet(app, fleet, say)
    unread = load.join(READ_SECONDS)
    facts = collecting.collect(app, fleet, load, striking.happened)
    left = collecting.left(app)
    fleet.dismiss()
    return dataclasses.replace(facts, left=left, orphans=fleet.orphans(), unread=unread)


def _strike(
    fleet: Fleet, striking: faults.Faults, faulty: tuple[Fault, ...], seconds: float, say: Say
) -> None:
    """Let the plan's faults happen, each at its time."""
    start = time.monotonic()
    moments = [(f.at, 0, f) for f in faulty] + [(f.end, 1, f) for f in faulty if f.seconds]
    for moment, over, fault in sorted(moments):
        while time.monotonic() - start < moment:
            fleet.supervise()
            time.sleep(LOOK)
        late = time.monotonic() - start
        say(f"{late:6.1f} s  {'over: ' if over else ''}{fault.kind.value} {fault.place}")
        (striking.end if over else striking.begin)(fault)
    while time.monotonic() - start < seconds:
        fleet.supervise()
        time.sleep(LOOK)


def _quiet(app: Celery, fleet: Fleet, say: Say) -> None:
    """Return when nothing is under way any more, or when it has taken too long."""
    began, looks = time.monotonic(), 0
    tell = began + TELL_EVERY
    while looks < QUIET_LOOKS and time.monotonic() - began < QUIET_SECONDS:
        fleet.supervise()
        busy = {**collecting.left(app), "open requests": collecting.open_requests(app)}
        looks = 0 if any(busy.values()) else looks + 1
        if any(busy.values()) and time.monotonic() >= tell:
            tell += TELL_EVERY
            say(f"not yet quiet: { {name: size for name, size in busy.items() if size} }")
        time.sleep(0.5)
    took = time.monotonic() - began
    say(f"quiet after {took:.0f} s" if looks == QUIET_LOOKS else f"not quiet in {took:.0f} s")


@contextmanager
def _caller(fleet: Fleet) -> Iterator[Celery]:
    """The app of this process, as a web process has it."""
    before = dict(os.environ)
    os.environ.update(fleet.environment())
    made = create_app(Settings.load())
    made.set_current()
    made.set_default()
    try:
        yield made
    finally:
        deployment(made).close()
        made.close()
        os.environ.clear()
        os.environ.update(before)


def _summarise(facts: books.Facts, again: int, say: Say) -> None:
    refused = sum(sent.refused is not None for sent in facts.accepted)
    ran = sum(call.ran for call in facts.called)
    records = sum(len(job.lines) for job in facts.jobs)
    say(
        f"{len(facts.rows)} requests {dict(facts.counts)}, {refused} refused, "
        f"{ran} calls, {again} of them beyond one; "
        f"{len(facts.jobs)} jobs of {records} records; {len(facts.readings)} readers; "
        f"{len(facts.runs)} scheduled runs; {len(facts.trace.happened)} faults"
    )


def older(commit: str, folder: Path) -> Path:
    """Check an older version out into a folder that PYTHONPATH can have.

    Raises:
        subprocess.CalledProcessError: there is no such commit.
    """
    shutil.rmtree(folder, ignore_errors=True)
    packed = subprocess.run(
        ["git", "archive", commit, *PACKAGES],  # noqa: S607 - git is on PATH
        cwd=ROOT, check=True, capture_output=True,
    ).stdout  # fmt: skip
    package = folder / "celery_sagemaker"
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(package, filter="data")
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Run once; the exit code says whether everything holds."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--kinds", default="", help="what may go wrong, with commas")
    parser.add_argument("--old", default="", help="commit of the older version of the worker")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10_000) if given.seed is None else given.seed
    folder = ROOT / "build" / "chaos" / str(seed)
    old = older(given.old, ROOT / "build" / "chaos" / "old") if given.old else None
    kinds = {Kind(name) for name in given.kinds.split(",") if name}
    found = run(
        seed, folder, seconds=given.minutes * 60, workers=given.workers, kinds=kinds, old=old
    )
    for line in found:
        print(line)
    again = f"make chaos SEED={seed} MINUTES={given.minutes:g}"
    print(f"{len(found)} wrong: {again}; see {folder}" if found else f"all holds: {again}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
