"""Options, errors and clients that are refused."""

import pickle
import subprocess
import sys
from typing import Any

import pytest
import redis.asyncio
from celery_sagemaker.channels import (
    ChannelError,
    ChannelOptions,
    Cursor,
    StaleProducer,
    StreamFailed,
    StreamFinished,
    StreamGap,
    text_of,
)
from celery_sagemaker.channels.scripts import knows_sharded, must_carry_bytes


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": "a{b}"},
        {"prefix": ""},
        {"ttl": 0},
        {"heartbeat": -1},
        {"coalesce_seconds": -0.1},
        {"inbox": 0},
        {"meta_ttl": 10.0},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    """At once, where they were written."""
    with pytest.raises(ValueError, match=next(iter(wrong))[:6]):
        ChannelOptions(**wrong)


def test_a_lease_outlives_two_lost_heartbeats() -> None:
    """A producer counts as dead after three."""
    assert ChannelOptions(heartbeat=2.0).lease == 6.0


@pytest.mark.parametrize("module", [redis, redis.asyncio])
def test_a_client_that_decodes_is_refused(module: Any) -> None:
    """A record need not be text."""
    with pytest.raises(TypeError, match="decode_responses"):
        must_carry_bytes(module.Redis(decode_responses=True))
    must_carry_bytes(module.Redis())


def test_sharded_channels_came_with_redis_7() -> None:
    """Valkey tells a Redis version as well."""
    assert [knows_sharded({"redis_version": v}) for v in ("6.2.14", "7.0.0", "10.1")] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    "error",
    [
        StreamGap("gone", Cursor(1, 2)),
        StaleProducer("late"),
        StreamFailed("ModelError", "no", Cursor(1, 2), retryable=True),
        StreamFinished("complete", {"parts": 1}),
    ],
)
def test_errors_can_be_pickled(error: ChannelError) -> None:
    """Celery carries them between processes."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_binary_framings_have_no_text() -> None:
    """Everything else is UTF-8, with what is broken replaced."""
    assert text_of("bytes", b"\xff") is None
    assert text_of("lines", b"caf\xc3\xa9 \xff") == "café �"


def test_a_producer_loads_no_web_framework() -> None:
    """Starlette and itsdangerous are an extra, for `channels.asgi` and `channels.tokens` only."""
    code = (
        "import sys, celery_sagemaker.channels;"
        " print([n for n in ('starlette', 'itsdangerous', 'celery', 'boto3') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
