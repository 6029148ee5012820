"""A sign of life of a worker and of beat: a file that is touched while the work goes on.

For whoever restarts or reports a process that hangs: Kubernetes, compose, a monitor. Looking at a
file's age costs a millisecond; `celery inspect ping` loads Celery each time, seconds of a core, and
beat does not answer it.

A worker touches its file from the loop that takes messages, which does not run while the broker is
away, and beat at each of its ticks.
"""

import logging
from pathlib import Path
from typing import Any

from celery import Celery, signals

from ..config.sections import LivenessSettings
from ..tasks.deployment import deployment
from .repeating import Repeated, Repeating

logger = logging.getLogger(__name__)


class Liveness(Repeating):
    """Touches the worker's file as long as its consumer runs."""

    def repeated(self, parent: Any) -> Repeated | None:
        """Touch the file, and go on doing so; after the consumer's stop it grows old."""
        chosen = settings_of(parent.app)
        if chosen.file is None:
            return None
        touch(chosen.file)
        return chosen.every, touch, (chosen.file,)


def connect() -> None:
    """Let a beat of this process show that it is alive; may be called more than once."""
    signals.beat_init.connect(_watch, dispatch_uid="sagemaker-liveness")


def _watch(sender: Any, **_: Any) -> None:
    """Touch the file at each tick of a beat: of these Celery has no signal."""
    scheduler, file = sender.scheduler, settings_of(sender.app).file
    if file is None:
        return
    tick = scheduler.tick

    def touching_tick(*args: Any, **kwargs: Any) -> Any:
        touch(file)
        return tick(*args, **kwargs)

    scheduler.tick = touching_tick


def settings_of(app: Celery) -> LivenessSettings:
    """Return what the app's deployment has chosen."""
    return deployment(app).settings.liveness


def touch(file: Path) -> None:
    """Make a file's time the present; a full or missing disk stops nobody's work."""
    try:
        file.touch()
    except OSError as error:
        logger.warning("liveness_not_shown", extra={"file": str(file), "error": str(error)})
