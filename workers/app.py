"""Our own Celery app: `celery -A celery_sagemaker.workers.app worker`."""

from .installation import create_app

app = create_app()
