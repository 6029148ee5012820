"""Somebody's app that takes a queue of ours and has not installed our tasks."""

import os

from celery import Celery

app = Celery("stranger", broker=os.environ["CELERY_SAGEMAKER_BROKER_URL"])
