"""The batch registry's scripts against a model in Python: counts that add up, whatever happens."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from celery_sagemaker.tasks.batch.registry import Given, Registry, Report, Run
from celery_sagemaker.tasks.batch.states import FINAL, JobState
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_clock import ClockedRedis, connected, drive

#: Seconds after which a run counts as dead, and for which an ended job is kept.
SILENT, RETENTION = 30, 1_000

#: Seconds until a job is given up, of those that are.
EXPIRES = 200

#: Which of the jobs, or of what was handed out; the newest first.
NTH = st.sampled_from([0, 0, 0, 0, 1, 1, 2])

#: Records of a job's chunks, and how many of them may run at once.
SIZES = st.lists(st.integers(1, 4), min_size=0, max_size=4)
MOST = st.sampled_from([None, None, 1])

#: Jobs that have not ended, at most.
LIVE = 3


@dataclass
class Chunk:
    """What the model knows of a chunk."""

    left: int
    """Records without an outcome."""
    pending: float | None = 0.0
    """From when it may be given to a task; None: it is given, or done."""
    task: str | None = None
    gen: int = 0
    last: int = 0
    """The gen of the last report of this run."""
    begun: int = 0
    """The newest gen."""
    setbacks: int = 0
    heard: float = 0.0
    done: bool = False

    def leave(self) -> None:
        """Be no task's now."""
        self.task, self.gen, self.last = None, 0, 0


@dataclass
class Job:
    """What the model knows of a job."""

    state: JobState = JobState.VALIDATING
    token: str = ""
    expires: float | None = None
    planner: str | None = None
    most: int | None = None
    chunks: list[Chunk] = field(default_factory=list)
    total: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    ending: str | None = None

    @property
    def running(self) -> list[Chunk]:
        """Chunks that tasks have."""
        return [chunk for chunk in self.chunks if chunk.task is not None]

    def settle(self) -> None:
        """Nothing runs any more: be finalized, if that is the end."""
        if self.state not in (JobState.IN_PROGRESS, JobState.CANCELLING) or self.running:
            return
        if self.ending:
            self.ended[self.ending] += self.total - sum(self.ended.values())
            self.state = JobState.FINALIZING
        elif all(chunk.done for chunk in self.chunks):
            self.state = JobState.FINALIZING


class Machine(RuleBasedStateMachine):
    """Drives the jobs in Redis and their models with the same commands."""

    client: ClockedRedis

    @initialize(slots=st.integers(1, 6), sizes=SIZES, most=MOST)
    def begin_test(self, slots: int, sizes: list[int], most: int | None) -> None:
        """Start with so many slots and one job, whose chunks are given to tasks."""
        self.client.set_clock(1_700_000_000.0)
        self.client.loses_answers = False
        self.base = f"{{test-{uuid.uuid4().hex}}}:"
        self.registry = Registry(self.client, self.base)
        self.registry.register("worker", slots, 1e9)
        self.slots = slots
        self.jobs: dict[str, Job] = {}
        self.names: list[str] = []
        self.given: list[Given] = []
        self.runs: list[tuple[Run, int]] = []
        self.create("", expires=True)
        self.plan(0, sizes, most, 9, commit=True)
        self.go()

    @property
    def now(self) -> float:
        """The time."""
        return self.client.now

    def once(self, *, may: bool) -> bool:
        """What is answered to a command that is done once: its repetition changes nothing."""
        return may and not self.client.loses_answers

    def pick(self, nth: int) -> tuple[str, Job]:
        """One of the jobs that are known."""
        known = [name for name in self.names if name in self.jobs]
        name = known[nth % len(known)]
        return name, self.jobs[name]

    @rule(lost=st.booleans())
    def lose_answers(self, *, lost: bool) -> None:
        """From now on each answer is lost, and its command repeated; or none any more."""
        self.client.loses_answers = lost

    @precondition(lambda self: sum(j.state not in FINAL for j in self.jobs.values()) < LIVE)
    @rule(token=st.sampled_from(["", "", "t", "u"]), expires=st.booleans())
    def create(self, token: str, *, expires: bool) -> None:
        """A job is submitted, or found again by its token."""
        name = f"job{len(self.names)}"
        seconds = EXPIRES if expires else 0.0
        found = self.registry.create(name, token=token, expires_in=seconds, spec="{}")
        before = [n for n, job in self.jobs.items() if token and job.token == token]
        assert found == (before[0] if before else name)
        if not before:
            self.names.insert(0, name)
            self.jobs[name] = Job(token=token, expires=self.now + seconds if expires else None)

    @precondition(lambda self: any(j.state is JobState.VALIDATING for j in self.jobs.values()))
    @rule(
        nth=NTH,
        sizes=SIZES,
        most=MOST,
        split=st.integers(0, 4),
        commit=st.sampled_from([True, True, True, False]),
    )
    def plan(
        self, nth: int, sizes: list[int], most: int | None, split: int, *, commit: bool
    ) -> None:
        """A job is planned, perhaps not to the end."""
        name, job = self.pick(nth)
        may, planner = job.state is JobState.VALIDATING, uuid.uuid4().hex
        assert self.registry.plan(name, planner) is may
        if may:
            job.planner, job.chunks = planner, []
        first = 0
        for part in (sizes[:split], sizes[split:]):
            values = [({"records": size}, None) for size in part]
            assert self.registry.add(name, planner, first, values) is (may or not part)
            first += len(part)
            job.chunks += [Chunk(size, pending=0.0) for size in part] if may else []
        assert not self.registry.add(name, "another", 0, [({}, None)])
        if commit:
            done = self.registry.commit(name, planner, sum(sizes), max_chunks=most)
            assert done is self.once(may=may)
            if may:
                job.state, job.total, job.most = JobState.IN_PROGRESS, sum(sizes), most
                job.settle()

    @rule()
    def dispatch(self) -> None:
        """Free slots are given to chunks: as many as there are of either."""
        free = self.slots - sum(len(job.running) for job in self.jobs.values())
        answered = self.registry.dispatch()
        given = []
        for name, job in self.jobs.items():
            for index, entry in self.entries(name).items():
                task, chunk = entry.split()[0], job.chunks[index]
                if chunk.task is None:
                    assert job.state is JobState.IN_PROGRESS
                    assert chunk.pending is not None
                    assert chunk.pending <= self.now
                    chunk.pending, chunk.task, chunk.heard = None, task, self.now
                    given.append(Given(name, index, task))
            assert job.most is None or len(job.running) <= job.most
        assert len(given) == len({one.task for one in given}) <= max(free, 0)
        assert set(answered) == set(given)
        could = sum(map(self.could, self.jobs.values()))
        assert len(given) >= free or not could
        self.given = given + self.given

    def entries(self, name: str) -> dict[int, str]:
        """Who has which chunks of a job."""
        found = self.client.hgetall(self.registry.key(name, "running"))
        chunks = cast("dict[bytes, bytes]", found)
        return {int(index): entry.decode() for index, entry in chunks.items()}

    @rule()
    def go(self) -> None:
        """Free slots are given to chunks, and their tasks begin."""
        before = len(self.given)
        self.dispatch()
        for nth in range(len(self.given) - before):
            self.begin(nth)

    def could(self, job: Job) -> int:
        """How many chunks of a job could be given to tasks."""
        if job.state is not JobState.IN_PROGRESS:
            return 0
        due = [c for c in job.chunks if c.pending is not None and c.pending <= self.now]
        room = len(due) if job.most is None else job.most - len(job.running)
        return min(len(due), room)

    def chunk(self, given: Given | Run) -> Chunk | None:
        """A chunk of a job that has not ended."""
        job = self.jobs.get(given.job)
        live = job is not None and job.state not in FINAL
        return job.chunks[given.chunk] if job and live else None

    @precondition(lambda self: self.given)
    @rule(nth=NTH)
    def begin(self, nth: int) -> None:
        """A chunk's task is delivered, perhaps again."""
        given = self.given[nth % len(self.given)]
        chunk = self.chunk(given)
        run = self.registry.begin(given.job, given.chunk, given.task)
        job = self.jobs.get(given.job)
        if chunk is None or job is None or chunk.task != given.task or job.ending:
            assert run is None
            if chunk and job and chunk.task == given.task:
                chunk.leave()
                job.settle()
            return
        assert run is not None
        times = 2 if self.client.loses_answers else 1
        chunk.begun, chunk.setbacks = chunk.begun + times, chunk.setbacks + times
        chunk.gen, chunk.last, chunk.heard = chunk.begun, 0, self.now
        assert (run.gen, run.setbacks) == (chunk.gen, chunk.setbacks - 1)
        assert (run.progress or {}).get("left", run.values["records"]) == chunk.left
        self.runs.insert(0, (run, run.gen))

    @precondition(lambda self: self.runs)
    @rule(
        nth=NTH,
        follows=st.sampled_from(["DONE", "DONE", "STAY", "LEAVE"]),
        succeeded=st.integers(0, 4),
        failed=st.integers(0, 4),
        delay=st.sampled_from([0, 50]),
    )
    def report(self, nth: int, follows: str, succeeded: int, failed: int, delay: int) -> None:
        """A run says what it has written, perhaps again, or after another has taken its place."""
        at = nth % len(self.runs)
        run, gen = self.runs[at]
        chunk = self.chunk(run)
        left = chunk.left if chunk else 9
        succeeded = min(succeeded, left)
        failed = left - succeeded if follows == "DONE" else min(failed, left - succeeded)
        report = Report(
            follows, {"left": left - succeeded - failed}, succeeded,
            {"ModelError": failed} if failed else {}, part=[run.chunk, gen], delay=delay,
        )  # fmt: skip
        following = self.registry.report(run, gen, report)
        if chunk is None or chunk.gen != gen:
            repeated = chunk is not None and chunk.last == gen
            assert following == (chunk.gen if chunk and repeated else None)
            return
        job = self.jobs[run.job]
        job.ended.update(succeeded=succeeded, failed=failed)
        chunk.left, chunk.setbacks, chunk.heard = left - succeeded - failed, 0, self.now
        if follows == "STAY":
            chunk.begun += 1
            chunk.gen, chunk.last = chunk.begun, gen
            assert following == chunk.gen
            self.runs[at] = (run, following)
            self.runs.append((run, gen))
            return
        assert following == (0 if self.once(may=True) else None)
        chunk.leave()
        chunk.done = follows == "DONE"
        if follows == "LEAVE" and not job.ending:
            chunk.pending = self.now + delay
        job.settle()

    @precondition(lambda self: self.runs)
    @rule(nth=NTH, long=st.booleans())
    def beat(self, nth: int, *, long: bool) -> None:
        """A run is alive, and hears whether it is to go on."""
        run, gen = self.runs[nth % len(self.runs)]
        chunk = self.chunk(run)
        verdict = self.registry.beat(run, gen, long=long)
        if chunk is None or chunk.gen != gen:
            assert verdict == "GONE"
            return
        chunk.heard = self.now
        ending = self.jobs[run.job].ending
        assert verdict == "STOP" if ending else verdict in ("GO", "YIELD")

    @precondition(lambda self: self.given)
    @rule(nth=NTH, delay=st.sampled_from([0, 8]))
    def give_back(self, nth: int, delay: int) -> None:
        """A chunk's task could not be sent, or cannot go on."""
        self._give_back(self.given[nth % len(self.given)], delay)

    def _give_back(self, given: Given, delay: int = 0) -> None:
        chunk = self.chunk(given)
        may = chunk is not None and chunk.task == given.task
        assert self.registry.give_back(given, delay) is self.once(may=may)
        if chunk and may:
            job = self.jobs[given.job]
            chunk.leave()
            chunk.pending = None if job.ending else self.now + delay
            job.settle()

    @rule()
    def recover(self) -> None:
        """The clock has chunks done again of which nothing was heard."""
        silent = self.registry.silent(SILENT)
        wanted = {
            (name, index)
            for name, job in self.jobs.items()
            for index, chunk in enumerate(job.chunks)
            if chunk.task is not None and chunk.heard <= self.now - SILENT
        }
        assert {(given.job, given.chunk) for given, _ in silent} == wanted
        for given, begun in silent:
            chunk = self.chunk(given)
            assert chunk is not None
            assert (chunk.task, chunk.gen > 0) == (given.task, begun)
            self._give_back(given)

    @precondition(lambda self: self.active)
    @rule(nth=NTH, becomes=st.sampled_from(["cancelled", "failed"]))
    def stop(self, nth: int, becomes: str) -> None:
        """A job is cancelled, or cannot go on."""
        self._stop(self.active[nth % len(self.active)], becomes)

    @property
    def active(self) -> list[str]:
        """Jobs of which chunks are running, or, rarely, any."""
        running = [name for name in self.names if name in self.jobs and self.jobs[name].running]
        return running if len(self.names) % 3 else [n for n in self.names if n in self.jobs]

    def _stop(self, name: str, becomes: str) -> None:
        job = self.jobs[name]
        job.expires = None
        if job.state in (JobState.VALIDATING, JobState.IN_PROGRESS):
            job.state, job.ending = JobState.CANCELLING, becomes
            for chunk in job.chunks:
                chunk.pending = None
            job.settle()
        assert self.registry.stop(name, becomes) == job.state

    @rule()
    def expire(self) -> None:
        """The clock gives jobs up whose time is over."""
        late = {n for n, job in self.jobs.items() if job.expires and job.expires <= self.now}
        assert set(self.registry.expired()) == late
        for name in late:
            self._stop(name, "expired")

    @precondition(lambda self: any(j.state is JobState.FINALIZING for j in self.jobs.values()))
    @rule(nth=NTH)
    def finish(self, nth: int) -> None:
        """A job's manifest is written, if it is to be."""
        name, job = self.pick(nth)
        may = job.state is JobState.FINALIZING
        state = JobState(job.ending) if job.ending else JobState.COMPLETED
        assert self.registry.finish(name, state, RETENTION) is self.once(may=may)
        if may:
            self._end(job, state)

    @precondition(lambda self: any(j.state is JobState.VALIDATING for j in self.jobs.values()))
    @rule(nth=NTH, ours=st.booleans())
    def reject(self, nth: int, *, ours: bool) -> None:
        """A job's input cannot be used, says its planner, or another one."""
        name, job = self.pick(nth)
        may = ours and job.state is JobState.VALIDATING and job.planner is not None
        planner = job.planner if ours and job.planner else "another"
        done = self.registry.reject(name, planner, [{"code": "InvalidJson"}], RETENTION)
        assert done is self.once(may=may)
        if may:
            self._end(job, JobState.FAILED)

    def _end(self, job: Job, state: JobState) -> None:
        job.state, job.expires = state, None

    @precondition(lambda self: any(job.state in FINAL for job in self.jobs.values()))
    @rule(nth=NTH)
    def forget(self, nth: int) -> None:
        """A job is purged."""
        name, job = self.pick(nth)
        may = job.state in FINAL
        assert self.registry.forget(name) is self.once(may=may)
        if may:
            del self.jobs[name]

    @rule(seconds=st.sampled_from([1, 10, 40, 100]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.client.advance(seconds)

    @invariant()
    def same(self) -> None:
        """Counts add up, and are the model's; each chunk is in one place."""
        if not hasattr(self, "jobs"):
            return
        for name, job in self.jobs.items():
            counts = self.registry.counts(name)
            assert self.registry.state(name) == job.state
            assert counts.total == job.total
            for outcome in ("succeeded", "failed", "cancelled", "expired"):
                assert getattr(counts, outcome) == job.ended[outcome]
            assert 0 <= counts.processing <= counts.total
            if job.state in FINAL | {JobState.FINALIZING}:
                assert counts.processing == 0
            assert self.registry.fields(name, "miscounted") == [None]
            self.same_chunks(name, job)

    def same_chunks(self, name: str, job: Job) -> None:
        """A chunk waits, is somebody's, is done, or is not to be done."""
        waiting = {i: c.pending for i, c in enumerate(job.chunks) if c.pending is not None}
        found = self.client.zrange(self.registry.key(name, "pending"), 0, -1)
        if job.state in FINAL:
            assert found == []
            return
        assert set(map(int, cast("list[bytes]", found))) == set(waiting)
        running = {i: c for i, c in enumerate(job.chunks) if c.task is not None}
        assert self.entries(name) == {
            index: f"{chunk.task} {chunk.gen} {chunk.last}" for index, chunk in running.items()
        }

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """A job that has not ended is in the index of those who will look for it."""
        if not hasattr(self, "jobs"):
            return
        with self.client.pipeline() as pipe:
            for index in ("active", "inflight", "finalizing", "expiring", "live", "jobs"):
                pipe.zrange(self.base + index, 0, -1)
            found = [{name.decode() for name in names} for names in pipe.execute()]
        active, inflight, finalizing, expiring, live, known = found
        jobs = self.jobs.items()
        could = {n for n, j in jobs if j.state is JobState.IN_PROGRESS and _waits(j)}
        assert could <= active <= {n for n, j in jobs if j.state is JobState.IN_PROGRESS}
        tasks = {f"{n}:{i}" for n, j in jobs for i, c in enumerate(j.chunks) if c.task}
        assert inflight == tasks
        assert finalizing == {n for n, j in jobs if j.state is JobState.FINALIZING}
        assert expiring == {n for n, j in jobs if j.expires is not None}
        assert live == {n for n, j in jobs if j.state not in FINAL}
        assert known == set(self.jobs)

    def teardown(self) -> None:
        """Every job ends when all its workers die and another comes; every record once."""
        if not hasattr(self, "jobs"):
            return
        self.client.loses_answers = False
        self.registry.register("another", 9, 1e9)
        for name, job in self.jobs.items():
            if job.state is JobState.VALIDATING:
                self.registry.plan(name, "last")
                self.registry.commit(name, "last", 0)
        while any(self.registry.state(name) not in FINAL for name in self.jobs):
            self.client.advance(10 * SILENT)
            for given, _ in self.registry.silent(SILENT):
                self.registry.give_back(given)
            given_now = self.registry.dispatch()
            for given in given_now:
                run = self.registry.begin(given.job, given.chunk, given.task)
                assert run is not None
                left = (run.progress or {}).get("left", run.values["records"])
                assert self.registry.report(run, run.gen, Report("DONE", {}, left)) == 0
            finalizing = self.registry.to_finalize(0)
            assert given_now or finalizing
            for name in finalizing:
                assert self.registry.finish(name, JobState.COMPLETED, RETENTION)
        for name in self.jobs:
            assert self.registry.counts(name).processing == 0
            assert self.registry.fields(name, "miscounted") == [None]
        self.client.forget(self.base)


def _waits(job: Job) -> bool:
    return any(chunk.pending is not None for chunk in job.chunks)


def test_planned_chunks_are_added_once(sagemaker_redis_url: str) -> None:
    """Also where the answer was lost, and the client repeats the command: no record comes twice."""
    with connected(sagemaker_redis_url) as client:
        client.set_clock(1_700_000_000.0)
        registry = Registry(client, f"{{test-{uuid.uuid4().hex}}}:")
        registry.create("a")
        registry.plan("a", "planner")
        client.loses_answers = True
        assert registry.add("a", "planner", 0, [({"n": 0}, None), ({"n": 1}, {"upto": 1})])
        assert registry.add("a", "planner", 2, [({"n": 2}, None)])
        assert [chunk["n"] for chunk in registry.chunks("a")] == [0, 1, 2]
        assert registry.unfinished("a") == {0, 1, 2}
        client.forget(registry.base)


def test_the_registry_does_what_its_model_does(sagemaker_redis_url: str) -> None:
    """Planning, running, dying, reporting again, cancelling, expiring and time, in any order."""
    drive(Machine, sagemaker_redis_url, 1.0, 50)
