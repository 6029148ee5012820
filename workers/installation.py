"""Putting the tasks into a Celery app: ours, or somebody's."""

from typing import TYPE_CHECKING

from celery import Celery, _state

from ..config import Settings
from ..config.celery import celery_settings, task_settings
from ..config.signing import sign
from ..tasks import configure

if TYPE_CHECKING:
    from celery.bootsteps import Step


def install(app: Celery, settings: Settings | None = None) -> Celery:
    """Add the `sagemaker.*` tasks, their routes and queues, clock and heartbeat to an app.

    Nothing of the app's own is changed: its broker, its backend, its tasks, its queues and its
    routes stay. To be called where the app is made, in the web process as in the worker.

    Args:
        app: any Celery app.
        settings: by default those of the environment and the settings file over the app's own
            broker and result backend, read on first use.

    Returns:
        The same app.
    """
    if settings is not None:
        configure(app, settings)
    if app.finalized:  # type: ignore[attr-defined] # celery-types lacks it
        _add_settings(app)
    else:
        # When the app's own configuration is complete.
        app.on_after_finalize.connect(_add_settings, weak=False)
    _add_steps(app)
    _be_default(app)
    return app


def create_app(settings: Settings | None = None) -> Celery:
    """Return an app of our own, with the tasks in it and all of Celery's settings chosen.

    Raises:
        SettingsError: the environment or the settings file is wrong.
    """
    settings = settings or Settings.load()
    app = Celery("celery_sagemaker")
    app.conf.update(celery_settings(settings))
    sign(app, settings)
    configure(app, settings)
    _add_steps(app)
    _be_default(app)
    from . import logs  # noqa: PLC0415 - the signals of a worker

    logs.connect(settings.logging.format)
    return app


def _be_default(app: Celery) -> None:
    """Let threads find the app: Celery's current app is that of one thread only."""
    if _state.default_app is None:  # type: ignore[attr-defined] # celery-types lacks it
        app.set_default()


def _add_settings(sender: Celery, **_: object) -> None:
    sender.conf.update(task_settings(sender))


def _add_steps(app: Celery) -> None:
    from . import inspection, leaving, liveness, quiet, refusals  # noqa: F401, PLC0415 - a worker's commands and signals
    from .guard import Guard  # noqa: PLC0415
    from .metrics import Metrics  # noqa: PLC0415 - and its steps
    from .ticker import Ticker  # noqa: PLC0415
    from .visibility import VisibilityHeartbeat  # noqa: PLC0415
    from .waking import Waking  # noqa: PLC0415

    worker: set[type[Step]] = app.steps["worker"]
    worker.update({Metrics, Ticker})
    app.steps["consumer"].update({Guard, liveness.Liveness, VisibilityHeartbeat, Waking})
    refusals.connect()
    quiet.connect()
    leaving.connect()
    liveness.connect()
