"""The command line `celery-sagemaker`."""

import logging


def main() -> None:
    """Run the command line."""
    # Typer, rich and Celery are not for who imports only a module of this package.
    from .. import logs  # noqa: PLC0415
    from .app import app  # noqa: PLC0415

    # Warnings with their fields; a worker, or beat, has Celery's logging set up instead.
    shown = logging.StreamHandler()
    shown.setLevel(logging.WARNING)
    shown.setFormatter(logs.TextFormatter())
    logging.getLogger().addHandler(shown)
    app()
