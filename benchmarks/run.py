"""Run the benchmarks: `python benchmarks/run.py [--quick] [--long] [--only GROUP ...]`.

Each group writes `benchmarks/results/GROUP.json`; `report.py` makes a page with plots of them, and
README's table. With `--quick` they are written to `build/benchmarks/` instead, and to no page.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import environments
import leftovers
import psutil
import redis
from frame import PeerError, Result, Spread

#: Cheap ones first.
GROUPS = ("startup", "overhead", "realtime", "streams", "asynchronous", "growth")

RESULTS = Path(__file__).with_name("results")

#: What is too rough for the page is kept here.
ROUGH = Path(__file__).parent.parent / "build/benchmarks"

#: Seconds that a group may take, which none does on a quiet machine, and with --long.
LIMIT, LONG_LIMIT = 400, 40_000

#: Rounds, and seconds of a turn.
ROUNDS, SECONDS = 5, 0.3
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.2
LONG_SECONDS = 3.0

PACKAGES = ("celery", "redis", "boto3", "botocore", "aiohttp", "kombu")


def machine() -> dict[str, Any]:
    """Say what this was measured on."""
    return {
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        **environments.wanted(),
    }


def shown(result: Result) -> str:
    """Return a group's tables as text."""
    lines = [f"\n{result.title}"]
    for table in result.tables:
        lines += ["", f"  {table.title}"]
        for name, row in table.rows.items():
            figures = "   ".join(f"{column} {brief(row[column])}" for column in table.columns)
            lines.append(f"    {name:38} {figures}")
    lines += [f"  {note}" for note in result.notes]
    for target in result.targets:
        met, bound = "met" if target.met else "NOT MET", "at most" if target.most else "at least"
        lines.append(
            f"  {met}: {target.what}: {brief(target.got)}, wanted {bound} {target.wanted:g}"
        )
    return "\n".join(lines)


def brief(spread: Spread) -> str:
    """Return a median and its spread."""
    return f"{number(spread.median)} ({number(spread.low)} .. {number(spread.high)})"


def number(value: float) -> str:
    """Return three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def written(folder: Path, group: str, result: Result, settings: dict[str, Any]) -> None:
    """Keep a group's figures."""
    folder.mkdir(parents=True, exist_ok=True)
    found = asdict(result)
    for target, of in zip(found["targets"], result.targets, strict=True):
        target["met"] = of.met
    whole = {"group": group, "machine": machine(), **settings, **found}
    (folder / f"{group}.json").write_text(json.dumps(rounded(whole), indent=1) + "\n")


def rounded(value: Any) -> Any:
    """Return figures with five digits that count."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


class GroupTooLongError(Exception):
    """A group of benchmarks did not end in its time."""


#: What ends a group, and not the others.
FAILURES = (
    PeerError,
    GroupTooLongError,
    RuntimeError,
    OSError,
    redis.RedisError,
    psutil.Error,
)


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """End what takes longer."""

    def late(_: int, __: FrameType | None) -> None:
        raise GroupTooLongError(f"given up after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def measured(group: str, rounds: int, seconds: float, *, long: bool) -> Result:
    """Run a group; nothing of it is left.

    Raises:
        PeerError: what the whole group stands on did not start or work.
        RuntimeError, OSError, redis.RedisError, psutil.Error: a service did not start, or has died.
        GroupTooLongError: it did not end.
    """
    try:
        with limited(LONG_LIMIT if long else LIMIT):
            found: Result = importlib.import_module(group).run(rounds, seconds, long=long)
            return found
    finally:
        leftovers.end_children()


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="GROUP")
    parser.add_argument("--rounds", type=int, help=f"by default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="one round, in three minutes")
    parser.add_argument("--long", action="store_true", help="larger: up to 1,000,000 records")
    parser.add_argument("--results", type=Path, help="where figures are kept")
    arguments = parser.parse_args()
    leftovers.clear_up_when_ended()
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    seconds = QUICK_SECONDS if arguments.quick else LONG_SECONDS if arguments.long else SECONDS
    settings = {"rounds": rounds, "long": arguments.long}
    folder = arguments.results or (ROUGH if arguments.quick else RESULTS)
    failed = list[str]()
    for group in arguments.only:
        started = time.monotonic()
        try:
            result = measured(group, rounds, seconds, long=arguments.long)
        except FAILURES as error:
            failed.append(f"{group}: {error}")
            continue
        took = round(time.monotonic() - started)
        written(folder, group, result, {**settings, "took": took})
        print(shown(result), flush=True)
    sys.exit("\n".join(failed) or None)


if __name__ == "__main__":
    main()
