"""The channel of a schedule on a real Redis: every run, to whoever follows it, wherever."""

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPResponse
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import redis
from celery_sagemaker.channels import Part, StreamNotFound, subscribe
from celery_sagemaker.channels.tokens import StreamTokens
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks import streams
from celery_sagemaker.tasks.deployment import Deployment
from celery_sagemaker.tasks.schedules import Run, RunState, channel
from channels_harness import own_redis
from web_harness import Web

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")

#: Signs tokens of readers.
KEY = "test" * 8

#: A web process: follows a schedule and prints what its page would show.
FOLLOWER = """
import asyncio, sys
from celery_sagemaker import tasks
from celery_sagemaker.channels import End, asubscribe

async def follow(id_):
    async for event in asubscribe(id_):
        print("removed" if isinstance(event, End) else event.text, flush=True)

asyncio.run(follow(sys.argv[1]))
"""

#: A worker: announces the end of a run that another process has begun.
ANNOUNCER = """
import json, sys
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.deployment import Deployment
from celery_sagemaker.tasks.schedules import Run, channel
parts = Deployment(Settings.load())
for line in sys.stdin:
    channel.announce(parts, "nightly", Run.from_text(line))
"""


@pytest.fixture
def environment(sagemaker_redis_url: str) -> dict[str, str]:
    """A deployment with a prefix of the test's own."""
    ours = {"BROKER_URL": sagemaker_redis_url, "PREFIX": f"test-{uuid.uuid4().hex}"}
    return {**os.environ, **{f"CELERY_SAGEMAKER_{name}": value for name, value in ours.items()}}


@pytest.fixture
def parts(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """The same deployment in this process."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Deployment(Settings.load())
    yield made
    made.close()


def run(number: int, **changes: Any) -> Run:
    """One of the schedule's runs; it goes on."""
    made = Run(
        id=f"run{number}",
        due=1_800_000_000.0 + number,
        trigger="schedule",
        state=RunState.RUNNING,
        kind="invoke",
        noted=1_800_000_000.0,
        started=1_800_000_001.0,
        target=f"task{number}",
    )
    return replace(made, **changes)


def ended(number: int, state: RunState = RunState.SUCCEEDED) -> Run:
    """The same, when it has ended."""
    return run(number, state=state, ended=1_800_000_003.5)


def told(parts: Deployment, count: int) -> list[dict[str, Any]]:
    """The first events of the schedule."""
    events = subscribe(
        "schedule:nightly",
        parts.settings.state_url,
        options=parts.channels,
        to_text=streams.text_of,
    )
    found = list(islice(events, count))
    events.close()
    return [json.loads(event.text or "") for event in found if isinstance(event, Part)]


def test_an_event_is_the_run(parts: Deployment) -> None:
    """Its state, ids, duration and reason, as text for readers and browsers."""
    reason = {"code": "ModelError", "message": "no"}
    channel.announce(parts, "nightly", run(1))
    channel.announce(parts, "nightly", replace(ended(1, RunState.FAILED), reason=reason))
    begun, failed = told(parts, 2)
    assert begun == {"schedule": "nightly", **run(1).to_json()}
    assert (begun["state"], begun["id"], begun["target"]) == ("RUNNING", "run1", "task1")
    assert (failed["state"], failed["seconds"], failed["reason"]) == ("FAILED", 2.5, reason)


def test_a_state_is_told_once(parts: Deployment) -> None:
    """Whoever crashed between noting and announcing, and whoever looks after it, may repeat it."""
    for made in (run(1), run(1), ended(1), run(1), ended(1), run(2), run(1)):
        channel.announce(parts, "nightly", made)
    events = told(parts, 3)
    assert [(event["id"], event["state"]) for event in events] == [
        ("run1", "RUNNING"),
        ("run1", "SUCCEEDED"),
        ("run2", "RUNNING"),
    ]


def test_another_process_follows_three_runs(parts: Deployment, environment: dict[str, str]) -> None:
    """Runs that several processes announce, from before the first one until the removal."""
    channel.open_(parts, "nightly")
    command = [sys.executable, "-c", FOLLOWER, "schedule:nightly"]
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as follower,
        subprocess.Popen(
            [sys.executable, "-c", ANNOUNCER], env=environment, stdin=subprocess.PIPE, text=True
        ) as worker,
    ):
        assert follower.stdout
        assert worker.stdin
        for number in (1, 2, 3):
            channel.announce(parts, "nightly", run(number))
            assert json.loads(follower.stdout.readline())["state"] == "RUNNING"
            worker.stdin.write(json.dumps(ended(number).to_json()) + "\n")
            worker.stdin.flush()
            event = json.loads(follower.stdout.readline())
            assert (event["id"], event["state"]) == (f"run{number}", "SUCCEEDED")
        worker.stdin.close()
        assert worker.wait(30) == 0
        channel.close(parts, "nightly")
        assert follower.stdout.readline() == "removed\n"
        assert follower.wait(30) == 0


def test_the_command_line_prints_a_line_for_each(
    parts: Deployment, environment: dict[str, str]
) -> None:
    """`subscribe schedule:nightly` as a real process, until the schedule is removed."""
    for made in (run(1), ended(1), run(2, state=RunState.SKIPPED, started=None, target=None)):
        channel.announce(parts, "nightly", made)
    channel.close(parts, "nightly")
    command = [*CLI, "subscribe", "schedule:nightly"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "2027-01-15T08:00:01+00:00  RUNNING    run run1  invoke task1",
        "2027-01-15T08:00:01+00:00  SUCCEEDED  2.5 s  run run1  invoke task1",
        "2027-01-15T08:00:02+00:00  SKIPPED    run run2",
    ]
    assert done.stderr.splitlines()[-1] == "the schedule was removed"


def test_a_browser_follows_and_comes_back(
    parts: Deployment, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server-sent events behind a token for this schedule; the last id resumes, the end is 204."""
    monkeypatch.setenv("CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS", KEY)
    token = StreamTokens(KEY).sign("schedule:nightly")
    for made in (run(1), ended(1)):
        channel.announce(parts, "nightly", made)
    query = f"/streams/schedule:nightly?token={token}"
    web = Web(tmp_path, "--factory", "celery_sagemaker.workers.sse:create_app")
    web.start()
    try:
        with web.request("GET", query) as answer:
            first = event_of(answer)
        channel.close(parts, "nightly")
        with web.request("GET", query, Last_Event_ID=first["id"]) as answer:
            second, last = event_of(answer), event_of(answer)
        with web.request("GET", query, Last_Event_ID=last["id"]) as answer:
            assert answer.status == HTTPStatus.NO_CONTENT
        with web.request("GET", query.replace("nightly", "hourly")) as answer:
            assert answer.status == HTTPStatus.NOT_FOUND
    finally:
        web.kill()
    texts = [json.loads(event["data"])["text"] for event in (first, second)]
    assert [json.loads(text)["state"] for text in texts] == ["RUNNING", "SUCCEEDED"]
    assert (last["event"], json.loads(last["data"])["result"]) == ("end", "removed")


def event_of(answer: HTTPResponse) -> dict[str, str]:
    """The next event: its lines by name."""
    while True:
        lines = list(iter(lambda: answer.readline().decode().rstrip("\n"), ""))
        if lines and not lines[0].startswith(":"):
            return dict(line.split(": ", 1) for line in lines)


def test_a_schedule_can_come_again(parts: Deployment) -> None:
    """What is announced after the removal is dropped, and the next one begins with nothing."""
    channel.announce(parts, "nightly", run(1))
    channel.close(parts, "nightly")
    channel.announce(parts, "nightly", ended(1))
    channel.open_(parts, "nightly")
    channel.announce(parts, "nightly", run(7))
    (event,) = told(parts, 1)
    assert event["id"] == "run7"


def test_readers_wait_for_the_first_run(parts: Deployment) -> None:
    """A schedule that was added can be followed; one that was not is not found."""
    options = replace(parts.channels, wait=0.2)
    with pytest.raises(StreamNotFound):
        next(subscribe("schedule:nightly", parts.settings.state_url, options=options))
    channel.open_(parts, "nightly")
    channel.open_(parts, "nightly")
    channel.announce(parts, "nightly", run(1))
    assert told(parts, 1)[0]["id"] == "run1"


def test_an_outage_is_no_error_of_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised; a line in the log says that readers were not told."""
    with own_redis(tmp_path) as server:
        parts = Deployment(Settings(broker_url=server.url))
        channel.announce(parts, "nightly", run(1))
        server.stop()
        # A worker waits out a restart; what comes after that need not be waited for here.
        parts.ledger.client.set_retry(redis.retry.Retry(redis.backoff.NoBackoff(), 0))
        with caplog.at_level(logging.WARNING):
            channel.announce(parts, "nightly", ended(1))
            channel.close(parts, "nightly")
        assert [record.message for record in caplog.records] == ["schedule_readers_not_told"] * 2
        server.start()
        channel.announce(parts, "nightly", ended(1))
        assert [event["state"] for event in told(parts, 2)] == ["RUNNING", "SUCCEEDED"]
        parts.close()
