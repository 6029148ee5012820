"""Putting the tasks into a Celery app: ours, or somebody's."""

from typing import TYPE_CHECKING

from celery import Celery

from ..config import Settings
from ..config.celery import celery_settings, task_settings
from ..tasks import configure

if TYPE_CHECKING:
    from celery.bootsteps import Step


def install(app: Celery, settings: Settings | None = None) -> Celery:
    """Add the `sagemaker.*` tasks, their routes, the clock and the heartbeat to an app.

    Nothing of the app's own is changed: its broker, its backend, its tasks, and its routes stay.
    To be called where the app is made, in the web process as in the worker.

    Args:
        app: any Celery app.
        settings: by default those of the environment and the settings file, read on first use.

    Returns:
        The same app.
    """
    if settings is not None:
        configure(app, settings)
    app.conf.update(task_settings(app.conf))
    _add_steps(app)
    return app


def create_app(settings: Settings | None = None) -> Celery:
    """Return an app of our own, with the tasks in it and all of Celery's settings chosen.

    Raises:
        SettingsError: the environment or the settings file is wrong.
    """
    settings = settings or Settings.load()
    app = Celery("celery_sagemaker")
    app.conf.update(celery_settings(settings))
    configure(app, settings)
    _add_steps(app)
    return app


def _add_steps(app: Celery) -> None:
    from . import refusals  # noqa: PLC0415 - the signals of a worker
    from .ticker import Ticker  # noqa: PLC0415 - and its steps
    from .visibility import VisibilityHeartbeat  # noqa: PLC0415

    worker: set[type[Step]] = app.steps["worker"]
    worker.add(Ticker)
    app.steps["consumer"].add(VisibilityHeartbeat)
    refusals.connect()
