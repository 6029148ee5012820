"""`iam-policy`: what each role may do, and that no call of the code's is left out."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from celery_sagemaker.config import Settings
from celery_sagemaker.runtime import probe
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.workers.cli.app import app
from celery_sagemaker.workers.iam import Role, Scope, policy
from typer.testing import CliRunner, Result

ROOT = Path(__file__).parents[2]

#: Folders whose processes talk to AWS; the local stack is AWS' stand-in.
FOLDERS = ("runtime", "config", "tasks", "workers")

#: What clients of AWS are called there; those of Redis and of HTTP have other operations.
CLIENTS = frozenset({"s3", "sagemaker", "runtime", "sts", "client"})

#: The actions of every operation that the code calls, by boto3's name; those of STS need none.
ACTIONS = {
    "invoke_endpoint": {"sagemaker:InvokeEndpoint"},
    "invoke_endpoint_async": {"sagemaker:InvokeEndpointAsync"},
    "invoke_endpoint_with_response_stream": {
        "sagemaker:InvokeEndpoint",
        "sagemaker:InvokeEndpointWithResponseStream",
    },
    "describe_endpoint": {"sagemaker:DescribeEndpoint"},
    "describe_endpoint_config": {"sagemaker:DescribeEndpointConfig"},
    "get_object": {"s3:GetObject"},
    "head_object": {"s3:GetObject"},
    "put_object": {"s3:PutObject"},
    "upload_fileobj": {"s3:PutObject", "s3:AbortMultipartUpload"},
    "delete_objects": {"s3:DeleteObject"},
    "list_objects_v2": {"s3:ListBucket"},
    "get_bucket_lifecycle_configuration": {"s3:GetLifecycleConfiguration"},
    "get_caller_identity": set(),
}

#: A deployment that has everything.
SETTINGS = Settings(
    staging="s3://stage/x",
    region="eu-west-1",
    endpoints={"Churn": {}, "LLM/Adapter": {}, "big": {"output_path": "s3://outs/big"}},
    schedules={
        "nightly": {
            "cron": "0 2 * * *",
            "run": "batch",
            "endpoint": "Scheduled",
            "input": "s3://lake/in/{date}.jsonl",
            "output": "s3://lake/out/{date}",
        },
        "late": {"every": 60, "run": "invoke_async", "endpoint": "Late", "payload": "x"},
    },
)
SCOPE = Scope(account="123456789012", region="eu-west-1", purge=True)


def resources(document: dict[str, Any], action: str) -> set[str]:
    """What a policy allows an action on."""
    found = (one for one in document["Statement"] if action in one["Action"])
    return {resource for one in found for resource in one["Resource"]}


def endpoints(*names: str) -> set[str]:
    """ARNs of endpoints."""
    return {f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{name}" for name in names}


def asked() -> Iterator[str]:
    """The names that the code asks clients for."""
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value).rpartition(".")[2]
                if owner in CLIENTS:
                    yield node.attr


def operations() -> set[str]:
    """The operations of the services, and the transfers of S3, by boto3's names."""
    session = boto3.session.Session(region_name="us-east-1")
    found = {"upload_fileobj", "upload_file", "download_fileobj", "download_file", "get_paginator"}
    for service in ("s3", "sagemaker", "sagemaker-runtime", "sts"):
        found.update(session.client(service).meta.method_to_api_mapping)
    return found


def test_every_call_is_known() -> None:
    """A new call to AWS needs its actions here, and in the policies."""
    made = operations().intersection(asked())
    assert {"get_object", "invoke_endpoint_async"} <= made
    assert made <= set(ACTIONS)


def test_every_action_is_granted_to_somebody() -> None:
    """Also what the fast transport calls, which has no client."""
    granted = {
        action
        for role in Role
        for one in policy(role, SETTINGS, SCOPE)["Statement"]
        for action in one["Action"]
    }
    assert granted == set.union(*ACTIONS.values())
    assert {f"sagemaker:{name}" for name in probe.OPERATIONS} <= granted


def test_endpoints_are_called_by_their_kind() -> None:
    """In lower case, as ARNs have them; with the component that is named."""
    found = policy(Role.WORKER, SETTINGS, SCOPE)
    component = "arn:aws:sagemaker:eu-west-1:123456789012:inference-component/adapter"
    realtime = endpoints("churn", "llm", "scheduled") | {component}
    assert resources(found, "sagemaker:InvokeEndpoint") == realtime
    assert resources(found, "sagemaker:InvokeEndpointWithResponseStream") == realtime
    assert resources(found, "sagemaker:InvokeEndpointAsync") == endpoints("big", "late")
    everything = endpoints("churn", "llm", "scheduled", "big", "late")
    assert resources(found, "sagemaker:DescribeEndpoint") == everything


def test_a_worker_reads_and_writes_where_it_has_to() -> None:
    """Templates are patterns; staged payloads are not batch jobs."""
    found = policy(Role.WORKER, SETTINGS, SCOPE)
    assert resources(found, "s3:DeleteObject") == {
        "arn:aws:s3:::lake/out/*/*",
        "arn:aws:s3:::stage/x/batch/*",
    }
    assert resources(found, "s3:GetObject") == {
        "arn:aws:s3:::lake/in/*.jsonl",
        "arn:aws:s3:::lake/out/*/*",
        "arn:aws:s3:::outs/big/*",
        "arn:aws:s3:::stage/x/batch/*",
        "arn:aws:s3:::stage/x/inputs/*",
    }


def test_buckets_are_listed_by_prefix_but_for_outputs() -> None:
    """A HEAD of an output that is not written yet names no prefix."""
    found = policy(Role.WORKER, SETTINGS, SCOPE)
    listings = [one for one in found["Statement"] if one["Action"] == ["s3:ListBucket"]]
    seen = {one["Resource"][0]: one.get("Condition") for one in listings}
    assert seen == {
        "arn:aws:s3:::outs": None,
        "arn:aws:s3:::lake": {"StringLike": {"s3:prefix": ["out/*/*"]}},
        "arn:aws:s3:::stage": {"StringLike": {"s3:prefix": ["x/batch/*"]}},
    }


def test_a_producer_calls_no_endpoint() -> None:
    """It stages, submits, and reads what batch jobs wrote; removal is asked for."""
    found = policy(Role.PRODUCER, SETTINGS, SCOPE)
    everything = {action for one in found["Statement"] for action in one["Action"]}
    assert not {action for action in everything if "Invoke" in action}
    assert resources(found, "s3:PutObject") == {
        "arn:aws:s3:::stage/x/inputs/*",
        "arn:aws:s3:::stage/x/batch/*",
    }
    lesser = policy(Role.PRODUCER, SETTINGS, Scope(account="1", region="eu-west-1"))
    assert resources(lesser, "s3:DeleteObject") == resources(lesser, "s3:ListBucket") == set()


def test_beat_may_ask_whether_an_endpoint_is_there() -> None:
    """And nothing else."""
    (only,) = policy(Role.BEAT, SETTINGS, SCOPE)["Statement"]
    assert (only["Action"], set(only["Resource"])) == (
        ["sagemaker:DescribeEndpoint"],
        endpoints("*"),
    )


def test_the_doctor_touches_objects_of_its_own() -> None:
    """It writes to staging, and deletes, nothing but what it is named after."""
    found = policy(Role.DOCTOR, SETTINGS, SCOPE)
    assert resources(found, "s3:PutObject") == {"arn:aws:s3:::stage/x/inputs/doctor-*"}
    assert resources(found, "s3:DeleteObject") == {"arn:aws:s3:::stage/x/inputs/doctor-*"}
    assert resources(found, "s3:GetLifecycleConfiguration") == {
        "arn:aws:s3:::outs",
        "arn:aws:s3:::stage",
    }


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_regions_have_their_partitions(region: str, partition: str) -> None:
    """In every ARN."""
    found = policy(Role.WORKER, SETTINGS, Scope(region=region))
    arns = [arn for one in found["Statement"] for arn in one["Resource"]]
    assert all(arn.startswith(f"arn:{partition}:") for arn in arns)


def test_statements_are_what_iam_takes() -> None:
    """Sids are alphanumeric and unique, nothing is empty, and the document is small enough."""
    for role in Role:
        document = policy(role, SETTINGS, SCOPE)
        sids = [one["Sid"] for one in document["Statement"]]
        assert all(sid.isalnum() for sid in sids)
        assert len(set(sids)) == len(sids)
        assert all(one["Action"] and one["Resource"] for one in document["Statement"])
        # Of a managed policy, without white space.
        assert len(json.dumps(document, separators=(",", ":"))) < 6_144


@pytest.mark.parametrize(
    "scope", [Scope(endpoints=("my endpoint",)), Scope(outputs=("outs/big",)), Scope()]
)
def test_what_cannot_be_right_is_refused(scope: Scope) -> None:
    """A name, a location, and a worker without any endpoint."""
    with pytest.raises(InvalidRequest):
        policy(Role.WORKER, Settings(), scope)


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["iam-policy", *arguments])


def test_one_role_is_a_document() -> None:
    """As `aws iam put-role-policy` takes it; what is to be filled in is said on stderr."""
    found = run("--role", "worker", "--endpoint", "churn", "--async-endpoint", "big",
                "--output", "s3://outs", "--batch-input", "s3://lake/in/",
                "--batch-output", "s3://lake/out", "--region", "eu-west-1")  # fmt: skip
    assert found.exit_code == 0
    document = json.loads(found.stdout)
    assert document["Version"] == "2012-10-17"
    assert resources(document, "s3:GetObject") == {
        "arn:aws:s3:::lake/in/*",
        "arn:aws:s3:::lake/out/*",
        "arn:aws:s3:::outs/*",
    }
    assert found.stderr == "to be filled in: ACCOUNT_ID (--account)\n"


def test_all_roles_are_an_object() -> None:
    """By their names."""
    found = run("--endpoint", "churn", "--account", "1", "--region", "eu-west-1")
    assert list(json.loads(found.stdout)) == list(Role)
    assert found.stderr == ""


def test_no_endpoint_is_a_wrong_command_line() -> None:
    """A policy for any endpoint would not be the least."""
    found = run("--role", "worker")
    assert found.exit_code == 2
    assert "--endpoint" in found.stderr
