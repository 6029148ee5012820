"""Send every image through one task and gather the answers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, group

from ...runtime import responses
from .digits import CONTENT_TYPE, Record
from .results import Result, look
from .slots import SlotSampler, SlotSamples

#: Requests of one group.
GROUP = 100

#: Requests that are sent ahead of their answers.
AHEAD = 600

#: Seconds between two looks at the results.
LOOK_SECONDS = 0.1

#: Seconds without any new answer after which the rest counts as missing.
PATIENCE = 60.0

#: Task and endpoint of each way to invoke.
MODES = {
    "invoke": ("sagemaker.invoke", "digits"),
    "invoke_async": ("sagemaker.invoke_async", "digits-async"),
}

Observer = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one way to invoke.

    Attributes:
        mode: `invoke` or `invoke_async`.
        sent: records by the id of their inference.
        answers: digits by id, of the inferences that succeeded.
        failures: errors by id, of those that failed.
        seconds: from the first request to the last answer.
        slots: what the slot samples showed.
        most_waiting: the most inferences seen SUBMITTED at once.
    """

    mode: str
    sent: dict[str, Record]
    answers: dict[str, int]
    failures: dict[str, str]
    seconds: float
    slots: SlotSamples
    most_waiting: int

    @property
    def correct(self) -> int:
        """Answers that agree with the human."""
        return sum(self.sent[id_].digit == digit for id_, digit in self.answers.items())

    @property
    def accuracy(self) -> float:
        """Correct answers per record sent."""
        return self.correct / len(self.sent) if self.sent else 0.0

    def complete(self, records: Sequence[Record]) -> bool:
        """Whether every record has exactly one answer."""
        answered = Counter(self.sent[id_].number for id_ in self.answers)
        return answered == Counter(record.number for record in records)


@dataclass
class _Run:
    """What is under way."""

    sent: dict[str, Record] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    answers: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    most_waiting: int = 0


def run(app: Celery, mode: str, records: Sequence[Record], observe: Observer) -> Outcome:
    """Send all records, one image per request, and wait for their answers.

    Args:
        app: the Celery app.
        mode: a key of `MODES`.
        records: the images.
        observe: told the mode, the requests sent and the answers there, now and then.
    """
    started = time.monotonic()
    state = _Run()
    with SlotSampler(app) as sampler:
        for _ in _steps(app, mode, records, state):
            observe(mode, len(state.sent), len(state.sent) - len(state.open))
    return Outcome(
        mode=mode,
        sent=state.sent,
        answers=state.answers,
        failures=state.failures,
        seconds=time.monotonic() - started,
        slots=sampler.found,
        most_waiting=state.most_waiting,
    )


def _steps(app: Celery, mode: str, records: Sequence[Record], state: _Run) -> Iterator[None]:
    unsent = [records[start : start + GROUP] for start in range(0, len(records), GROUP)]
    last_news = time.monotonic()
    while (unsent or state.open) and time.monotonic() - last_news < PATIENCE:
        if unsent and len(state.open) < AHEAD:
            _send(app, mode, unsent.pop(0), state)
        else:
            time.sleep(LOOK_SECONDS)
        if _gather(app, state):
            last_news = time.monotonic()
        yield


def _send(app: Celery, mode: str, records: Sequence[Record], state: _Run) -> None:
    name, endpoint = MODES[mode]
    made = group([_signature(app.tasks[name], endpoint, record) for record in records], app=app)
    result: Any = made.apply_async()
    ids = [child.id for child in result.results]
    state.sent.update(zip(ids, records, strict=True))
    state.open.update(ids)


def _signature(task: Any, endpoint: str, record: Record) -> Any:
    return task.s(
        endpoint,
        record.body,
        content_type=CONTENT_TYPE,
        accept="application/json",
        custom_attributes=record.custom_attributes,
    )


def _gather(app: Celery, state: _Run) -> int:
    found = list(look(app, state.open))
    ready = [result for result in found if result.ready]
    state.most_waiting = max(state.most_waiting, sum(r.state == "SUBMITTED" for r in found))
    for result in ready:
        state.open.discard(result.id)
        _note(result, state)
    return len(ready)


def _note(result: Result, state: _Run) -> None:
    if result.state == "SUCCESS":
        response: Any = responses.from_json(result.value)
        answer = response.json()
        state.answers[result.id] = int(answer["digit"])
    else:
        state.failures[result.id] = str(result.value)
