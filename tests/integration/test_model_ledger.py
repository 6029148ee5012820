"""The ledger's scripts against a model in Python: any commands, by anybody, at any times."""

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from celery_sagemaker.tasks.ledger import FINAL, Ledger, Run, State
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_clock import ClockedRedis, drive

#: Seconds of the ledger of these tests.
LEASE, LATE, RETENTION = 10, 60, 1_000

#: Deaths that make poison, and messages that may be lost.
MOST = 3

INVOKE, COLLECT = "sagemaker.invoke", "sagemaker.collect"

OWNERS = st.sampled_from(["one", "one", "two"])
PREFIXES = ("s3://b/p/", "s3://b/q/")

#: Which of the requests, of the runs, or of the due rows that were handed out; the newest first.
NTH = st.sampled_from([0, 0, 0, 0, 1, 1, 2])

#: Requests that have not ended, at most.
LIVE = 3


@dataclass
class Row:
    """What the model knows of one request."""

    lane: str
    seq: int
    signature: str = "first"
    state: State = State.ACCEPTED
    task: str = INVOKE
    owner: str | None = None
    run: int = 0
    deaths: int = 0
    deliveries: int = 0
    sends: int = 1
    """Messages since the last run began: so many of them were lost."""
    due: float | None = None
    """When the clock looks at it."""
    not_before: float | None = None
    lost: bool = False
    ready: str | None = None
    outcome: str | None = None
    prefix: str | None = None
    pending: float | None = None
    """Since when it waits under its prefix."""
    unanswered_until: float | None = None
    collecting: str | None = None
    untold: bool = False
    """Whether it was ended from outside, and Celery need not know yet."""

    @property
    def back(self) -> State:
        """Where a run that ends without an outcome leaves the row."""
        return State.SUBMITTED if self.ready else State.ACCEPTED

    @property
    def sendable(self) -> bool:
        """Whether a message of it is to be somewhere."""
        return self.state is State.ACCEPTED or (self.state is State.SUBMITTED and bool(self.ready))


@dataclass
class Model:
    """The ledger, in Python."""

    rows: dict[str, Row] = field(default_factory=dict)
    owners: dict[str, float] = field(default_factory=dict)
    prefixes: dict[str, float] = field(default_factory=dict)
    started: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    seq: int = 0

    def next_seq(self) -> int:
        """Number messages in the order in which they are sent."""
        self.seq += 1
        return self.seq

    def held(self, run: Run) -> Row | None:
        """The row of a run that is still its owner's to say anything about."""
        row = self.rows.get(run.id)
        ours = (
            row and row.state is State.RUNNING and (row.owner, row.run) == (run.owner, run.number)
        )
        return row if ours else None

    def why_not(self, row: Row, task: str, now: float) -> str | None:
        """Why a message has nothing to do."""
        reasons = {
            "FINAL": row.state in FINAL,
            "STALE": row.task != task,
            "SUBMITTED": row.state is State.SUBMITTED and not row.ready,
            "PARKED": row.not_before is not None and row.not_before > now,
            "BUSY": row.state is State.RUNNING and self.owners.get(row.owner or "", 0) > now,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def begin(self, id_: str, task: str, owner: str, now: float) -> str:
        """What `begin` answers."""
        row = self.rows.get(id_)
        if row is None:
            return "ABSENT"
        if reason := self.why_not(row, task, now):
            return reason
        verdict = "POISON" if row.deaths >= MOST else "RUN"
        row.state, row.owner, row.run = State.RUNNING, owner, row.run + 1
        row.deaths, row.deliveries, row.sends = row.deaths + 1, row.deliveries + 1, 0
        row.not_before, row.lost, row.due = None, False, None
        self.owners[owner] = now + LEASE
        self.started[row.lane] = max(self.started[row.lane], row.seq)
        return verdict

    def resend(self, id_: str, now: float, *, empty: bool) -> str:
        """What `resend` answers."""
        row = self.rows.get(id_)
        if row is None or not (row.sendable or row.untold):
            if row is not None:
                row.due = None
            return "WAIT"
        assert row.due is not None
        if row.due > now:
            return "WAIT"
        if row.untold:
            row.due = now + LATE
            return "TELL"
        if row.not_before is None and not row.lost:
            if not empty and self.started[row.lane] <= row.seq:
                row.due = now + LATE / 4
                return "WAIT"
            if row.sends >= MOST:
                return "LOST"
        row.due = now + LATE * 2**row.sends
        row.sends, row.seq = row.sends + 1, self.next_seq()
        row.lost, row.not_before = False, None
        return "SEND"

    def end(self, row: Row, state: State, tell_by: float | None = None) -> None:
        """Let a row be final; one ended from outside is told of by a clock at `tell_by`."""
        self.counts[state] += 1
        self.rows[next(id_ for id_, one in self.rows.items() if one is row)] = Row(
            row.lane, row.seq, row.collecting or row.signature, state, row.task,
            run=row.run, deliveries=row.deliveries, due=tell_by, untold=tell_by is not None,
        )  # fmt: skip

    def reap(self, now: float) -> set[str]:
        """What `reap` takes back."""
        dead = {owner for owner, until in self.owners.items() if until <= now}
        taken = {id_ for id_, row in self.rows.items() if row.owner in dead}
        for id_ in taken:
            row = self.rows[id_]
            row.state, row.owner, row.lost, row.due = row.back, None, True, now
        for owner in dead:
            del self.owners[owner]
        return taken


class Machine(RuleBasedStateMachine):
    """Drives a ledger in Redis and its model with the same commands."""

    client: ClockedRedis

    @initialize()
    def begin_test(self) -> None:
        """Start with one request, and its run."""
        self.client.set_clock(1_700_000_000.0)
        self.client.loses_answers = False
        self.ledger = Ledger(
            self.client, f"test-{uuid.uuid4().hex}", lease=LEASE, resend_after=LATE,
            max_deliveries=MOST, retention=RETENTION,
        )  # fmt: skip
        self.model = Model()
        self.runs: list[Run] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.accept_new("q/0", 0)
        self.begin(0, "one", stale=False)

    @property
    def now(self) -> float:
        """The time."""
        return self.client.now

    def row(self, id_: str) -> Row | None:
        """What the model knows of a request."""
        return self.model.rows.get(id_)

    def once(self, *, may: bool) -> bool:
        """What is answered to a command that is done once: its repetition changes nothing."""
        return may and not self.client.loses_answers

    @rule(lost=st.booleans())
    def lose_answers(self, *, lost: bool) -> None:
        """From now on each answer is lost, and its command repeated; or none any more."""
        self.client.loses_answers = lost

    @precondition(lambda self: sum(r.state not in FINAL for r in self.model.rows.values()) < LIVE)
    @rule(lane=st.sampled_from(["q/0", "r/0"]), delay=st.sampled_from([0, 0, 30]))
    def accept_new(self, lane: str, delay: int) -> None:
        """A request is published, now or for later."""
        self.ids.insert(0, f"r{len(self.ids)}")
        self.accept(self.ids[0], lane, delay)

    @precondition(lambda self: self.ids)
    @rule(nth=NTH, delay=st.sampled_from([0, 30]))
    def accept_again(self, nth: int, delay: int) -> None:
        """A request is published again under its id: it keeps its row, if it has one."""
        self.accept(self.id_of(nth), "q/0", delay)

    def id_of(self, nth: int) -> str:
        """One of the requests."""
        return self.ids[nth % len(self.ids)]

    def accept(self, id_: str, lane: str, delay: int) -> None:
        """Publish a request."""
        state = self.ledger.accept(
            id_, task=INVOKE, signature="first", lane=lane, endpoint="e", delay=delay
        )
        if (row := self.row(id_)) is None:
            row = self.model.rows[id_] = Row(lane, self.model.next_seq())
            row.due = self.now + (delay or LATE)
            if delay:
                row.sends, row.not_before = 0, row.due
            self.model.counts["ACCEPTED"] += 1
        assert state is row.state

    @precondition(lambda self: self.ids)
    @rule(nth=NTH)
    def withdraw(self, nth: int) -> None:
        """The broker did not take its message."""
        id_ = self.id_of(nth)
        row = self.row(id_)
        may = row is not None and row.state is State.ACCEPTED and not row.run
        assert self.ledger.withdraw(id_) is self.once(may=may)
        if may:
            del self.model.rows[id_]
            self.model.counts["ACCEPTED"] -= 1

    @precondition(lambda self: self.ids)
    @rule(nth=NTH, stale=st.sampled_from([False, False, False, True]), owner=OWNERS)
    def begin(self, nth: int, owner: str, *, stale: bool) -> None:
        """A message is delivered: the first, one sent again, or a copy."""
        id_ = self.id_of(nth)
        row = self.row(id_)
        task = INVOKE if stale or row is None else row.task
        found = self.ledger.begin(id_, task, owner)
        verdict = self.model.begin(id_, task, owner, self.now)
        if not isinstance(found, Run):
            assert found == verdict
            return
        assert row is not None
        assert ("POISON" if found.poison else "RUN") == verdict
        assert (found.number, found.deaths) == (row.run, row.deaths - 1)
        assert found.outcome == (None if row.outcome is None else json.loads(row.outcome))
        self.runs.insert(0, found)

    def pick(self, nth: int) -> tuple[Run, Row | None]:
        """A run that was begun at some time, and its row if it is still this run's."""
        run = self.runs[nth % len(self.runs)]
        return run, self.model.held(run)

    @precondition(lambda self: self.runs)
    @rule(nth=NTH, outcome=st.sampled_from(["1", "2", ""]))
    def note(self, nth: int, outcome: str) -> None:
        """A run writes down what it was answered, or that it was not."""
        run, row = self.pick(nth)
        assert self.ledger.note(run, outcome=outcome) is (row is not None)
        if row:
            row.outcome = outcome or None

    @precondition(lambda self: self.runs)
    @rule(nth=NTH, seconds=st.sampled_from([0, 5, 100]))
    def park(self, nth: int, seconds: int) -> None:
        """A run hands its request back, for later."""
        run, row = self.pick(nth)
        assert self.ledger.park(run, seconds) is self.once(may=row is not None)
        if row:
            row.state, row.owner, row.deaths, row.sends = row.back, None, 0, 0
            row.due = row.not_before = self.now + seconds

    @precondition(lambda self: self.runs)
    @rule(nth=NTH, prefix=st.sampled_from(PREFIXES), unanswered=st.booleans())
    def submit(self, nth: int, prefix: str, *, unanswered: bool) -> None:
        """A run hands its request to an asynchronous endpoint, and perhaps is not answered."""
        run, row = self.pick(nth)
        if row and row.ready:
            return  # a collecting run does not submit
        fields: dict[str, Any] = {"unanswered_until": self.now + 40} if unanswered else {}
        done = self.ledger.submit(
            run, prefix=prefix, first_look=2, deadline=500, collecting="second",
            output_location="s3://b/p/x", **fields,
        )  # fmt: skip
        assert done is self.once(may=row is not None)
        if row:
            row.state, row.owner, row.deaths, row.prefix = State.SUBMITTED, None, 0, prefix
            row.pending, row.collecting = self.now, "second"
            row.unanswered_until = fields.get("unanswered_until", row.unanswered_until)
            self.model.prefixes.setdefault(prefix, self.now + 2)

    @precondition(lambda self: self.ids)
    @rule(nth=NTH, kind=st.sampled_from(["output", "failure", "deadline"]))
    def ready(self, nth: int, kind: str) -> None:
        """A look finds an answer, perhaps one that another look has found."""
        id_ = self.id_of(nth)
        row = self.row(id_)
        found = self.ledger.ready(id_, task=COLLECT, kind=kind)
        if row is None or row.state is not State.SUBMITTED or row.ready:
            assert found is None
            return
        assert found == row.collecting
        row.ready, row.task, row.signature, row.collecting = kind, COLLECT, "second", None
        row.sends, row.seq, row.due = 1, self.model.next_seq(), self.now + LATE
        row.pending = None

    @precondition(lambda self: self.ids)
    @rule(nth=NTH)
    def reopen(self, nth: int) -> None:
        """A look finds nothing of a call without an answer, perhaps of one before this one."""
        id_ = self.id_of(nth)
        row = self.row(id_)
        may = bool(
            row and row.state is State.SUBMITTED and not row.ready
            and row.unanswered_until is not None and row.unanswered_until <= self.now
        )  # fmt: skip
        assert self.ledger.reopen(id_) is self.once(may=may)
        if row and may:
            row.state, row.lost, row.sends, row.due = State.ACCEPTED, True, 0, self.now
            row.prefix = row.pending = row.unanswered_until = row.collecting = None

    @precondition(lambda self: self.runs)
    @rule(nth=NTH, state=st.sampled_from([State.SUCCEEDED, State.FAILED, State.EXPIRED]))
    def finish(self, nth: int, state: State) -> None:
        """A run ends its request."""
        run, row = self.pick(nth)
        assert self.ledger.finish(run, state, {"code": "Ended"}) is (row is not None)
        if row:
            self.model.end(row, state)

    @precondition(lambda self: self.ids)
    @rule(nth=NTH)
    def revoke(self, nth: int) -> None:
        """Somebody ends a request, unless its outcome is under way."""
        id_ = self.id_of(nth)
        row = self.row(id_)
        may = row is not None and row.state not in FINAL and row.outcome is None
        assert self.ledger.close(id_, State.REVOKED) is may
        if row and may:
            self.model.end(row, State.REVOKED, self.now + LEASE)

    @precondition(lambda self: any(row.untold for row in self.model.rows.values()))
    @rule(nth=NTH)
    def tell(self, nth: int) -> None:
        """Whoever ended a request from outside, or a clock, has told Celery of it."""
        untold = [id_ for id_, row in self.model.rows.items() if row.untold]
        id_ = untold[-1 - nth % len(untold)]
        self.ledger.told(id_)
        row = self.model.rows[id_]
        row.untold, row.due = False, None

    @rule()
    def look(self) -> None:
        """A clock looks what is due; what it does about it may be late."""
        found = [id_ for id_, _ in self.ledger.due(self.now)]
        wanted = {
            i for i, row in self.model.rows.items() if row.due is not None and row.due <= self.now
        }
        assert set(found) == wanted
        self.seen = found + self.seen

    @precondition(lambda self: self.seen)
    @rule(nth=NTH, empty=st.booleans())
    def resend(self, nth: int, *, empty: bool) -> None:
        """A clock does something about what it, or another clock, has seen due at some time."""
        id_ = self.seen[nth % len(self.seen)]
        row = self.row(id_)
        verdict, signature = self.ledger.resend(id_, queue_empty=empty)
        assert verdict == self.model.resend(id_, self.now, empty=empty)
        if verdict != "WAIT":
            assert row is not None
            assert signature == row.signature

    @rule()
    def reap(self) -> None:
        """What dead processes ran is taken back."""
        taken = self.model.reap(self.now)
        assert set(self.ledger.reap()) == (taken if self.once(may=True) else set())

    @rule(owner=OWNERS)
    def renew(self, owner: str) -> None:
        """A process lives, or begins anew under its name."""
        self.ledger.renew(owner, self.now)
        self.model.owners[owner] = self.now + LEASE

    @rule(hold=st.sampled_from([5, 60]))
    def claim(self, hold: int) -> None:
        """A clock sends looks at what is due for one; nobody else does for a while."""
        due = {prefix for prefix, at in self.model.prefixes.items() if at <= self.now}
        assert set(self.ledger.prefixes(self.now, hold)) == due
        self.model.prefixes |= dict.fromkeys(due, self.now + hold)

    @rule(prefix=st.sampled_from(PREFIXES))
    def look_again(self, prefix: str) -> None:
        """A look is over."""
        self.ledger.look_again(prefix, self.now + 7)
        rows = self.model.rows.values()
        if any(row.prefix == prefix and row.pending is not None for row in rows):
            self.model.prefixes[prefix] = self.now + 7
        else:
            self.model.prefixes.pop(prefix, None)

    @rule(seconds=st.sampled_from([1, 5, 10, 60, 300]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.client.advance(seconds)

    @invariant()
    def same(self) -> None:
        """Rows, leases and all indexes are the model's."""
        if not hasattr(self, "model"):
            return
        rows, model, key = self.model.rows, self.model, self.ledger.key
        with self.client.pipeline() as pipe:
            for id_ in self.ids:
                pipe.hgetall(key("row", id_))
                pipe.ttl(key("row", id_))
            for owner in ("one", "two"):
                pipe.smembers(key("running", owner))
            for prefix in PREFIXES:
                pipe.zrange(key("pending", prefix), 0, -1, withscores=True)
            for index in ("due", "owners", "prefixes"):
                pipe.zrange(key(index), 0, -1, withscores=True)
            pipe.hgetall(key("counts"))
            found = iter(pipe.execute())
        for id_ in self.ids:
            self.same_row(rows.get(id_), next(found), next(found))
        for owner in ("one", "two"):
            running = {id_.encode() for id_, row in rows.items() if row.owner == owner}
            assert next(found) == running
        for prefix in PREFIXES:
            under = {i: row.pending for i, row in rows.items() if row.prefix == prefix}
            assert _scores(next(found)) == {i: at for i, at in under.items() if at is not None}
        due = {id_: row.due for id_, row in rows.items() if row.due is not None}
        assert _scores(next(found)) == due
        assert _scores(next(found)) == model.owners
        assert _scores(next(found)) == model.prefixes
        counted = {name.decode(): int(number) for name, number in next(found).items()}
        assert Counter(counted) == model.counts

    def same_row(self, row: Row | None, found: dict[bytes, bytes], ttl: int) -> None:
        """Every field by which the scripts decide."""
        if row is None:
            assert found == {}
            return
        texts = {name.decode(): value.decode() for name, value in found.items()}
        assert texts["state"] == row.state
        assert (0 < ttl <= RETENTION) if row.state in FINAL else ttl == -1
        assert texts.get("owner") == row.owner
        assert (int(texts["run"]), texts["task"]) == (row.run, row.task)
        assert texts.get("outcome") == row.outcome
        if row.state in FINAL:
            assert texts.get("signature") == (row.signature if row.untold else None)
            assert "collecting" not in texts
            return
        assert int(texts["deaths"]) == row.deaths
        assert texts["signature"] == row.signature
        assert (int(texts["sends"]), int(texts["seq"])) == (row.sends, row.seq)
        assert ("lost" in texts) is row.lost
        assert (float(texts["not_before"]) if "not_before" in texts else None) == row.not_before
        assert texts.get("ready") == row.ready

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Whatever has not ended is where somebody will look for it."""
        if not hasattr(self, "model"):
            return
        for row in self.model.rows.values():
            if row.state is State.RUNNING:
                assert row.owner in self.model.owners
            elif row.sendable or row.untold:
                assert row.due is not None
            elif row.state is State.SUBMITTED:
                assert row.prefix in self.model.prefixes
                assert row.pending is not None
        ended = sum(row.state in FINAL for row in self.model.rows.values())
        assert ended == sum(self.model.counts[state] for state in FINAL)
        assert len(self.model.rows) == self.model.counts["ACCEPTED"]

    def teardown(self) -> None:
        """Every request ends when all owners die, and only the clock and one worker go on."""
        if not hasattr(self, "model"):
            return
        self.client.loses_answers = False
        for _ in range(3 * MOST):
            self.client.advance(LATE * 2**MOST)
            self.ledger.reap()
            for prefix in self.ledger.prefixes(self.now, 0):
                for awaited in list(self.ledger.pending(prefix)):
                    self.ledger.ready(awaited.id, task=COLLECT, kind="deadline")
            for id_, _ in self.ledger.due(self.now):
                verdict, _ = self.ledger.resend(id_, queue_empty=True)
                status = self.ledger.status(id_)
                assert status is not None
                if verdict == "SEND":
                    run = self.ledger.begin(id_, status.task, "last")
                    assert isinstance(run, Run)
                    assert self.ledger.finish(run, State.SUCCEEDED)
                elif verdict == "LOST":
                    assert self.ledger.close(id_, State.FAILED)
                if verdict in {"LOST", "TELL"}:
                    self.ledger.told(id_)
        for id_ in self.model.rows:
            status = self.ledger.status(id_)
            assert status is not None
            assert status.state in FINAL
        self.client.forget(self.ledger.base)


def _scores(found: list[tuple[bytes, float]]) -> dict[str, float]:
    return {name.decode(): score for name, score in found}


def test_the_ledger_does_what_its_model_does(sagemaker_redis_url: str) -> None:
    """Accepting, running, dying, parking, submitting, looking and time, in any order."""
    drive(Machine, sagemaker_redis_url, 1.0, 50)
