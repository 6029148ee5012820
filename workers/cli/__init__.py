"""The command line `celery-sagemaker`."""


def main() -> None:
    """Run the command line."""
    # Typer, rich and Celery are not for who imports only a module of this package.
    from .app import app  # noqa: PLC0415

    app()
