"""A deployment's streams in web processes: the ready application, the example, somebody's own."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery_sagemaker.channels import Publisher
from celery_sagemaker.channels.tokens import StreamTokens
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import sse
from channels_sse import messages
from web_harness import EXAMPLES, PATIENCE, Web

HERE = Path(__file__).parent
KEY = "test" * 8
ORIGIN = "https://app.example"

#: A chat model's events; the first one has no text.
CHAT = (
    b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "Gr\\u00fc\\u00dfe"}}]}\n\n',
)


@pytest.fixture
def keyed(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment whose settings have a key, and another origin."""
    monkeypatch.setenv("CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS", KEY)
    monkeypatch.setenv("CELERY_SAGEMAKER_STREAMS__ALLOW_ORIGINS", ORIGIN)


@pytest.fixture
def web(keyed: None, app: Celery, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Web]:
    """A web server with what the test names."""
    made = Web(tmp_path, *request.param)
    made.start()
    yield made
    made.kill()


def publish(app: Celery, id_: str, *records: bytes, framing: str = "text") -> Publisher:
    """Open a stream as a worker of the deployment does, and publish records."""
    parts = deployment(app)
    url, options = parts.settings.state_url, parts.channels
    publisher = Publisher.open(id_, url, framing=framing, options=options)
    for record in records:
        publisher.append(record)
    return publisher


def read(response: http.client.HTTPResponse) -> list[tuple[str, Any]]:
    """Name, and text or finish, of each event."""
    found = [message for message in messages(response) if message.name]
    return [(m.name, m.data.get("text", m.data.get("finish"))) for m in found]


READY = ("--factory", "celery_sagemaker.workers.sse:create_app")
EXAMPLE = ("--app-dir", str(EXAMPLES), "streaming_web:app")


@pytest.mark.parametrize("web", [READY], indirect=True, ids=["ready"])
def test_the_application_runs_by_itself(app: Celery, web: Web) -> None:
    """Redis, prefix, key and origins are the settings'; a token is read for its text."""
    id_ = uuid4().hex
    publish(app, id_, *CHAT, framing="sse").end()
    path = f"/streams/{id_}"
    with web.request("GET", path) as response:
        assert response.status == http.client.NOT_FOUND
    bearer = f"Bearer {StreamTokens(KEY).sign(id_)}"
    with web.request("GET", path, Authorization=bearer, Origin=ORIGIN) as response:
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert read(response) == [("part", ""), ("part", "Grüße"), ("end", "complete")]


@pytest.mark.parametrize("web", [EXAMPLE], indirect=True, ids=["example"])
def test_the_application_is_mounted_in_the_example(app: Celery, web: Web) -> None:
    """Beside the page; whoever asked may read, resume, and cancel."""
    with web.request("GET", "/") as response:
        assert b"EventSource" in response.read()
    with web.request("POST", "/ask", b"Once") as response:
        asked = json.load(response)
    path = f"/streams/{asked['id']}?token={asked['token']}"
    publisher = publish(app, asked["id"], b"a ", b"b ")
    with web.request("DELETE", path) as response:
        assert response.status == http.client.ACCEPTED
    publisher.cancelled()
    with web.request("GET", f"{path}&last_event_id=1-1") as response:
        assert read(response) == [("part", "b "), ("cancelled", None)]


def test_without_a_key_it_does_not_start(environment: dict[str, str]) -> None:
    """The last line that is written says what to do."""
    command = [sys.executable, "-m", "uvicorn", "--port", "0", *READY]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=os.environ, check=False
    )
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].endswith(f"streams.token_keys: {sse.NO_KEY}")


def test_streams_are_followed_from_anywhere_in_a_web_process(app: Celery, keyed: None) -> None:
    """Of the app that it has installed into: no Redis is named, in no thread and no loop."""
    id_ = uuid4().hex
    publish(app, id_, *CHAT, framing="sse").end()
    # The app alone knows where its Redis is.
    environment = {**os.environ, "SHOP_REDIS": app.conf.broker_url}
    environment.pop("CELERY_SAGEMAKER_BROKER_URL")
    done = subprocess.run(
        [sys.executable, "following.py", id_, "1-1"],
        env=environment,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [["Grüße", "complete"]] * 3
