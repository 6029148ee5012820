"""docs/reference/channels.md shows what really is in Redis."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

from celery_sagemaker.channels import ChannelOptions, Publisher
from celery_sagemaker.channels.wire import Keys, Kind
from redis import Redis

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "channels.md").read_text("utf-8")


def test_the_example_is_what_a_publisher_writes(sagemaker_redis_url: str) -> None:
    """Entry by entry, as redis-cli prints them."""
    options = ChannelOptions(prefix=f"test-{uuid.uuid4().hex}", coalesce_seconds=5.0)
    with Publisher.open("7f3a", sagemaker_redis_url, options=options) as publisher:
        for record in (b"Hello", b",", b" world"):
            publisher.append(record)
    client = Redis.from_url(sagemaker_redis_url)
    entries: Any = client.xrange(Keys(options.prefix, "7f3a").log)
    shown = re.findall(r'1\) "([0-9-]+)"\n +2\) 1\) "(\w)"\n +2\) (".*")', PAGE)
    assert [(id_, kind, json.loads(payload)) for id_, kind, payload in shown] == [
        (id_.decode(), kind.decode(), payload.decode())
        for id_, fields in entries
        for kind, payload in fields.items()
    ]


def test_every_kind_is_described() -> None:
    """The table of kinds is whole."""
    assert set(re.findall(r"^\| `(\w)` ", PAGE, re.MULTILINE)) == set(Kind)
