"""The schedules in Redis: what they are, their runs, and when RedBeat finds them due.

Every change is one Lua script that checks what it changes, by Redis' own clock. The keys carry the
ledger's hash tag, RedBeat's index too, so that a schedule and its place in it change together.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from ...lua import register, text
from ..values import Run, RunState

__all__ = ["Begun", "Record", "Registry"]

#: First parts of the names of RedBeat's entries: of the runs, and of the invocations before them.
ENTRIES = {"last_due": "sagemaker:", "last_prewarm": "sagemaker-prewarm:"}

#: The largest integer that Lua's numbers hold exactly with 14 digits, which is how it writes them.
EXACT = 10**14 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A schedule as Redis holds it."""

    name: str
    settings: str
    """JSON."""
    source: str
    version: str
    """Changes with the settings, by pausing and by resuming."""
    paused: bool
    dealt: Mapping[str, float]
    """`last_due` and `last_prewarm`: due times up to these are dealt with."""
    running: str | None
    waiting: str | None
    last: Run | None
    missed: int


@dataclass(frozen=True, slots=True)
class Begun:
    """What becomes of a run."""

    verdict: str
    """START, LEAVE, or GONE: there is no such schedule."""
    run: Run | None
    replaced: Run | None


class Registry:
    """The schedules of a deployment.

    Args:
        client: of the state server.
        base: first part of all keys: the ledger's, with its hash tag.

    Attributes:
        names_key: of the set of all names.
        index_key: of RedBeat's index, entries by the time at which beat is to look.
    """

    def __init__(self, client: redis.Redis, base: str) -> None:
        self.client = client
        self.base = base
        self.names_key = f"{base}schedules"
        self.index_key = f"{base}beat::schedule"
        self._scripts = register(client, __package__)

    def key(self, name: str, *parts: str) -> str:
        """Return the name of one of a schedule's keys."""
        return ":".join((f"{self.base}schedule", name, *parts))

    def entry(self, name: str, field: str) -> str:
        """Return the key under which RedBeat's index has an entry of a schedule."""
        return f"{self.base}beat:{ENTRIES[field]}{name}"

    def _call(self, script: str, name: str, *args: object) -> Any:
        args_ = [self.base, name, *map(str, args)]
        return self._scripts[script](keys=[self.key(name)], args=args_)

    def _planned(self, name: str, times: Mapping[str, float | None]) -> list[object]:
        flat = [(self.entry(name, field), times.get(field)) for field in ENTRIES]
        return ["" if part is None else part for pair in flat for part in pair]

    def put(
        self,
        name: str,
        settings: str,
        *,
        source: str,
        change: bool,
        dealt: float,
        times: Mapping[str, float | None],
    ) -> str:
        """Add or change a schedule. Returns NEW, CHANGED, SAME, or EXISTS.

        Args:
            name: its name.
            settings: JSON; always the same for equal settings.
            source: file or api.
            change: whether one that is there may be changed.
            dealt: due times up to this do not count.
            times: when its entries are due.
        """
        args = (settings, source, int(change), dealt, *self._planned(name, times))
        return text(self._call("put", name, *args))

    def pause(self, name: str) -> bool:
        """Take a schedule's entries out of RedBeat's index. False: there is no such schedule."""
        return bool(self._call("pause", name, 1, 0, *self._planned(name, {})))

    def resume(self, name: str, dealt: float, times: Mapping[str, float | None]) -> bool:
        """Let a paused schedule go on, as `put` does for a new one."""
        return bool(self._call("pause", name, 0, dealt, *self._planned(name, times)))

    def remove(self, name: str) -> bool:
        """Forget a schedule and its runs. False: there was none."""
        return bool(self._call("remove", name, *(self.entry(name, field) for field in ENTRIES)))

    def advance(
        self,
        record: Record,
        field: str,
        *,
        dealt: float,
        then: float | None,
        missed: int = 0,
        stand_in: Mapping[str, Any] | None = None,
    ) -> bool:
        """Note that due times are dealt with. False: somebody else was first.

        Args:
            record: the schedule as it was looked at.
            field: last_due or last_prewarm.
            dealt: the newest of them.
            then: when the entry is due next.
            missed: how many of them were missed.
            stand_in: the run that is shown for them when none is run.
        """
        found = self._call(
            "advance", record.name, record.version, self.entry(record.name, field), field,
            dealt, "" if then is None else then, missed, _json(stand_in),
        )  # fmt: skip
        return bool(found)

    def begin(self, name: str, run: Mapping[str, Any], overlap: str, *, late: bool) -> Begun:
        """Decide what becomes of a run whose message was delivered."""
        verdict, begun, replaced = self._call("begin", name, _json(run), overlap, int(late))
        return Begun(text(verdict), _run(begun), _run(replaced))

    def note(self, name: str, run: str, target: str, kind: str) -> bool:
        """Note what a run has started. False: it is not going on any more."""
        return bool(self._call("note", name, run, target, kind))

    def finish(
        self, name: str, run: str, state: RunState, reason: Mapping[str, Any] | None = None
    ) -> tuple[Run | None, Run | None]:
        """End a run; returns it and the one that waited for it. None: it had ended; none did."""
        found = self._call("finish", name, run, state.value, _json(reason))
        return (_run(found[0]), _run(found[1])) if found else (None, None)

    def record(self, name: str) -> Record | None:
        """Return a schedule, None for an unknown one."""
        row = {text(k): text(v) for k, v in self._hash(self.key(name)).items()}
        if "settings" not in row:
            return None
        return Record(
            name=name,
            settings=row["settings"],
            source=row["source"],
            version=row["version"],
            paused="paused" in row,
            dealt={field: float(row[field]) for field in ENTRIES},
            running=row.get("running"),
            waiting=row.get("waiting"),
            last=_run(row.get("last")),
            missed=int(row.get("missed", 0)),
        )

    def names(self) -> list[str]:
        """Return the names of all schedules, in order."""
        found = cast("set[bytes]", self.client.smembers(self.names_key))
        return sorted(map(text, found))

    def next_time(self, name: str, field: str = "last_due") -> float | None:
        """Return when an entry is due next, None when it never is."""
        found = self.client.zscore(self.index_key, self.entry(name, field))
        return None if found is None else float(found)

    def run(self, name: str, id_: str) -> Run | None:
        """Return a run, None for one that is unknown, or no longer kept."""
        return _run(cast("bytes | None", self.client.hget(self.key(name, "runs"), id_)))

    def runs(self, name: str, count: int) -> list[Run]:
        """Return the runs that were due last, newest first."""
        found = self.client.zrevrange(self.key(name, "order"), 0, count - 1)
        ids = [text(id_) for id_ in cast("list[bytes]", found)]
        kept = self.client.hmget(self.key(name, "runs"), ids) if ids else []
        return [run for run in map(_run, cast("list[bytes | None]", kept)) if run is not None]

    def going(self) -> Iterator[tuple[str, Run]]:
        """Yield the runs that are going on, with their schedules' names."""
        for name, id_ in self._hash(f"{self.base}schedules:going").items():
            run = self.run(text(name), text(id_))
            if run is not None:
                yield text(name), run

    def unsaid(self) -> Iterator[tuple[str, Run]]:
        """Yield the runs whose newest state has not been announced, as far as is known."""
        key = f"{self.base}schedules:unsaid"
        for member in cast("set[bytes]", self.client.smembers(key)):
            name, _, id_ = text(member).partition(" ")
            run = self.run(name, id_)
            if run is None:
                self.client.srem(key, member)
            else:
                yield name, run

    def said(self, name: str, run: str) -> None:
        """Note that a run's state has been announced."""
        self.client.srem(f"{self.base}schedules:unsaid", f"{name} {run}")

    def now(self) -> float:
        """Return Redis' time in Unix seconds."""
        seconds, micros = self.client.time()
        return seconds + micros / 1e6

    def _hash(self, key: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", self.client.hgetall(key))


def _json(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Return a JSON value that the scripts can read and write: what models answer is any."""
    match value:
        case str():
            # Half of a surrogate pair: of a text that was cut.
            return value.encode(errors="replace").decode()
        case float() if not math.isfinite(value):
            return None
        case int() if abs(value) > EXACT:
            return str(value)
        case Mapping():
            return {_plain(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def _run(found: bytes | str | None) -> Run | None:
    return Run.from_text(text(found)) if found else None
