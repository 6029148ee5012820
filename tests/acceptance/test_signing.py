"""Signed messages: everything of ours goes on with them, and nothing else is taken."""

import importlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chord, group
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule
from celery.security import serialization
from celery.security.certificate import Certificate, FSCertStore
from celery.security.key import PrivateKey
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings, SettingsError
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import responses
from celery_sagemaker.tasks import batch
from celery_sagemaker.tasks.batch import JobState
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from harness import Environment, Worker, calls, eventually
from malformed import CALLS, dumped, encoded, envelope
from signing_keys import make

PREFIX = "CELERY_SAGEMAKER_SIGNING__"


@pytest.fixture
def registry() -> Iterator[None]:
    """Celery registers its signer for the whole process: leave it as it was."""
    kombu: Any = importlib.import_module("kombu.serialization")
    names = ("_encoders", "_decoders", "_disabled_content_types", "type_to_name", "name_to_type")
    kept = {name: getattr(kombu.registry, name).copy() for name in names}
    default = kombu.registry._default_encode
    kinds = kombu.registry._default_content_type, kombu.registry._default_content_encoding
    yield
    for name, value in kept.items():
        setattr(kombu.registry, name, value)
    kombu.registry._default_encode = default
    kombu.registry._default_content_type, kombu.registry._default_content_encoding = kinds


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder with the certificates of the sender and of the worker, which has another key."""
    folder = tmp_path / "store"
    folder.mkdir()
    for name in ("sender", "worker"):
        make(tmp_path, name)
        shutil.copy(tmp_path / f"{name}.pem", folder)
    return folder


def settings_of(store: Path, name: str) -> Environment:
    """The variables of a process that signs as `name`."""
    found = {f"{PREFIX}KEY": store.parent / f"{name}.key", f"{PREFIX}CERT_STORE": store}
    found[f"{PREFIX}CERTIFICATE"] = store.parent / f"{name}.pem"
    return {key: str(value) for key, value in found.items()}


@pytest.fixture
def environment(
    environment: Environment, store: Path, monkeypatch: pytest.MonkeyPatch, registry: None
) -> Environment:
    """The deployment of the other tests, signing."""
    for name, value in settings_of(store, "sender").items():
        monkeypatch.setenv(name, value)
    return {**environment, **settings_of(store, "worker")}


def json_of(result: Any) -> Any:
    """What an endpoint answered."""
    return responses.from_json(result.get(timeout=45)).json()  # type: ignore[union-attr]


def forged(store: Path, body: bytes, **headers: Any) -> dict[str, Any]:
    """A message with a body under a signature's content type."""
    made = envelope("sagemaker.invoke", [], {}, **headers)
    return {**made, "content-type": "application/data", "body": encoded(body)}


def signed_by(store: Path, name: str, value: Any) -> bytes:
    """A body that is signed with a key, as Celery does it."""
    folder = store.parent
    signer = serialization.SecureSerializer(
        PrivateKey((folder / f"{name}.key").read_text()),
        Certificate((folder / f"{name}.pem").read_text()),
        FSCertStore(str(store)),
    )
    found: Any = signer.serialize(value)
    return str(found).encode()


@pytest.mark.timeout(120)
def test_everything_runs_on_signed_messages(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """Calls, chains, chords, collected outputs, streams, jobs, beat, and what is sent again."""
    ledger = deployment(app).ledger
    lost = tasks.invoke.delay("echo", 1)
    assert ledger.client.delete("sagemaker.invoke") == 1
    worker.start()
    assert json_of(tasks.invoke.delay("echo", {"a": 1})) == {"a": 1}
    assert json_of(app.send_task("sagemaker.invoke", ("echo", 2))) == 2
    chain = tasks.invoke.s("echo", 3) | tasks.invoke_async.s(endpoint="echo")
    assert json_of((chain | tasks.invoke.s(endpoint="echo")).delay()) == 3
    header = group(tasks.invoke_async.s("echo", n) for n in range(2))
    assert len(json_of(chord(header, tasks.invoke.s(endpoint="echo")).delay())) == 2
    assert tasks.stream.delay("echo", "words").get(timeout=45)["text"] == "words"
    file = tmp_path / "in.jsonl"
    file.write_text('{"x": 1}\n')
    output = f"s3://{sagemaker_local.bucket}/signed"
    job = batch.submit("echo", input=file, output=output)
    assert job.wait(60).state is JobState.COMPLETED
    # Its message was lost: the worker's clock sent the ledger's, under the worker's own key.
    assert json_of(lost) == 1
    assert "message_sent_again" in worker.output
    entry = ScheduleEntry(
        "now", "sagemaker.invoke", schedule=schedule(timedelta(hours=1)), args=("echo", 5), app=app
    )
    assert json_of(Scheduler(app, lazy=True).apply_async(entry)) == 5
    revoked = tasks.invoke.apply_async(("echo", 6), countdown=600)
    assert tasks.revoke(revoked.id, app)
    assert "message_refused" not in worker.output
    assert "Traceback" not in worker.output


def test_nothing_else_is_taken(app: Celery, worker: Worker, store: Path, tmp_path: Path) -> None:
    """Unsigned, signed by a stranger, or changed: refused, never run, and no row is touched."""
    waiting = tasks.invoke.apply_async(("echo", "x"), countdown=600)
    make(tmp_path, "stranger")
    args, kwargs = CALLS["sagemaker.invoke"]
    body = [args, kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    good = signed_by(store, "sender", body)
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    shutil.copy(tmp_path / "stranger.pem", strangers)
    plain = envelope("sagemaker.invoke", args, kwargs, id=waiting.id)
    bad = [
        plain,
        {**plain, "content-type": "application/data"},
        {**plain, "content-type": "application/text"},
        forged(store, signed_by(store, "stranger", body), id=waiting.id),
        forged(store, good[:200] + b"A" + good[201:], id=waiting.id),
        forged(store, good[:-60], id=waiting.id),
        forged(store, b"", id=waiting.id),
    ]
    taken = forged(store, good)
    client = deployment(app).ledger.client
    client.lpush("sagemaker.invoke", *map(dumped, bad))
    client.lpush("sagemaker.invoke", dumped(taken))
    worker.start()
    app.AsyncResult(taken["headers"]["id"]).get(timeout=45)
    assert worker.output.count("message_refused") == len(bad)
    assert "not signed as it has to be" in worker.output
    assert len(deployment(app).ledger.dead_letters()) == len(bad)
    status = tasks.status(waiting.id, app)
    assert status is not None
    assert status.state == "ACCEPTED"
    assert client.llen("sagemaker.invoke") == 0
    eventually(lambda: not client.hlen("unacked"))


def test_an_unsigned_call_reaches_no_endpoint(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Whatever its id."""
    args, kwargs = CALLS["sagemaker.invoke"]
    made = envelope("sagemaker.invoke", args, kwargs)
    kwargs["message"]["request"]["inference_id"] = made["headers"]["id"]
    deployment(app).ledger.client.lpush("sagemaker.invoke", dumped(made))
    worker.start()
    eventually(lambda: "message_refused" in worker.output)
    assert not calls(sagemaker_local, made["headers"]["id"])


@pytest.mark.parametrize("wrong", ["missing", "expired", "password", "no-key"])
def test_what_cannot_sign_does_not_start(
    tmp_path: Path, store: Path, registry: None, wrong: str
) -> None:
    """It says so, as a setting that is wrong."""
    name = "sender"
    if wrong == "missing":
        (tmp_path / "sender.key").unlink()
    elif wrong == "expired":
        make(tmp_path, "old", days=-1)
        shutil.copy(tmp_path / "old.pem", store)
    elif wrong == "password":
        make(tmp_path, "sender", password="secret")
    else:
        (tmp_path / "sender.key").write_text("no key")
    given = {"key": tmp_path / f"{name}.key", "certificate": tmp_path / f"{name}.pem"}
    settings = Settings(signing={**given, "cert_store": store})
    with pytest.raises(SettingsError, match="signing: cannot be used"):
        create_app(settings)


def test_a_key_may_have_a_password(tmp_path: Path, store: Path, registry: None) -> None:
    """It is a secret: settings do not show it."""
    make(tmp_path, "sender", password="between us")
    given = {"key": tmp_path / "sender.key", "certificate": tmp_path / "sender.pem"}
    settings = Settings(signing={**given, "cert_store": store, "key_password": "between us"})
    assert create_app(settings).conf.task_serializer == "auth"
    assert "between us" not in repr(settings)


def test_half_a_section_is_refused() -> None:
    """A store without a key would check nothing."""
    with pytest.raises(SettingsError, match="go together"):
        Settings(signing={"cert_store": "/etc"})
