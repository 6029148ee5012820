"""Somebody's own Celery app, as the README shows it, with tasks of its own."""

import json
import os
from typing import Any

from celery import Celery
from celery_sagemaker.workers import install

app = Celery("shop", broker=os.environ["SHOP_REDIS"], backend=os.environ["SHOP_REDIS"])
install(app)


@app.task(name="shop.save")
def save(answers: Any) -> Any:
    """Keep what it was given as its result."""
    return answers


@app.task(name="shop.report")
def report(request: Any, error: BaseException, traceback: Any) -> None:
    """Write down whose errback was called, and with which error."""
    heard = {"id": request.id, "error": type(error).__name__, "message": str(error)}
    app.backend.client.rpush("heard", json.dumps(heard))  # type: ignore[attr-defined]
