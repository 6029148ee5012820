"""docs/reference/state.md has every key that is found in Redis."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from celery import Celery, chord
from celery_sagemaker.channels import subscribe
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.tasks import batch, invoke, invoke_async, schedules, stream
from harness import Environment, Worker, behave, eventually
from redis import Redis

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "state.md").read_text("utf-8")

#: Parts of keys that the page names in capitals; some have colons in them.
PLACEHOLDER = re.compile(r"(LOCATION|OWNER|QUEUE|TOKEN)|PREFIX|ENDPOINT|ENTRY|NAME|ID")

#: What this run has not: a chunk cut short, a stream cancelled, a record that failed, a dead
#: letter, a job that waits for another, a worker that looks for lost messages, a beat.
RARE = {
    "{PREFIX}:batch:job:ID:progress",
    "PREFIX:{ID}:ctl",
    "{PREFIX}:batch:job:ID:codes",
    "{PREFIX}:dead",
    "{PREFIX}:batch:yielding",
    "unacked_mutex",
    "{PREFIX}:beat::lock",
    "{PREFIX}:beat::statics",
    "{PREFIX}:beat:ENTRY",
}

#: Written by schedules and beat, which have tests of their own.
SCHEDULED = re.compile(r"\{PREFIX\}:(schedule|beat)")

PATIENCE = 30.0


@pytest.fixture
def environment(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The acceptance tests' one, with limits for one endpoint."""
    limits = {"MAX_CONCURRENCY": "1", "BREAKER": "true"}
    ours = {f"CELERY_SAGEMAKER_ENDPOINTS__LIMITED__LIMITS__{k}": v for k, v in limits.items()}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return environment | ours


def rows() -> dict[str, re.Pattern[str]]:
    """Keys of the page's tables, each with what it stands for."""
    named = re.findall(r"^\| (`[^|]+`) \|", PAGE.partition("## On S3")[0], re.MULTILINE)
    keys = [key for cell in named for key in re.findall(r"`([^`]+)`", cell)]
    return {key: re.compile(PLACEHOLDER.sub(meaning, re.escape(key))) for key in keys}


def meaning(word: re.Match[str]) -> str:
    """What may stand for a word in capitals."""
    return ".+" if word[1] else "[^:]+"


@contextmanager
def touched(client: Any) -> Iterator[set[str]]:
    """Collect the keys that are written, also those that are gone again: Redis tells of each."""
    found: set[str] = set()
    (before,) = client.config_get("notify-keyspace-events").values()
    space = f"__keyspace@{client.connection_pool.connection_kwargs['db']}__:"
    with closing(client.pubsub()) as listener:
        client.config_set("notify-keyspace-events", "KA")
        listener.psubscribe(f"{space}*")
        try:
            yield found
        finally:
            client.config_set("notify-keyspace-events", before)
        while message := listener.get_message(timeout=1.0):
            if message["type"] == "pmessage":
                found.add(message["channel"].decode().removeprefix(space))


def use_everything(app: Celery, stack: LocalStack) -> None:
    """Every kind of request once, with limits, a retry, a failure and a chord."""
    behave(stack, "slow", kind="async", delay={"fixed": 0.5})
    behave(stack, "limited", latency={"fixed": 0.2})
    behave(stack, "busy", errors={"ThrottlingException": 0.5}, seed=1)
    boto3.client("s3").put_object(Bucket=stack.bucket, Key="in.jsonl", Body=b'{"x":1}\n{"x":2}\n')
    job = batch.submit(
        "limited", input=f"s3://{stack.bucket}/in.jsonl", client_token="once", expires_in=600
    )
    schedules.add("nightly", cron="0 2 * * *", endpoint="echo", payload="x")
    schedules.run_now("nightly")
    eventually(lambda: schedules.get("nightly").last is not None)
    streamed = stream.delay("echo", "one two")
    assert list(subscribe(streamed.id))
    pages = [invoke_async.s("slow", n) for n in range(3)]
    chord(pages)(invoke.s(endpoint="echo")).get(timeout=PATIENCE)
    for result in [invoke.delay(name, n) for name in ("busy", "limited") for n in range(4)]:
        result.get(timeout=PATIENCE)
    with pytest.raises(exceptions.EndpointNotFound):
        invoke.delay("absent", 1).get(timeout=PATIENCE)
    assert job.wait(timeout=PATIENCE).state.final


def test_every_key_is_in_a_table(
    environment: Environment,
    sagemaker_local: LocalStack,
    app: Celery,
    worker: Worker,
) -> None:
    """Whatever a run of everything writes; and what is in a table is written, if it is not rare."""
    client: Any = Redis.from_url(str(app.conf.broker_url))
    known = rows()
    with touched(client) as keys:
        worker.start()
        use_everything(app, sagemaker_local)
    unknown = [key for key in keys if not any(p.fullmatch(key) for p in known.values())]
    assert unknown == []
    unseen = {row for row, pattern in known.items() if not any(map(pattern.fullmatch, keys))}
    assert {row for row in unseen if not SCHEDULED.match(row)} <= RARE
