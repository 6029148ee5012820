"""Streams and their readers: what a deployment's channels are, and ends that no run brings."""

import logging

import redis

from .. import channels
from ..channels import Publisher, StreamFinished
from ..runtime import tokens
from ..runtime.exceptions import InferenceError, StreamCancelled
from .deployment import Deployment, deployment, this_app

logger = logging.getLogger(__name__)

#: The task whose requests have readers.
TASK = "sagemaker.stream"


def reading() -> channels.Defaults:
    """Return what the readers of this process use: the current app's Redis and settings."""
    parts = deployment(this_app())
    return channels.Defaults(parts.settings.state_url, parts.channels, text_of)


def text_of(framing: str, data: bytes) -> str | None:
    """Return what the model wrote in a record; None where that cannot be told."""
    return None if framing == tokens.RAW else tokens.text_of(framing, data)


def conclude(parts: Deployment, id_: str, error: InferenceError) -> None:
    """Tell the readers of a stream how it ended, unless they know."""
    try:
        finish(open_(parts, id_), error)
    except StreamFinished:
        return
    except (redis.RedisError, ValueError) as away:
        logger.warning("readers_not_told", extra={"id": id_, "error": str(away)})


def finish(publisher: Publisher, error: InferenceError) -> None:
    """End a stream by an error.

    Raises:
        StaleProducer: a later attempt has taken over.
    """
    if isinstance(error, StreamCancelled):
        publisher.cancelled()
    else:
        publisher.error(error.code, error.message)


def cancel(parts: Deployment, id_: str) -> None:
    """Stop a stream: its producer at once, its readers also where it has none."""
    state = channels.cancel(id_, parts.settings.state_url, options=parts.channels)
    if not state:
        conclude(parts, id_, StreamCancelled())


def open_(parts: Deployment, id_: str, **options: object) -> Publisher:
    """Begin an attempt at a stream whose framing its response will tell."""
    return Publisher.open(
        id_,
        parts.settings.state_url,
        content_type=None,
        framing=None,
        options=parts.channels,
        **options,  # type: ignore[arg-type]
    )
