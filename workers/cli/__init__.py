"""The command line `celery-sagemaker`."""

from .app import main

__all__ = ["main"]
