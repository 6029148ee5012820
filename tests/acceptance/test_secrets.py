"""Secrets and payloads are in no log, no output and no dead letter, whatever goes wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import InferenceError
from celery_sagemaker.tasks.deployment import deployment
from harness import OPTIONS, Environment, Worker, eventually
from malformed import CALLS, dumped, encoded, envelope

#: All of it can be found again: in a text, in a repr, in JSON, in base64.
PASSWORD = "RedisSECRETpassword"
PAYLOAD = "PayloadSECRETtext"
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIASECRETSECRETKEYID",
    "AWS_SECRET_ACCESS_KEY": "AwsSECRETaccessKeyAwsSECRETaccessKeyAws",
    "AWS_SESSION_TOKEN": "AwsSECRETsessionToken",
    "CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS": "TokenSECRETkeyTokenSECRETkeyToken0",
}
MARKS = (PASSWORD, PAYLOAD, "SECRET", encoded(PAYLOAD.encode()), encoded(b"xx" + PAYLOAD.encode()))

#: A presigned URL is a payload as good as any; its signature lets anybody read.
PRESIGNED = (
    f"https://b.s3.amazonaws.com/k?X-Amz-Signature=SECRETsignature&X-Amz-Credential={PAYLOAD}"
)

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def secret(environment: Environment, app: Celery) -> Environment:
    """The deployment's environment, with secrets wherever there can be one."""
    url = app.conf.broker_url
    with redis.Redis.from_url(url) as client:
        client.acl_setuser(
            "secretive", enabled=True, passwords=[f"+{PASSWORD}"],
            commands=["+@all"], keys=["*"], channels=["*"],
        )  # fmt: skip
    url = url.replace("redis://", f"redis://secretive:{PASSWORD}@")
    urls = {f"CELERY_SAGEMAKER_{name}_URL": url for name in ("BROKER", "RESULT", "STATE")}
    return {**environment, **urls, **SECRETS}


@pytest.fixture
def run(secret: Environment, tmp_path: Path) -> Run:
    """Runs a command of the command line."""

    def command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*CLI, *arguments],
            env={**os.environ, **secret, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )

    return command


@pytest.fixture
def worker(secret: Environment, tmp_path: Path) -> Iterator[Worker]:
    """A worker that says all it can."""
    options = (*OPTIONS, "--loglevel", "DEBUG")
    made = Worker(secret, tmp_path / "worker.log", "crashing", options)
    yield made
    made.kill()


def look(where: str, text: str) -> None:
    """Fail where a secret is, with its surroundings."""
    for mark in MARKS:
        at = text.find(mark)
        assert at < 0, f"{where}: ...{text[max(0, at - 300) : at + 60]}..."


def letters(app: Celery) -> str:
    """The dead-letter list as Redis has it."""
    ledger = deployment(app).ledger
    return json.dumps(ledger.dead_letters(1_000), ensure_ascii=False)


def spoilt() -> list[bytes]:
    """Messages that are refused, each with a payload in it."""
    made = envelope("sagemaker.invoke", ["echo", PAYLOAD], {})
    texts = [{**made, "body": encoded(f'[["echo", "{PAYLOAD}"'.encode())}]
    texts.append({**made, "content-type": "application/x-python-serialize"})
    texts.append({**made, "headers": {**made["headers"], "retries": PAYLOAD}})
    texts.append(envelope("sagemaker.of_tomorrow", [PAYLOAD], {"payload": PAYLOAD}))
    texts.append(envelope("sagemaker.invoke_async", ["echo", PAYLOAD], {"unknown": PAYLOAD}))
    for task in ("sagemaker.invoke", "sagemaker.batch_plan"):
        message = {**CALLS[task][1]["message"], "version": 99, "more": PAYLOAD}
        texts.append(envelope(task, [], {"message": message}))
    return [dumped(text) for text in texts] + [PAYLOAD.encode(), dumped([PAYLOAD])]


@pytest.mark.timeout(180)
def test_a_whole_run_shows_no_secret(
    app: Celery, worker: Worker, run: Run, tmp_path: Path, sagemaker_local: LocalStack
) -> None:
    """Every kind of request, through the command line and a worker at its most talkative."""
    worker.start()
    record = {"text": PAYLOAD, "url": PRESIGNED}
    for send in (tasks.invoke, tasks.invoke_async, tasks.stream):
        send.delay("echo", record).get(timeout=45)
    chain = tasks.invoke.s("echo", record) | tasks.invoke_async.s(endpoint="echo")
    chain.delay().get(timeout=45)
    app.send_task("sagemaker.invoke", ("echo", record)).get(timeout=45)
    with pytest.raises(InferenceError):
        tasks.invoke.delay("absent", record).get(timeout=45)
    with pytest.raises(InferenceError):
        app.send_task("sagemaker.invoke", ("echo", record, PAYLOAD)).get(timeout=45)
    file = tmp_path / "records.jsonl"
    file.write_text(json.dumps(record) + "\n")
    staged = {"CELERY_SAGEMAKER_STAGING": f"s3://{sagemaker_local.bucket}/secrets"}
    asked = run("invoke", "echo", "-d", PAYLOAD, "--content-type", "text/plain")
    assert (asked.returncode, asked.stdout.strip()) == (0, PAYLOAD)
    look("invoke", asked.stderr)
    submitted = run("batch", "submit", "echo", "--input", str(file), **staged)
    assert submitted.returncode == 0, submitted.stderr
    for command in (["config"], ["batch", "list"], ["invoke", "absent", "-d", PAYLOAD]):
        shown = run(*command)
        look(" ".join(command), shown.stdout + shown.stderr)
    look("submit", submitted.stdout + submitted.stderr)
    deployment(app).ledger.client.lpush("sagemaker.invoke", *spoilt())
    # Six are no task at all; what another lacks, only its task can tell.
    eventually(lambda: worker.output.count("message_refused") >= 6)
    eventually(lambda: letters(app).count("MalformedMessage") >= 7)
    assert "DEBUG" in worker.output
    look("worker", worker.output)
    look("dead letters", letters(app))


def test_what_cannot_be_reached_is_named_without_its_password(
    app: Celery, worker: Worker, run: Run
) -> None:
    """An endpoint behind an address with a password; the error has a cause."""
    address = f"http://user:{PASSWORD}@127.0.0.1:9"
    retries = '{"EndpointUnreachable": {"attempts": 1}, "S3Error": {"attempts": 1}}'
    worker.start(AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=address, CELERY_SAGEMAKER_RETRIES=retries)
    for send in (tasks.invoke, tasks.invoke_async, tasks.stream):
        with pytest.raises(InferenceError) as caught:
            send.delay("echo", PAYLOAD).get(timeout=45)
        look("error", str(caught.value.to_json()))
    eventually(lambda: worker.output.count("EndpointUnreachable") >= 3)
    look("worker", worker.output)


@pytest.mark.parametrize("command", [["config"], ["status", "x"], ["worker"], ["batch", "list"]])
def test_a_wrong_password_is_not_repeated(run: Run, app: Celery, command: list[str]) -> None:
    """Nor the right one."""
    url = app.conf.broker_url.replace("redis://", f"redis://secretive:wrong{PASSWORD}@")
    urls = {f"CELERY_SAGEMAKER_{name}_URL": url for name in ("BROKER", "RESULT", "STATE")}
    found = run(*command, **urls)
    assert (found.returncode == 0) is (command == ["config"])
    assert found.stdout + found.stderr
    look(" ".join(command), found.stdout + found.stderr)


@pytest.mark.parametrize("name", ["BROKER_URL", "STREAMS__TOKEN_KEYS", "STATE_URL", "STAGING"])
def test_a_setting_that_is_wrong_is_not_repeated(run: Run, name: str) -> None:
    """The error names its key."""
    found = run("config", **{f"CELERY_SAGEMAKER_{name}": f"redi://u:{PASSWORD}@h"})
    assert found.returncode != 0
    assert name.lower().replace("__", ".") in found.stderr
    look(name, found.stdout + found.stderr)
