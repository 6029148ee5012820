"""Asynchronous inferences without S3 and without waiting."""

import asyncio
import threading
from collections.abc import Mapping

import pytest
from celery_sagemaker.local.async_store import AsyncStore, Locations
from celery_sagemaker.local.behaviours import Behaviour
from celery_sagemaker.local.calling import ASYNC_CALLS, Call
from celery_sagemaker.local.containers import Answer, FunctionContainer, echo
from celery_sagemaker.local.faults import Fate
from celery_sagemaker.local.inferences import Inference, Inferences

LOCATIONS = Locations("s3://b/outputs/o", "s3://b/failures/f")


class Store(AsyncStore):
    """Objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def read(self, location: str) -> bytes:
        return self.objects[location]

    async def write(self, location: str, body: bytes, content_type: str) -> None:
        self.objects[location] = body


def inference(
    fate: Fate, behaviour: Behaviour | None = None, source: str | None = None, expires: float = 60.0
) -> Inference:
    """One for the echo container."""
    call = Call("echo", FunctionContainer(echo), b"" if source else b"in", {}, 900.0)
    return Inference(call, source, LOCATIONS, behaviour or Behaviour(), fate, expires)


async def ended(taken: Inference, objects: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """What one leaves on S3, and how long it slept for that."""
    store, slept = Store(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    store.objects.update(objects or {})
    inferences = Inferences(store, sleep=sleep)
    inferences.take(taken)
    await inferences.join()
    assert slept == [min(taken.fate.delay, taken.expires)]
    return {key: value for key, value in store.objects.items() if key not in (objects or {})}


@pytest.mark.parametrize(
    ("fate", "behaviour", "left"),
    [
        (Fate(delay=5), Behaviour(), {LOCATIONS.output: b"in"}),
        (Fate(delay=60), Behaviour(), {LOCATIONS.output: b"in"}),
        (Fate(delay=61), Behaviour(), {}),
        (Fate(failure=True), Behaviour(failure_path=False), {}),
        (Fate(missing=True), Behaviour(), {}),
    ],
)
def test_what_is_left(fate: Fate, behaviour: Behaviour, left: dict[str, bytes]) -> None:
    """An output in time; nothing after the TTL, on purpose, or without a failure path."""
    assert asyncio.run(ended(inference(fate, behaviour))) == left


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        (inference(Fate(failure=True)), b"Injected"),
        (inference(Fate(delay=61), Behaviour(expired="failure")), b"expired"),
        (inference(Fate(error="ModelError:503")), b"(503)"),
        (inference(Fate(), source="s3://b/absent"), b"Cannot download s3://b/absent"),
    ],
)
def test_failures_are_objects(taken: Inference, reason: bytes) -> None:
    """With the reason in them, at the failure location."""
    left = asyncio.run(ended(taken))
    assert list(left) == [LOCATIONS.failure]
    assert reason in left[LOCATIONS.failure]


def test_an_input_is_read_from_its_location() -> None:
    """The container gets the object's bytes."""
    taken = inference(Fate(), source="s3://b/in")
    left = asyncio.run(ended(taken, {"s3://b/in": b"there"}))
    assert left == {LOCATIONS.output: b"there"}


def test_ten_thousand_that_are_due_at_once_take_few_threads() -> None:
    """All of them end, and never more containers are called at once than the bound."""
    busy, most, lock = 0, 0, threading.Lock()

    class Counting(FunctionContainer):
        def __call__(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
            try:
                return super().__call__(body, headers, seconds)
            finally:
                with lock:
                    busy -= 1

    async def run() -> int:
        store = Store()
        inferences = Inferences(store)
        call = Call("echo", Counting(echo), b"in", {}, 900.0)
        for number in range(10_000):
            where = Locations(f"s3://b/outputs/{number}", "")
            inferences.take(Inference(call, None, where, Behaviour(), Fate(delay=0.2), 60.0))
        before = threading.active_count()
        await inferences.join()
        assert before <= threading.active_count() <= before + ASYNC_CALLS
        return len(store.objects)

    assert asyncio.run(run()) == 10_000
    assert 1 <= most <= ASYNC_CALLS


def test_an_unreachable_s3_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The task ends, and says which inference has no answer."""

    class Broken(Store):
        async def write(self, location: str, body: bytes, content_type: str) -> None:
            raise ConnectionRefusedError

    async def run() -> None:
        inferences = Inferences(Broken())
        inferences.take(inference(Fate()))
        await inferences.join()

    asyncio.run(run())
    (record,) = caplog.records
    assert (record.message, vars(record)["location"]) == ("inference_unanswered", LOCATIONS.output)
