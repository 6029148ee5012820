"""What the doctor's probes see of real servers."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import celery
import pytest
import redis
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.local import redis_server, s3_server
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import S3AccessDenied
from celery_sagemaker.runtime.s3 import S3Location, S3Store
from celery_sagemaker.workers import create_app
from celery_sagemaker.workers.doctor import Target, endpoints, fleet, queues, s3
from celery_sagemaker.workers.doctor import redis_server as looks
from celery_sagemaker.workers.doctor.findings import Finding


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A Redis of the test's own."""
    child = redis_server.start(tmp_path)
    yield f"redis://127.0.0.1:{child.port}/0"
    child.stop()


def target(url: str, **more: Any) -> Target:
    """A deployment whose Redis it is."""
    settings = Settings(broker_url=url, **more)
    return Target(app=create_app(settings), settings=settings, seconds=2.0)


def wrong(url: str) -> dict[str, str]:
    """Return what is not well with a Redis, by id."""
    found: list[Finding] = looks.examine(target(url))
    return {f.id: str(f.severity) for f in found if not f.well}


def test_a_server_of_the_local_stack_is_well(url: str) -> None:
    """Nothing is left behind in it either."""
    assert wrong(url) == {}
    with redis.Redis.from_url(url) as client:
        assert client.keys() == []


def test_a_replica_is_read_only(url: str) -> None:
    """It says so, and its rights are not doubted for it."""
    with redis.Redis.from_url(url) as client:
        client.config_set("replica-serve-stale-data", "yes")
        client.replicaof("127.0.0.1", 1)
        assert wrong(url) == {"redis.read-only": "fault"}
        client.replicaof("NO", "ONE")
    assert wrong(url) == {}


def test_a_server_without_memory_says_so_itself(url: str) -> None:
    """Its answer is told beside the figures."""
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", "1")
    found = {f.id: f.seen for f in looks.examine(target(url)) if not f.well}
    assert set(found) == {"redis.commands", "redis.memory"}
    assert "maxmemory" in found["redis.commands"]


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["+@all"], {}),
        (["+@all", "-info", "-config"], {"redis.info": "warning"}),
        (["+@all", "-config"], {}),
        (["+@all", "-lpush"], {"redis.rights": "fault"}),
        (["+@all", "-time"], {"redis.rights": "fault"}),
        (["+@all", "-evalsha"], {"redis.rights": "fault"}),
        (["+@all", "-script"], {"redis.rights": "fault"}),
        (["+@all", "-publish"], {"redis.rights": "fault"}),
        (["+@all", "-subscribe"], {"redis.rights": "fault"}),
    ],
)
def test_a_user_that_may_not_do_all(url: str, commands: list[str], expected: object) -> None:
    """Missing rights are found; what the doctor alone needs is no fault."""
    with redis.Redis.from_url(url) as client:
        client.acl_setuser(
            "limited", enabled=True, passwords=["+secret"],
            commands=commands, keys=["*"], channels=["*"],
        )  # fmt: skip
    assert wrong(url.replace("//", "//limited:secret@")) == expected


#: A user that has what a deployment needs, and no more.
LEAST = (
    "on >secret resetkeys ~{celery-sagemaker* ~celery-sagemaker:* ~sagemaker.* ~unacked* "
    "~_kombu.binding* ~*.celery.pidbox* ~celeryev.* ~celery-task-meta-* ~celery-taskset-meta-* "
    "resetchannels &celery-sagemaker:* &/0.celery.pidbox &/0.celeryev/worker.* "
    "&celery-task-meta-* &celery-taskset-meta-* "
    "nocommands +@read +@write +@connection +@pubsub +@transaction -@dangerous "
    "+eval +evalsha +script|load +script|exists +time"
)


def test_a_user_with_the_least_rights_is_enough(url: str) -> None:
    """None is missed, and what the doctor cannot see it says."""
    with redis.Redis.from_url(url) as client:
        client.execute_command("ACL", "SETUSER", "least", *LEAST.split())
    assert wrong(url.replace("//", "//least:secret@")) == {"redis.info": "warning"}


def test_a_user_without_the_keys_may_do_nothing(url: str) -> None:
    """Each command is told with its key."""
    with redis.Redis.from_url(url) as client:
        client.acl_setuser(
            "limited", enabled=True, passwords=["+secret"],
            commands=["+@all"], keys=["unacked*", "sagemaker.*", "_kombu.*"], channels=["*"],
        )  # fmt: skip
    found = looks.examine(target(url.replace("//", "//limited:secret@")))
    (finding,) = [f for f in found if not f.well]
    assert finding.id == "redis.rights"
    assert "SETEX celery-task-meta-" in finding.seen
    assert "HDEL {celery-sagemaker}:counts" in finding.seen
    assert "unacked" not in finding.seen


#: Celery's channels of results.
RESULTS = ("celery-task-meta-*", "celery-taskset-meta-*")

#: What only an older Celery does, as it starts a chord.
CHORD = ["PUBLISH celery-taskset-meta-"] if celery.VERSION < (5, 7) else []


@pytest.mark.parametrize(
    ("channels", "missing"),
    [
        (["/0.*", "/0.celery.pidbox", *RESULTS, "celery-sagemaker:*"], []),
        (["/0.*", *RESULTS, "celery-sagemaker:*"], ["PSUBSCRIBE /0.celery.pidbox"]),
        (["/0.*", "/0.celery.pidbox", "celery-task-meta-*", "celery-sagemaker:*"], CHORD),
        (
            ["/0.*", "/0.celery.pidbox"],
            [
                "PUBLISH celery-task-meta-",
                *CHORD,
                "SUBSCRIBE celery-task-meta-",
                "PUBLISH celery-sagemaker:",
                "SUBSCRIBE celery-sagemaker:",
            ],
        ),
    ],
)
def test_channels_that_a_user_may_not_hear(
    url: str, channels: list[str], missing: list[str]
) -> None:
    """A new user of Redis 7 hears none; a wider pattern does not grant a narrower one."""
    with redis.Redis.from_url(url) as client:
        client.acl_setuser(
            "limited", enabled=True, passwords=["+secret"],
            commands=["+@all"], keys=["*"], channels=channels,
        )  # fmt: skip
    (server,) = looks.probe(target(url.replace("//", "//limited:secret@")))
    assert len(server.denied) == len(missing)
    for denied, expected in zip(server.denied, missing, strict=True):
        assert denied.startswith(expected)


def test_another_deployment_with_our_prefix_is_found(url: str) -> None:
    """In whatever database it is; one with another prefix does not matter."""
    with redis.Redis.from_url(url.replace("/0", "/7")) as other:
        other.hset("{another}:counts", "accepted", "1")
        assert wrong(url) == {}
        other.hset("{celery-sagemaker}:counts", "accepted", "1")
    assert wrong(url) == {"redis.pubsub": "warning"}


def test_each_server_is_looked_at_once(url: str) -> None:
    """Whatever it is used for; a server that is away does not hide the others."""
    found = looks.probe(
        target(url, result_url=url.replace("/0", "/1"), state_url="redis://127.0.0.1:1/0")
    )
    assert [(server.roles, server.unreachable is None) for server in found] == [
        (("broker", "results"), True),
        (("state",), False),
    ]


def test_a_rabbitmq_that_is_away_is_told() -> None:
    """Within the time that it has."""
    settings = Settings(broker_url="amqp://u:hunter2@127.0.0.1:1//", result_url="redis://h/0",
                        state_url="redis://h/0")  # fmt: skip
    app = Celery(broker=settings.broker_url, set_as_current=False)
    away = fleet.broker_away(Target(app=app, settings=settings, seconds=1.0))
    assert away
    assert "hunter2" not in away


def test_what_waits_is_counted_and_dated(url: str) -> None:
    """By the ledger, since a message has no time."""
    looked = target(url)
    for _ in range(2):
        looked.app.tasks["sagemaker.invoke"].delay("e", "x")
    found = {waiting.name: waiting for waiting in queues.probe(looked)}
    oldest = found["sagemaker.invoke"].oldest
    assert found["sagemaker.invoke"].depth == 2
    assert oldest is not None
    assert 0 <= oldest < 60
    assert (found["sagemaker.poll"].depth, found["sagemaker.poll"].oldest) == (0, None)


def test_somebody_elses_message_has_no_age(url: str) -> None:
    """Whatever it is."""
    with redis.Redis.from_url(url) as client:
        client.lpush("sagemaker.invoke", "no JSON")
        client.lpush("sagemaker.stream", '{"headers": {"id": "unknown"}}')
    found = {waiting.name: waiting for waiting in queues.probe(target(url))}
    assert (found["sagemaker.invoke"].depth, found["sagemaker.invoke"].oldest) == (1, None)
    assert (found["sagemaker.stream"].depth, found["sagemaker.stream"].oldest) == (1, None)


def test_without_a_ledger_what_waits_is_counted_and_not_dated(url: str) -> None:
    """That there is none is told elsewhere."""
    with redis.Redis.from_url(url) as client:
        client.lpush("sagemaker.invoke", '{"headers": {"id": "unknown"}}')
    looked = target(url, state_url="redis://127.0.0.1:1/0")
    found = {waiting.name: waiting for waiting in queues.probe(looked)}
    assert (found["sagemaker.invoke"].depth, found["sagemaker.invoke"].oldest) == (1, None)


@pytest.fixture
def bucket(sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]) -> str:
    """A bucket of the test's own."""
    name = f"doctor-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


def test_a_prefix_is_tried_and_left_as_it_was(bucket: str) -> None:
    """What was written is deleted again."""
    looked = target("redis://h/0", staging=f"s3://{bucket}/staging")
    (prefix,) = s3.probe(looked, [])
    assert prefix == s3.Prefix(location=f"s3://{bucket}/staging/inputs", use="staging", rules=())
    assert list(S3Store().list(S3Location(bucket, ""))) == []


@pytest.mark.parametrize(
    ("denied", "missing"),
    [
        ("s3:PutObject", "unwritten"),
        ("s3:GetObject", "unread"),
        ("s3:DeleteObject", "left"),
    ],
)
def test_what_is_denied_is_told(
    bucket: str, sagemaker_local: LocalStack, denied: str, missing: str
) -> None:
    """Of the staging prefix."""
    s3_server.deny(sagemaker_local.s3_url, bucket, denied)
    (prefix,) = s3.probe(target("redis://h/0", staging=f"s3://{bucket}/staging"), [])
    told = {name for name in ("unwritten", "unread", "left") if getattr(prefix, name) is not None}
    assert told == {missing}


@pytest.mark.parametrize(
    ("denied", "missing"),
    [
        ([], set()),
        (["s3:GetObject"], {"unread"}),
        (["s3:ListBucket"], {"unlisted"}),
        (["s3:ListBucket", "s3:GetObject"], {"unlisted"}),
    ],
)
def test_an_output_path_is_listed_and_read(
    bucket: str, sagemaker_local: LocalStack, denied: list[str], missing: set[str]
) -> None:
    """Without a listing nobody can tell whether outputs could be read."""
    s3_server.deny(sagemaker_local.s3_url, bucket, *denied)
    described = endpoints.Described(name="llama", output_path=f"s3://{bucket}/out/")
    (prefix,) = s3.probe(target("redis://h/0"), [described])
    told = {name for name in ("unread", "unlisted", "away") if getattr(prefix, name) is not None}
    assert told == missing
    assert prefix.location == f"s3://{bucket}/out"


def test_a_lifecycle_is_read_or_hidden(bucket: str, sagemaker_local: LocalStack) -> None:
    """None where there is no configuration; an error where it may not be seen."""
    store = S3Store()
    assert store.lifecycle(bucket) == ()
    (rule,) = store.lifecycle(sagemaker_local.bucket)
    assert rule["Expiration"] == {"Days": 7}
    s3_server.deny(sagemaker_local.s3_url, bucket, "s3:GetLifecycleConfiguration")
    with pytest.raises(S3AccessDenied):
        store.lifecycle(bucket)
    (prefix,) = s3.probe(target("redis://h/0", staging=f"s3://{bucket}/staging"), [])
    assert prefix.rules is None
