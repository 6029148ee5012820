"""A run of a chunk over a transport and a keeper of the test's own: no network, no Redis."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from celery_sagemaker.config.retries import RetryPolicy
from celery_sagemaker.runtime.exceptions import (
    AccessDeniedException,
    InferenceError,
    ModelError,
    S3Error,
    ServiceUnavailable,
)
from celery_sagemaker.runtime.requests import InvokeEndpointRequest
from celery_sagemaker.runtime.responses import InvokeEndpointResponse
from celery_sagemaker.runtime.s3 import S3Location, S3Store
from celery_sagemaker.tasks.batch import registry
from celery_sagemaker.tasks.batch import runner as runner_module
from celery_sagemaker.tasks.batch.holding import Hold
from celery_sagemaker.tasks.batch.permits import Answers, Unlimited
from celery_sagemaker.tasks.batch.progress import Progress
from celery_sagemaker.tasks.batch.records.exceptions import InputChanged
from celery_sagemaker.tasks.batch.records.packing import Invocation
from celery_sagemaker.tasks.batch.records.values import Record
from celery_sagemaker.tasks.batch.records.writing import Batch, PartBuffer
from celery_sagemaker.tasks.batch.runner import Runner
from celery_sagemaker.tasks.batch.running import Keeper, Plan, Snapshot, Verdict
from celery_sagemaker.tasks.batch.work import Work

#: How the model answers a body, the n-th time it is asked.
Model = Callable[[bytes, int], bytes]


@dataclass
class Endpoint:
    """Answers as the model says; remembers how often it was asked, and how much at once."""

    model: Model
    seconds: float = 0.0
    asked: Counter[bytes] = field(default_factory=Counter)
    now: int = 0
    most: int = 0

    async def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Answer."""
        self.asked[request.body] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            body = self.model(request.body, self.asked[request.body])
        finally:
            self.now -= 1
        return InvokeEndpointResponse(body=body, content_type="application/jsonlines")


@dataclass
class Kept:
    """Keeps what is saved; says what it is told to at each beat."""

    held = True
    verdicts: list[Verdict] = field(default_factory=list)
    saved: list[tuple[Snapshot, str, float]] = field(default_factory=list)

    def beat(self, seconds: float) -> Verdict:
        """Say the next verdict."""
        return self.verdicts.pop(0) if self.verdicts else Verdict.GO

    def save(self, snapshot: Snapshot, follows: str, delay: float) -> bool:
        """Keep it."""
        self.saved.append((snapshot, follows, delay))
        return True

    @property
    def batches(self) -> list[Batch]:
        """All that was collected."""
        return [s.results for s, _, _ in self.saved if isinstance(s.results, Batch)]

    @property
    def positions(self) -> Counter[int]:
        """How often each record has an outcome."""
        lines = (line for batch in self.batches for line in (*batch.outputs, *batch.errors))
        return Counter(position for position, _ in lines)


def policy(error: InferenceError) -> RetryPolicy:
    """Try what passes three times, at once."""
    return RetryPolicy(3 if isinstance(error, ServiceUnavailable) else 1, 0.0, 0.0, 0)


def invocations(groups: Iterable[Iterable[int]]) -> list[Invocation]:
    """Invocations of records, by their positions."""
    made = []
    for group in groups:
        records = tuple(Record(n, None, str(n).encode()) for n in group)
        made.append(Invocation(records, tuple(r.data for r in records), "application/jsonlines"))
    return made


def run(endpoint: Endpoint, kept: Keeper, items: Iterable[Invocation], **plan: Any) -> Runner:
    """Run a chunk to the run's end."""
    count = plan.pop("count", None) or sum(len(item.records) for item in items)
    made = Plan(
        endpoint="echo",
        request=lambda i: InvokeEndpointRequest(endpoint_name="churn", body=i.body),
        policy=plan.pop("policy", policy),
        filters=None,
        in_flight=plan.pop("in_flight", 4),
        seconds=plan.pop("seconds", 30.0),
        save_seconds=plan.pop("save_seconds", 30.0),
        hold_limit=plan.pop("hold_limit", 2.0),
    )
    permits, buffer = plan.pop("permits", Unlimited()), plan.pop("buffer", PartBuffer())

    async def on_loop() -> Runner:
        work = Work(0, count, Progress(), 16)
        runner = Runner(
            work, iter(items), buffer, made, transport=endpoint, keeper=kept,
            permits=permits, leaving=lambda: False,
        )  # fmt: skip
        await runner.run()
        return runner

    return asyncio.run(on_loop())


def echo(body: bytes, _: int) -> bytes:
    """Answer what was asked."""
    return body


def test_every_record_is_called_once_and_saved() -> None:
    """With no more calls at once than the plan says; the chunk is done."""
    endpoint, kept = Endpoint(echo, seconds=0.001), Kept()
    run(endpoint, kept, invocations([n] for n in range(100)))
    assert kept.positions == Counter(dict.fromkeys(range(100), 1))
    assert set(endpoint.asked.values()) == {1}
    assert endpoint.most == 4
    (saved,) = kept.saved
    assert saved[1] == "DONE"
    assert Progress.from_json(saved[0].progress).remaining(100) == 0


def test_what_passes_is_tried_again_and_counted() -> None:
    """A record succeeds at its last attempt, or has its error with all attempts."""

    def flaky(body: bytes, time: int) -> bytes:
        if time < 3 or body == b"7":
            raise ServiceUnavailable
        return body

    endpoint, kept = Endpoint(flaky), Kept()
    run(endpoint, kept, invocations([n] for n in range(10)))
    (snapshot, _, _) = kept.saved[0]
    assert (snapshot.succeeded, snapshot.failed) == (9, Counter(ServiceUnavailable=1))
    assert snapshot.retried == Counter(ServiceUnavailable=20)
    (error,) = kept.batches[0].errors
    assert b'"attempts":3' in error[1]


def test_a_bad_record_is_found_by_halves() -> None:
    """Its neighbours succeed; an error that says nothing about records divides nothing."""

    def picky(body: bytes, _: int) -> bytes:
        if b"5" in body.split(b"\n"):
            raise ModelError("bad", {"original_status_code": 400})
        return body

    endpoint, kept = Endpoint(picky), Kept()
    run(endpoint, kept, invocations([range(8), range(8, 16)]))
    (snapshot, _, _) = kept.saved[0]
    assert (snapshot.succeeded, snapshot.failed) == (15, Counter(ModelError=1))
    assert endpoint.asked.total() == 8
    assert kept.batches[0].errors[0][0] == 5

    def away(_: bytes, __: int) -> bytes:
        raise ServiceUnavailable

    endpoint, kept = Endpoint(away), Kept()
    run(endpoint, kept, invocations([range(8)]))
    assert endpoint.asked.total() == 3
    assert kept.saved[0][0].failed == Counter(ServiceUnavailable=8)


def test_an_error_for_all_ends_the_run() -> None:
    """Nothing more is begun; the record that met it has no outcome of its own."""

    def denied(_: bytes, __: int) -> bytes:
        raise AccessDeniedException

    endpoint, kept = Endpoint(denied), Kept()
    runner = run(endpoint, kept, invocations([n] for n in range(100)))
    assert isinstance(runner.fatal, AccessDeniedException)
    assert endpoint.asked.total() <= 4
    assert kept.saved[-1][1] == "LEAVE"
    assert Progress.from_json(kept.saved[-1][0].progress).remaining(100) == 100


@pytest.mark.parametrize("verdict", [Verdict.STOP, Verdict.YIELD])
def test_a_run_that_is_told_to_leave_saves(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls in flight end and count; what is left is exactly what has no outcome."""
    monkeypatch.setattr(runner_module, "BEAT", 0.05)
    endpoint, kept = Endpoint(echo, seconds=0.03), Kept([Verdict.GO, verdict])
    run(endpoint, kept, invocations([n] for n in range(1_000)))
    snapshot, follows, delay = kept.saved[-1]
    assert (follows, delay) == ("LEAVE", 0.0)
    left = Progress.from_json(snapshot.progress)
    assert 0 < len(kept.positions) == endpoint.asked.total() < 1_000
    assert {n for n in range(1_000) if n not in left} == set(kept.positions)


def test_a_run_that_lost_its_chunk_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one has it."""
    monkeypatch.setattr(runner_module, "BEAT", 0.02)
    kept = Kept([Verdict.GONE])
    run(Endpoint(echo, seconds=0.01), kept, invocations([n] for n in range(1_000)))
    assert kept.saved == []


def test_a_run_saves_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved twice is nothing; what is left shrinks."""
    monkeypatch.setattr(runner_module, "BEAT", 0.02)
    kept = Kept()
    run(Endpoint(echo, 0.01), kept, invocations([n] for n in range(100)), save_seconds=0.05)
    assert [follows for _, follows, _ in kept.saved[:-1]] == ["STAY"] * (len(kept.saved) - 1)
    assert len(kept.saved) > 2
    assert kept.positions == Counter(dict.fromkeys(range(100), 1))
    remaining = [Progress.from_json(s.progress).remaining(100) for s, _, _ in kept.saved]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[-1] == 0


def test_a_run_that_only_waits_is_left() -> None:
    """Its chunk comes back when the first record is due, and the attempts come with it."""

    def away(_: bytes, __: int) -> bytes:
        raise ServiceUnavailable("later", {"retry_after": 20.0})

    def patient(_: InferenceError) -> RetryPolicy:
        return RetryPolicy(3, 0.0, 30.0, 0)

    kept = Kept()
    run(Endpoint(away), kept, invocations([n] for n in range(3)), policy=patient)
    snapshot, follows, delay = kept.saved[-1]
    assert follows == "LEAVE"
    assert 15.0 < delay <= 20.0
    left = Progress.from_json(snapshot.progress)
    assert left.attempts == {n: {"ServiceUnavailable": 1} for n in range(3)}


def test_permits_bound_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more in flight than granted; what was answered is reported, and all is given back."""
    monkeypatch.setattr(runner_module, "BEAT", 0.02)
    seen: list[Answers] = []
    released: list[bool] = []

    class Two:
        def renew(self, wanted: int, answers: Answers) -> int:
            assert wanted == 4
            seen.append(answers)
            return 2

        def release(self) -> None:
            released.append(True)

    endpoint, kept = Endpoint(echo, 0.01), Kept()
    run(endpoint, kept, invocations([n] for n in range(40)), permits=Two())
    assert endpoint.most == 2
    assert released == [True]
    assert 0 < sum(answers.succeeded for answers in seen) <= 40


@pytest.mark.parametrize(("after", "saves"), [(0, 0), (64, 1)])
def test_what_was_done_is_saved_when_the_input_cannot_be_read(after: int, saves: int) -> None:
    """Then the error is raised; a run that did nothing saves nothing, so that it counts as such."""

    def items() -> Iterator[Invocation]:
        yield from invocations([n] for n in range(after))
        raise S3Error("away")

    kept = Kept()
    with pytest.raises(S3Error):
        run(Endpoint(echo), kept, items(), count=100)
    assert [follows for _, follows, _ in kept.saved] == ["LEAVE"] * saves
    assert bool(kept.positions) == bool(saves)
    for snapshot, _, _ in kept.saved:
        left = Progress.from_json(snapshot.progress)
        assert {n for n in range(100) if n not in left} == set(kept.positions)


def test_a_replaced_input_ends_the_job() -> None:
    """No later run could read it."""

    def items() -> Iterator[Invocation]:
        yield from ()
        raise InputChanged

    assert isinstance(run(Endpoint(echo), Kept(), items(), count=9).fatal, InputChanged)


def test_a_bug_breaks_the_run_and_is_not_hidden() -> None:
    """What is no error of an inference is raised, and nothing is counted."""

    def broken(_: bytes, __: int) -> bytes:
        raise ZeroDivisionError

    kept = Kept()
    with pytest.raises(ZeroDivisionError):
        run(Endpoint(broken), kept, invocations([n] for n in range(9)))
    assert kept.saved == []


#: Seconds after which a silent run loses its chunk, in the tests below.
LEASE = 0.6

#: Records of a chunk: more than are called within the lease.
RECORDS = 4_000


@dataclass
class Books:
    """The batch jobs in Redis, as far as a hold asks: each answer is a function."""

    beats: Callable[[], str] = lambda: "GO"
    reports: Callable[[], int | None] = lambda: 2

    def beat(self, *_: object, **__: object) -> str:
        """Answer a sign of life."""
        return self.beats()

    def report(self, *_: object) -> int | None:
        """Answer a report."""
        return self.reports()


class Forgetful(PartBuffer):
    """Keeps no results: there is nothing to write to S3."""

    def take(self) -> Batch:
        """Return nothing."""
        super().take()
        return Batch()


def hold(books: Books) -> Hold:
    """A run's hold on its chunk."""
    begun = registry.Run("job", 0, 1, {}, None)
    known = cast("registry.Registry", books)
    output = S3Location("bucket", "out")
    return Hold(known, begun, cast("S3Store", None), output, LEASE, time.monotonic())


@pytest.mark.parametrize("silent", ["beats", "reports"])
def test_a_silent_run_begins_no_calls(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while Redis does not answer, nor while results wait: another run may have its chunk.

    What it called then, the other one would call again.
    """
    monkeypatch.setattr(runner_module, "AHEAD", RECORDS)
    endpoint = Endpoint(echo, seconds=0.002)

    def late() -> Any:
        if not endpoint.asked:
            return "GO" if silent == "beats" else 2
        counted, since = -1, time.monotonic()
        while time.monotonic() - since < 2 * LEASE and endpoint.asked.total() < RECORDS:
            if endpoint.asked.total() != counted:
                counted, since = endpoint.asked.total(), time.monotonic()
            time.sleep(0.01)
        return "GONE" if silent == "beats" else None

    kept = hold(Books(**{silent: late}))
    items = invocations([n] for n in range(RECORDS))
    save = {"beats": 30.0, "reports": 0.1}[silent]
    run(endpoint, kept, items, save_seconds=save, buffer=Forgetful())
    assert 0 < endpoint.asked.total() < RECORDS


def test_a_sign_of_life_counts_from_when_it_was_sent() -> None:
    """One that took as long as the lease proves nothing; the next one does."""
    waits = iter([LEASE, 0.0])

    def slow() -> str:
        time.sleep(next(waits))
        return "GO"

    kept = hold(Books(beats=slow))
    held = [kept.held]
    for _ in range(2):
        assert kept.beat(0.0) is Verdict.GO
        held.append(kept.held)
    assert held == [True, False, True]
