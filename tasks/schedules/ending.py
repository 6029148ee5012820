"""The end of runs, noticed by the clock: nothing waits in a worker's slot for it."""

from collections.abc import Mapping
from typing import Any

from celery import Celery

from ..batch.states import JobState
from ..deployment import Deployment, deployment
from ..ledger import State
from . import channel
from .timing import follower_id
from .values import Run, RunState

#: A batch job's final state as a run's.
JOBS = {
    JobState.COMPLETED: RunState.SUCCEEDED,
    JobState.FAILED: RunState.FAILED,
    JobState.CANCELLED: RunState.REVOKED,
    JobState.EXPIRED: RunState.EXPIRED,
}

#: Why a run ends whose task or job nobody knows any more.
LOST = {"code": "Lost", "message": "What it started is not known any more.", "members": {}}

Outcome = tuple[RunState, Mapping[str, Any] | None]


def tick(app: Celery) -> None:
    """Look at the runs that are going on; end those whose task or job has ended."""
    parts = deployment(app)
    for name, run in list(parts.schedules.unsaid()):
        # A run that is only being started is announced with what it starts.
        if run.state is not RunState.RUNNING or run.target:
            say(parts, name, run)
    for name, run in list(parts.schedules.going()):
        look(app, name, run)


def look(app: Celery, name: str, run: Run) -> None:
    """End a run if its task or job has ended; see to it that it has begun."""
    parts = deployment(app)
    if run.target is None:
        _see_to_start(app, name, run)
        return
    outcome = _job(parts, run.target) if run.kind == "batch" else _task(parts, run.target)
    if outcome is not None:
        end(app, name, run.id, *outcome)


def end(
    app: Celery, name: str, run: str, state: RunState, reason: Mapping[str, Any] | None
) -> None:
    """End a run, and start the one that waits for it."""
    parts = deployment(app)
    for changed in parts.schedules.finish(name, run, state, reason):
        if changed is not None:
            say(parts, name, changed)
            if changed.state is RunState.RUNNING:
                _see_to_start(app, name, changed)


def say(parts: Deployment, name: str, run: Run) -> None:
    """Tell the readers of the schedule's channel where a run stands."""
    channel.announce(parts, name, run)
    parts.schedules.said(name, run.id)


def _see_to_start(app: Celery, name: str, run: Run) -> None:
    """Send the message that starts a run, unless it is under way."""
    parts = deployment(app)
    starter = follower_id(run.id) if run.waited else run.id
    status = parts.ledger.status(starter)
    if status is None:
        from .task import message  # noqa: PLC0415 - the task ends runs, too

        given = message(name, run.due, run=run.id, trigger=run.trigger, missed=run.missed)
        app.tasks["sagemaker.schedule"].apply_async(kwargs=given, task_id=starter)
    elif status.state.final and status.state is not State.SUCCEEDED:
        # Revoked or expired before it began; a failed one has ended its run itself.
        end(app, name, run.id, RunState(status.state.value), status.reason)


def _task(parts: Deployment, target: str) -> Outcome | None:
    status = parts.ledger.status(target)
    if status is None:
        return RunState.FAILED, LOST
    return (RunState(status.state.value), status.reason) if status.state.final else None


def _job(parts: Deployment, target: str) -> Outcome | None:
    status = parts.registry.status(target)
    if status is None:
        return RunState.FAILED, LOST
    if not status.state.final:
        return None
    return JOBS[status.state], status.errors[0] if status.errors else None
