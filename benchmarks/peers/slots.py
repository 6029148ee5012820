"""For workers, `--include slots`: which tasks run now, told by signals, asked for by `running`."""

from typing import Any

from celery.signals import task_postrun, task_prerun
from celery.worker.control import inspect_command

names: dict[str, str] = {}


@task_prerun.connect
def begun(task_id: str, task: Any, **_: Any) -> None:
    """A slot is taken."""
    names[task_id] = task.name


@task_postrun.connect
def ended(task_id: str, **_: Any) -> None:
    """It is free again."""
    names.pop(task_id, None)


@inspect_command()
def running(_: Any) -> list[str]:
    """Return the names of the tasks that hold a slot."""
    return list(names.values())
