"""Who runs the tasks: the Celery app, the worker's bootsteps, the command line."""

from .installation import create_app, install

__all__ = ["create_app", "install"]
