"""The ledger: one row in Redis for each accepted request, kept a while after its final state.

Delivery is the broker's, truth is the ledger's. Every transition is one Lua script that checks the
state it leaves, by Redis' own clock. All keys carry one hash tag, because a row and the indexes
over it move together: on a Redis Cluster the ledger lives in one slot.
"""

import json
import logging
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import redis

from ..lua import register, text
from .rows import FINAL, Pending, Run, State, Status

logger = logging.getLogger(__name__)

__all__ = ["FINAL", "Ledger", "Pending", "Run", "State", "Status"]

#: Seconds an untouched retry budget is kept; afterwards it is whole again.
BUDGET_LIFE = 60

#: Newest entries kept on the dead-letter list.
DEAD_LETTERS = 10_000

#: Rows read or moved in one round trip.
PAGE = 500


class Ledger:
    """The ledger of a deployment.

    Args:
        client: of the state server; it may decode responses or not.
        prefix: of all keys, shared by all processes of the deployment.
        lease: seconds a silent owner keeps its runs.
        resend_after: seconds until a message that nobody began counts as late.
        max_deliveries: runs that may die, or messages that may be lost, before a request fails.
        retention: seconds a row is kept after its final state.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        *,
        lease: float = 30.0,
        resend_after: float = 60.0,
        max_deliveries: int = 5,
        retention: int = 259_200,
    ) -> None:
        self.client = client
        self.base = f"{{{prefix}}}:"
        self.lease = lease
        self.resend_after = resend_after
        self.max_deliveries = max_deliveries
        self.retention = retention
        self._scripts = register(client, __package__)

    def key(self, *parts: str) -> str:
        """Return the name of one of the ledger's keys."""
        return self.base + ":".join(parts)

    def _call(self, script: str, id_: str, *args: object) -> Any:
        row = self.key("row", id_)
        return self._scripts[script](keys=[row], args=[self.base, id_, *map(str, args)])

    def accept(
        self, id_: str, *, task: str, signature: str, lane: str, endpoint: str, delay: float = 0.0
    ) -> State:
        """Open a row; an id that has one keeps it. Returns the row's state.

        With a delay, in seconds, the request has no message until the clock sends it.
        """
        args = (task, signature, lane, endpoint, self.resend_after, delay)
        _, state = self._call("accept", id_, *args)
        return State(text(state))

    def accept_all(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Open rows in one round trip: by id, the arguments of `accept`."""
        script = self._scripts["accept"]
        with self.client.pipeline(transaction=False) as pipe:
            for id_, row in rows.items():
                of = (row["task"], row["signature"], row["lane"], row["endpoint"])
                args = [self.base, id_, *of, str(self.resend_after), str(row["delay"])]
                script(keys=[self.key("row", id_)], args=args, client=pipe)
            pipe.execute()

    def withdraw(self, id_: str) -> bool:
        """Forget a row whose message could not be published."""
        return bool(self._call("withdraw", id_))

    def begin(self, id_: str, task: str, owner: str) -> Run | str:
        """Take the request for one run.

        Returns:
            The run, or why this message has nothing to do: ABSENT, FINAL, STALE (another task's
            turn), BUSY (a live run has it), PARKED or SUBMITTED.
        """
        args = (task, owner, self.lease, self.max_deliveries, uuid.uuid4().hex)
        verdict, flat = self._call("begin", id_, *args)
        verdict = text(verdict)
        if verdict not in {"RUN", "POISON"}:
            return verdict
        row = _row(flat)
        return Run(id_, owner, int(row["run"]), row, poison=verdict == "POISON")

    def note(self, run: Run, **fields: object) -> bool:
        """Write fields of a run's row ("" deletes one). False: the run is not ours now."""
        row = self.key("row", run.id)
        args = [run.owner, str(run.number), *_flat(fields)]
        return bool(self._scripts["note"](keys=[row], args=args))

    def park(self, run: Run, seconds: float, **fields: object) -> bool:
        """Hand a run's request back for `seconds`; the clock sends it again."""
        return bool(self._call("park", run.id, run.owner, run.number, seconds, *_flat(fields)))

    def submit(  # noqa: D417 - fields are the row's
        self, run: Run, *, prefix: str, first_look: float, deadline: float, **fields: object
    ) -> bool:
        """End a run whose request an asynchronous endpoint has; `poll` looks for its output.

        Args:
            run: the run.
            prefix: the S3 location under which its output appears.
            first_look: seconds until the first look.
            deadline: seconds until the request is given up.
        """
        args = (run.owner, run.number, prefix, first_look, deadline, *_flat(fields))
        return text(self._call("submit", run.id, *args)) != "0"

    def ready(self, id_: str, *, task: str, kind: str) -> str | None:
        """Note that a submitted request's answer was found; returns the signature to send."""
        return self.ready_many({id_: kind}, task=task).get(id_)

    def ready_many(self, answers: Mapping[str, str], *, task: str) -> dict[str, str]:
        """Note that answers were found: by id, their kinds. Returns the signatures to send."""
        script, shared = self._scripts["ready"], (str(self.resend_after), uuid.uuid4().hex)
        with self.client.pipeline(transaction=False) as pipe:
            for id_, kind in answers.items():
                args = [self.base, id_, task, kind, *shared]
                script(keys=[self.key("row", id_)], args=args, client=pipe)
            found = pipe.execute()
        return {id_: text(sent) for id_, sent in zip(answers, found, strict=True) if sent}

    def found(self, ids: Sequence[str], *, task: str) -> dict[str, str]:
        """Return, by id, the messages of requests whose answer is a task's to collect."""
        rows = zip(ids, self._fields(ids, "task", "ready", "signature"), strict=True)
        return {
            id_: signature
            for id_, (of, ready, signature) in rows
            if of == task and ready and signature
        }

    def reopen(self, id_: str) -> bool:
        """Let a request be sent again whose unanswered call left no output."""
        return bool(self._call("reopen", id_))

    def finish(self, run: Run, state: State, reason: Mapping[str, Any] | None = None) -> bool:
        """Move a run's row to its final state. False: it has one, or the run is not ours now."""
        return self._end(run.id, run.owner, run.number, state, reason)

    def close(self, id_: str, state: State, reason: Mapping[str, Any] | None = None) -> bool:
        """End a request from outside a run, unless it ended or its outcome is being delivered.

        The caller stores Celery's result, then says `told`; if it dies before, the clock does it.
        """
        return self._end(id_, "", 0, state, reason)

    def _end(
        self, id_: str, owner: str, number: int, state: State, reason: Mapping[str, Any] | None
    ) -> bool:
        code = "" if reason is None else reason.get("code", "")
        call = uuid.uuid4().hex
        args = (owner, number, state, _json(reason), self.retention, code, call, self.lease)
        return bool(self._call("finish", id_, *args))

    def told(self, id_: str) -> None:
        """Note that Celery has the result of a request that was ended from outside."""
        with self.client.pipeline() as pipe:
            pipe.hdel(self.key("row", id_), "signature", "untold")
            pipe.zrem(self.key("due"), id_)
            pipe.execute()

    def resend(self, id_: str, *, queue_empty: bool) -> tuple[str, str]:
        """Decide for a due row. Returns SEND, LOST, TELL or WAIT, and the signature."""
        args = (int(queue_empty), self.resend_after, self.max_deliveries, uuid.uuid4().hex)
        verdict, signature = self._call("resend", id_, *args)
        return text(verdict), text(signature)

    def reap(self, owners: int = 100) -> list[str]:
        """Take back what owners with lapsed leases were running. Returns the ids."""
        taken = self._scripts["reap"](keys=[self.key("owners")], args=[self.base, owners])
        return [text(id_) for id_ in cast("list[bytes]", taken)]

    def running(self, owner: str, besides: Collection[str]) -> list[tuple[str, int]]:
        """Return what an owner is running, but for some ids: the ids and the runs' numbers."""
        found = self.client.smembers(self.key("running", owner))
        ids = [id_ for id_ in map(text, cast("set[bytes]", found)) if id_ not in besides]
        runs = self._fields(ids, "run") if ids else []
        return [(id_, int(run[0] or 0)) for id_, run in zip(ids, runs, strict=True)]

    def give_back(self, id_: str, owner: str, number: int) -> bool:
        """Take a request from a run that its owner knows nothing of; it is sent again at once."""
        return bool(self._call("give_back", id_, owner, number))

    def renew(self, owner: str, now: float) -> None:
        """Extend an owner's lease from `now`, Redis' time in seconds."""
        self.client.zadd(self.key("owners"), {owner: now + self.lease})

    def now(self) -> float:
        """Return Redis' time in Unix seconds."""
        seconds, micros = self.client.time()
        return seconds + micros / 1e6

    def due(self, now: float) -> list[tuple[str, str]]:
        """Return ids, with their lanes, that the clock must look at."""
        found = self.client.zrangebyscore(self.key("due"), "-inf", now, start=0, num=PAGE)
        ids = [text(id_) for id_ in cast("list[bytes]", found)]
        lanes = self._fields(ids, "lane")
        return [(id_, lane[0] or "") for id_, lane in zip(ids, lanes, strict=True)]

    def prefixes(self, now: float, hold: float) -> list[str]:
        """Claim, for `hold` seconds, the output prefixes that are due for a look."""
        key = self.key("prefixes")
        found = cast("list[bytes]", self.client.zrangebyscore(key, "-inf", now))
        claimed = [text(prefix) for prefix in found]
        if claimed:
            self.client.zadd(key, dict.fromkeys(claimed, now + hold), xx=True)
        return claimed

    def look_again(self, prefix: str, at: float) -> None:
        """Set the time of a prefix's next look, or forget a prefix with nothing pending."""
        keys = [self.key("pending", prefix), self.key("prefixes")]
        self._scripts["look_again"](keys=keys, args=[prefix, at])

    def pending(self, prefix: str) -> Iterator[Pending]:
        """Yield what is awaited under an output prefix, oldest first."""
        found = self.client.zrange(self.key("pending", prefix), 0, -1)
        ids = [text(id_) for id_ in cast("list[bytes]", found)]
        names = ("endpoint", "output_location", "failure_location", "submitted_at", "deadline")
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            rows = self._fields(page, *names, "unanswered_until", "inference_id")
            for id_, row in zip(page, rows, strict=True):
                endpoint, output, failure, submitted, deadline, unanswered, inference = row
                if output is None or submitted is None or deadline is None:
                    self.client.zrem(self.key("pending", prefix), id_)
                    continue
                yield Pending(
                    id=id_,
                    endpoint=endpoint or "",
                    output_location=output,
                    failure_location=failure,
                    submitted_at=float(submitted),
                    deadline=float(deadline),
                    unanswered_until=float(unanswered) if unanswered else None,
                    inference_id=inference or id_,
                )

    def status(self, id_: str) -> Status | None:
        """Return a request's row, or None for an id that the ledger does not know."""
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.key("row", id_)))
        return Status.from_row({text(k): text(v) for k, v in row.items()}) if row else None

    def signature(self, id_: str) -> str | None:
        """Return the message of a request that has not ended; of a submitted one, its second.

        It stays until the end of a request that was ended from outside is `told`.
        """
        (found,) = self._fields([id_], "collecting", "signature")
        return found[0] or found[1]

    def counts(self) -> dict[str, int]:
        """Return how many requests were ever accepted and reached each final state."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.key("counts")))
        return {text(name): int(value) for name, value in found.items()}

    def use(self, requests: Mapping[str, int]) -> None:
        """Add up S3 requests that were paid for, by kind."""
        for kind, number in requests.items():
            self.client.hincrby(self.key("usage"), kind, number)

    def usage(self) -> dict[str, int]:
        """Return the S3 requests made so far, by kind."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.key("usage")))
        return {text(kind): int(number) for kind, number in found.items()}

    def spend(self, endpoint: str, cost: int, size: int) -> bool:
        """Pay for a retry from the endpoint's budget; a negative cost gives back."""
        budget = self.key("budget", endpoint)
        return bool(self._scripts["budget"](keys=[budget], args=[cost, size, BUDGET_LIFE]))

    def bury(self, entry: Mapping[str, Any]) -> None:
        """Put a message that must not be retried on the dead-letter list, newest first."""
        with self.client.pipeline() as pipe:
            pipe.lpush(self.key("dead"), json.dumps(entry, default=repr))
            pipe.ltrim(self.key("dead"), 0, DEAD_LETTERS - 1)
            pipe.execute()
        extra = {name: entry[name] for name in ("id", "task", "code") if name in entry}
        logger.error("dead_letter", extra=extra)

    def dead_letters(self, count: int = 100) -> list[dict[str, Any]]:
        """Return the newest entries of the dead-letter list."""
        found = cast("list[bytes]", self.client.lrange(self.key("dead"), 0, count - 1))
        return [json.loads(entry) for entry in found]

    def output_root(self, endpoint: str) -> str | None:
        """Return where the endpoint was last seen to write, without extension and file name."""
        found = cast("bytes | None", self.client.hget(self.key("roots"), endpoint))
        return text(found) if found else None

    def output_roots(self) -> list[str]:
        """Return where any endpoint was last seen to write."""
        found = cast("list[bytes]", self.client.hvals(self.key("roots")))
        return [text(root) for root in found]

    def learn(
        self, endpoint: str, *, root: str | None = None, seconds: float | None = None
    ) -> None:
        """Remember where an endpoint writes and how long it took."""
        if root is not None:
            self.client.hset(self.key("roots"), endpoint, root)
        if seconds is not None:
            self.client.hset(self.key("durations"), endpoint, str(seconds))

    def duration(self, endpoint: str) -> float | None:
        """Return how many seconds the endpoint has been taking, as a moving average."""
        found = cast("bytes | None", self.client.hget(self.key("durations"), endpoint))
        return float(found) if found else None

    def _fields(self, ids: Iterable[str], *names: str) -> list[list[str | None]]:
        with self.client.pipeline(transaction=False) as pipe:
            for id_ in ids:
                pipe.hmget(self.key("row", id_), *names)
            rows = pipe.execute()
        return [[None if v is None else text(v) for v in row] for row in rows]


def _json(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else json.dumps(value, default=repr)


def _flat(fields: Mapping[str, object]) -> list[str]:
    return [str(part) for item in fields.items() for part in item]


def _row(flat: list[Any]) -> dict[str, str]:
    texts = [text(value) for value in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))
