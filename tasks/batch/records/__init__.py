"""The records of a batch job: read, pack, split and write; nothing of Celery or Redis."""
