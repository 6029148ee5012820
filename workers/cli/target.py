"""The Celery application and settings that the commands work with."""

from celery import Celery

from ...config import Settings
from .. import create_app


def celery_app() -> tuple[Celery, Settings]:
    """Our own Celery app and the settings it was made from.

    Raises:
        SettingsError: the environment or the file holds something that cannot be right.
    """
    settings = Settings.load()
    return create_app(settings), settings
