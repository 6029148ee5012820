"""Our own app, in a worker that says it is of an older version."""

from celery_sagemaker.workers import create_app, inspection

#: What it says.
OLDER = "0.0.9"

app = create_app()

_versions = inspection.versions

inspection.versions = lambda: _versions() | {"celery-sagemaker": OLDER}
