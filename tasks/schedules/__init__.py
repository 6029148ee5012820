"""Schedules: invoke, invoke_async, stream and batch jobs, again and again.

Beat (celery-redbeat) finds what is due; `sagemaker.schedule` starts it, under ids that are derived
from the schedule and its due time, so that nothing is started twice.
"""

from .api import add, get, list_all, pause, remove, resume, run_now, runs
from .task import schedule
from .values import Run, RunState, Schedule

__all__ = [
    "Run",
    "RunState",
    "Schedule",
    "add",
    "get",
    "list_all",
    "pause",
    "remove",
    "resume",
    "run_now",
    "runs",
    "schedule",
]
