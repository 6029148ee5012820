"""`celery-sagemaker batch`: submit, follow and clean up batch jobs."""
