"""The schedules' scripts against a model in Python: one run at a time, each due time once."""

import itertools
import uuid
from dataclasses import dataclass, field

from celery_sagemaker.tasks.schedules import RunState
from celery_sagemaker.tasks.schedules.registry import Record, Registry
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_clock import ClockedRedis, drive

NAME = "nightly"

#: Which of the runs, or of the records that were read; the newest first.
NTH = st.sampled_from([0, 0, 0, 1, 1, 2])

OVERLAPS = st.sampled_from(["skip", "queue", "queue", "replace"])

ENDS = st.sampled_from([RunState.SUCCEEDED, RunState.FAILED, RunState.REVOKED])


@dataclass
class Run:
    """What the model knows of a run."""

    id: str
    due: float
    state: RunState
    waited: bool = False
    replaces: str | None = None
    target: str | None = None


@dataclass
class Schedule:
    """What the model knows of the schedule."""

    settings: str
    version: int
    """That no other schedule, of this name or before this change, has had."""
    dealt: float
    planned: float | None
    paused: bool = False
    running: str | None = None
    waiting: str | None = None
    last: str | None = None
    missed: int = 0
    runs: dict[str, Run] = field(default_factory=dict)


class Machine(RuleBasedStateMachine):
    """Drives a schedule in Redis and its model with the same commands."""

    client: ClockedRedis

    @initialize()
    def begin_test(self) -> None:
        """Start with a schedule, a run of it, and one that waits."""
        self.client.set_clock(1_700_000_000.0)
        self.client.loses_answers = False
        self.registry = Registry(self.client, f"{{test-{uuid.uuid4().hex}}}:")
        self.versions = itertools.count()
        self.model: Schedule | None = None
        self.ids: list[str] = []
        self.seen: list[tuple[Record, int]] = []
        self.put("{}", change=True)
        self.begin("skip", "schedule", 0, late=False)
        self.begin("queue", "schedule", 0, late=False)

    @property
    def now(self) -> float:
        """The time."""
        return self.client.now

    @rule(lost=st.booleans())
    def lose_answers(self, *, lost: bool) -> None:
        """From now on each answer is lost, and its command repeated; or none any more."""
        self.client.loses_answers = lost

    @rule(settings=st.sampled_from(["{}", '{"every":5}']), change=st.booleans())
    def put(self, settings: str, *, change: bool) -> None:
        """The schedule is added, changed, or left as it is."""
        self.client.advance(1)
        model, then = self.model, self.now + 60
        verdict = self.registry.put(
            NAME, settings, source="api", change=change, dealt=self.now, times={"last_due": then}
        )
        if model is None:
            self.model = Schedule(settings, next(self.versions), self.now, then)
            wanted = "NEW"
        elif not change:
            wanted = "EXISTS"
        elif model.settings == settings:
            wanted = "SAME"
        else:
            model.settings, model.version, model.dealt = settings, next(self.versions), self.now
            model.planned = None if model.paused else then
            wanted = "CHANGED"
        if self.client.loses_answers and wanted in ("NEW", "CHANGED"):
            wanted = "SAME" if change else "EXISTS"
        assert verdict == wanted

    @rule(pause=st.booleans())
    def pause(self, *, pause: bool) -> None:
        """The schedule is paused, or goes on."""
        model, then = self.model, self.now + 60
        if pause:
            assert self.registry.pause(NAME) is (model is not None)
        else:
            done = self.registry.resume(NAME, self.now, {"last_due": then})
            assert done is (model is not None)
        if model is None or model.paused is pause:
            return
        model.paused, model.version = pause, next(self.versions)
        model.planned = None if pause else then
        model.dealt = model.dealt if pause else self.now

    @precondition(lambda self: len(self.ids) > 2)
    @rule()
    def remove(self) -> None:
        """The schedule is removed; what is under way finds nothing."""
        there = self.model is not None and not self.client.loses_answers
        assert self.registry.remove(NAME) is there
        self.model, self.ids = None, []

    @precondition(lambda self: self.model)
    @rule()
    def read(self) -> None:
        """A beat reads the schedule; what it does may come late."""
        record = self.registry.record(NAME)
        assert record is not None
        assert self.model is not None
        self.seen.insert(0, (record, self.model.version))

    @precondition(lambda self: self.seen)
    @rule(nth=NTH, ahead=st.sampled_from([-60, 1, 60]), missed=st.integers(0, 2))
    def advance(self, nth: int, ahead: int, missed: int) -> None:
        """A beat notes that due times are dealt with."""
        record, version = self.seen[nth % len(self.seen)]
        model, dealt = self.model, record.dealt["last_due"] + ahead
        may = model is not None and model.version == version and dealt > model.dealt
        done = self.registry.advance(
            record, "last_due", dealt=dealt, then=dealt + 60, missed=missed
        )
        assert done is (may and not self.client.loses_answers)
        if model and may:
            model.dealt, model.missed = dealt, model.missed + missed
            model.planned = None if model.paused else dealt + 60

    @rule(
        overlap=OVERLAPS,
        trigger=st.sampled_from(["schedule", "schedule", "manual"]),
        age=st.sampled_from([0, 0, 100]),
        late=st.sampled_from([False, False, False, True]),
    )
    def begin(self, overlap: str, trigger: str, age: int, *, late: bool) -> None:
        """The message of a new run is delivered."""
        self.client.advance(1)
        id_ = f"run-{uuid.uuid4().hex}"
        given = {"id": id_, "due": self.now - age, "trigger": trigger, "kind": "invoke"}
        begun = self.registry.begin(NAME, {**given, "missed": 0}, overlap, late=late)
        model = self.model
        if model is None:
            assert begun.verdict == "GONE"
            return
        run = model.runs[id_] = Run(id_, self.now - age, RunState.RUNNING)
        self.ids.insert(0, id_)
        other = model.runs[model.running] if model.running else None
        replaced = self.decide(model, run, other, overlap, late=late, manual=trigger == "manual")
        assert begun.run is not None
        assert (begun.run.id, begun.run.state) == (id_, run.state)
        assert begun.verdict == ("START" if run.state is RunState.RUNNING else "LEAVE")
        if replaced and not self.client.loses_answers:
            assert begun.replaced is not None
            assert (begun.replaced.id, begun.replaced.state) == (replaced, "REVOKED")

    def decide(
        self,
        model: Schedule,
        run: Run,
        other: Run | None,
        overlap: str,
        *,
        late: bool,
        manual: bool,
    ) -> str | None:
        """Decide what becomes of a run; returns the id of the one that it replaces."""
        if model.paused and not manual:
            run.state = RunState.SKIPPED
        elif late:
            run.state, model.missed = RunState.MISSED, model.missed + 1
        elif other is None:
            model.running = run.id
        elif overlap == "replace" and other.due <= run.due:
            other.state, model.last, model.running = RunState.REVOKED, other.id, run.id
            run.replaces = other.id
            return other.id
        elif overlap == "queue" and model.waiting is None:
            run.state, model.waiting = RunState.WAITING, run.id
        else:
            run.state = RunState.SKIPPED
        return None

    @precondition(lambda self: self.model and self.ids)
    @rule(nth=NTH, overlap=OVERLAPS, late=st.booleans())
    def begin_again(self, nth: int, overlap: str, *, late: bool) -> None:
        """The message of a run is delivered again: the answer stays."""
        assert self.model is not None
        run = self.model.runs[self.ids[nth % len(self.ids)]]
        given = {"id": run.id, "due": 0, "trigger": "schedule", "kind": "batch", "missed": 0}
        begun = self.registry.begin(NAME, given, overlap, late=late)
        assert begun.run is not None
        assert begun.run.state == run.state
        assert begun.verdict == ("START" if run.state is RunState.RUNNING else "LEAVE")

    @precondition(lambda self: self.model and self.ids)
    @rule(nth=NTH)
    def note(self, nth: int) -> None:
        """A run has started its task, perhaps after another has taken its place."""
        assert self.model is not None
        run = self.model.runs[self.ids[nth % len(self.ids)]]
        run.target = f"task of {run.id}"
        going = self.registry.note(NAME, run.id, run.target, "invoke")
        assert going is (run.state is RunState.RUNNING)

    @precondition(lambda self: self.model and self.ids)
    @rule(nth=NTH, state=ENDS)
    def finish(self, nth: int, state: RunState) -> None:
        """A run ends, perhaps one that waits, or has ended."""
        self._finish(self.ids[nth % len(self.ids)], state)

    @precondition(lambda self: self.model and self.model.running)
    @rule(state=ENDS)
    def finish_running(self, state: RunState) -> None:
        """The run that is going on ends."""
        assert self.model is not None
        assert self.model.running is not None
        self._finish(self.model.running, state)

    @precondition(lambda self: self.model and self.model.waiting)
    @rule(state=ENDS)
    def finish_waiting(self, state: RunState) -> None:
        """The run that waits is revoked."""
        assert self.model is not None
        assert self.model.waiting is not None
        self._finish(self.model.waiting, state)

    def _finish(self, id_: str, state: RunState) -> None:
        model = self.model
        assert model is not None
        run, following = model.runs[id_], None
        ended, next_ = self.registry.finish(NAME, id_, state, {"code": "Ended"})
        if run.state.final:
            assert (ended, next_) == (None, None)
            return
        run.state, model.last = state, id_
        if model.waiting == id_:
            model.waiting = None
        elif model.running == id_:
            following, model.running, model.waiting = model.waiting, None, None
        if following:
            waiting = model.runs[following]
            waiting.state = RunState.SKIPPED if model.paused else RunState.RUNNING
            waiting.waited = not model.paused
            model.running = None if model.paused else following
        if not self.client.loses_answers:
            assert ended is not None
            assert (ended.id, ended.state) == (id_, state)
            assert (next_.id if next_ else None) == following

    @invariant()
    def same(self) -> None:
        """The schedule, its runs and its place in RedBeat's index are the model's."""
        if not hasattr(self, "model"):
            return
        record, model = self.registry.record(NAME), self.model
        if model is None:
            assert record is None
            assert self.registry.names() == []
            assert list(self.registry.going()) == []
            assert self.registry.next_time(NAME) is None
            return
        assert record is not None
        assert (record.settings, record.paused) == (model.settings, model.paused)
        assert (record.running, record.waiting) == (model.running, model.waiting)
        assert (record.last.id if record.last else None) == model.last
        assert (record.dealt["last_due"], record.missed) == (model.dealt, model.missed)
        assert self.registry.next_time(NAME) == model.planned
        assert self.registry.names() == [NAME]
        going = {run.id for _, run in self.registry.going()}
        assert going == ({model.running} if model.running else set())
        found = {run.id: run for run in self.registry.runs(NAME, 1_000)}
        assert {id_: run.state for id_, run in found.items()} == {
            id_: run.state for id_, run in model.runs.items()
        }
        for id_, run in model.runs.items():
            seen = found[id_]
            assert (seen.waited, seen.target) == (run.waited, run.target)
            assert (seen.replaces or {}).get("id") == run.replaces
            assert (seen.ended is not None) is run.state.final

    @invariant()
    def one_runs(self) -> None:
        """At most one run is going on, and one waits for it; none waits for nothing."""
        if not hasattr(self, "model") or self.model is None:
            return
        states = [run.state for run in self.model.runs.values()]
        assert states.count(RunState.RUNNING) == (self.model.running is not None) <= 1
        assert states.count(RunState.WAITING) == (self.model.waiting is not None) <= 1
        assert self.model.running or not self.model.waiting

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "registry"):
            self.client.forget(self.registry.base)


def test_the_schedules_do_what_their_model_does(sagemaker_redis_url: str) -> None:
    """Runs, pauses, changes, beats that come late and lost answers, in any order."""
    drive(Machine, sagemaker_redis_url, 0.6, 40)
