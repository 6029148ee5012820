"""`sagemaker.schedule`: a due time has come; its run is started, or it is noted why not.

The message is sent by beat, by `run_now`, and by the clock for a run that had to wait. Its id is
the run's, derived from the schedule and the due time: the ledger drops a second one.
"""

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import redis
from celery import shared_task
from kombu.exceptions import OperationalError

from ...config.schedules import NAME
from ...runtime.exceptions import InferenceError
from ..base import FILENAME, HandedBack, LedgerTask
from ..exceptions import MalformedMessage
from . import ending, starting
from .reading import timing_of
from .registry import Record
from .timing import Timing
from .values import Run, RunState

logger = logging.getLogger(__name__)

#: Version of the message's form.
VERSION = 1

#: The last second of the year 9999, in Unix seconds: no calendar goes on.
LAST = 253_402_300_799

#: What sent a message, and what it is about.
TRIGGERS = ("schedule", "manual")
STEPS = ("run", "prewarm")

#: Seconds until a start is tried again that Redis or the broker did not take.
AGAIN = 2.0


#: What a message has, and what each of it may be.
FORM: Mapping[str, Callable[[Any], object]] = {
    "version": lambda value: type(value) is int and value <= VERSION,
    "schedule": lambda value: isinstance(value, str) and re.fullmatch(NAME, value),
    "run": lambda value: isinstance(value, str) and FILENAME.fullmatch(value),
    "due": lambda value: type(value) in {int, float} and 0 <= value <= LAST,
    "missed": lambda value: type(value) is int and value >= 0,
    "trigger": lambda value: value in TRIGGERS,
    "step": lambda value: value in STEPS,
}


def well_formed(given: Any) -> bool:
    """Whether this version can read what a message carries."""
    if not isinstance(given, Mapping) or given.keys() != FORM.keys():
        return False
    return all(fits(given[name]) for name, fits in FORM.items())


def message(
    name: str,
    due: float,
    *,
    run: str,
    trigger: str = "schedule",
    step: str = "run",
    missed: int = 0,
) -> dict[str, Any]:
    """Return the keyword arguments of the task."""
    values = {"version": VERSION, "schedule": name, "due": due, "run": run}
    return {"message": {**values, "trigger": trigger, "step": step, "missed": missed}}


class ScheduleTask(LedgerTask):
    """The start of a run; see `schedule`."""

    abstract = True

    def start(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a message says; returns what became of it.

        Raises:
            MalformedMessage: it is from a newer version, or not such a message.
        """
        if not well_formed(given):
            raise MalformedMessage(f"It is no message of a schedule, of a version up to {VERSION}.")
        try:
            return self._do(given)
        except (OperationalError, redis.RedisError, OSError) as error:
            raise self._later(error) from error

    def _do(self, given: Mapping[str, Any]) -> dict[str, Any]:
        record = self.deployment.schedules.record(given["schedule"])
        if record is None:
            return {"state": None}
        timing = timing_of(self.deployment, record)
        if given["step"] == "prewarm":
            return self._prewarm(record, timing, int(given["due"]))
        return self._run(record, timing, given)

    def _prewarm(self, record: Record, timing: Timing, due: int) -> dict[str, Any]:
        until = timing.fires(due)
        if record.paused or self.deployment.schedules.now() >= until:
            return {"state": RunState.SKIPPED.value}
        starting.prewarm(self.app, timing.settings, timing.id_of(due, "prewarmed"), due, until)
        return {"state": RunState.RUNNING.value}

    def _run(self, record: Record, timing: Timing, given: Mapping[str, Any]) -> dict[str, Any]:
        registry, name = self.deployment.schedules, record.name
        settings, trigger = timing.settings, given["trigger"]
        before = registry.run(name, record.running) if record.running else None
        if before is not None and before.id != given["run"]:
            # It may have ended since the clock has looked.
            ending.look(self.app, name, before)
        late = trigger == "schedule" and timing.late(int(given["due"]), registry.now())
        run = {
            "id": given["run"], "due": given["due"], "trigger": trigger,
            "kind": settings.run, "missed": given["missed"],
        }  # fmt: skip
        begun = registry.begin(name, run, settings.overlap, late=late)
        if begun.replaced is not None:
            ending.say(self.deployment, name, begun.replaced)
        if begun.run is None:
            return {"state": None}
        if begun.verdict == "START":
            self._start(name, timing, begun.run)
        else:
            ending.say(self.deployment, name, begun.run)
        return {"state": begun.run.state.value}

    def _start(self, name: str, timing: Timing, run: Run) -> None:
        replaced = run.replaces or {}
        if replaced.get("target"):
            starting.stop(self.app, replaced["kind"], replaced["target"])
        kind = timing.settings.run
        target = starting.start(self.app, timing.settings, run.id, run.due)
        if self.deployment.schedules.note(name, run.id, target, kind):
            ending.say(self.deployment, name, dataclasses.replace(run, target=target, kind=kind))
        else:
            starting.stop(self.app, kind, target)

    def _later(self, error: Exception) -> Exception:
        run = self.ledger_run
        if run is None:
            return error
        logger.warning("schedule_not_started_yet", extra={"id": run.id, "error": str(error)})
        self.deployment.ledger.park(run, AGAIN)
        return HandedBack(AGAIN, type(error).__name__)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """End the run with the reason: nothing was started for it."""
        given = kwargs.get("message")
        if well_formed(given) and given["step"] == "run":
            ending.end(self.app, given["schedule"], given["run"], RunState.FAILED, reason_of(exc))
        super().on_failure(exc, task_id, args, kwargs, einfo)


def reason_of(error: BaseException) -> dict[str, Any]:
    """Return an error's JSON form."""
    if isinstance(error, InferenceError):
        return error.to_json()
    return {"code": type(error).__name__, "message": str(error), "members": {}}


@shared_task(bind=True, base=ScheduleTask, name="sagemaker.schedule", ignore_result=True)
def schedule(self: ScheduleTask, message: dict[str, Any]) -> dict[str, Any]:
    """Start a run of a schedule."""
    return self.settle(lambda: self.start(message))
