"""The Celery application and settings that the commands work with."""

from celery import Celery

from ...config import Settings


def celery_app() -> tuple[Celery, Settings]:
    """Our own Celery app and the settings it was made from.

    Raises:
        SettingsError: the environment or the file holds something that cannot be right.
    """
    from ..app import app  # noqa: PLC0415 - its import reads the settings

    return app, Settings.load()
