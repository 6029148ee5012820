"""The commands that need no server: dry runs, settings, refusals, exit codes."""

import inspect
import json
from dataclasses import fields
from pathlib import Path

import pytest
from celery_sagemaker.runtime.requests import InvokeEndpointWithResponseStreamRequest
from celery_sagemaker.tasks.streamoptions import StreamOptions
from celery_sagemaker.workers.cli import streaming
from celery_sagemaker.workers.cli.app import app
from typer.testing import CliRunner, Result

#: A port where nothing listens.
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CELERY_SAGEMAKER_CONFIG", raising=False)


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments, input=stdin)


def test_dry_run_prints_the_http_request() -> None:
    """Method, path, headers and body as they would go out."""
    found = run("invoke", "digits", "-d", "1,2", "--content-type", "text/csv", "--dry-run")
    head, _, body = found.stdout.partition("\n\n")
    assert found.exit_code == 0
    assert head.startswith("POST /endpoints/digits/invocations HTTP/1.1\n")
    assert "Content-Type: text/csv" in head
    assert body.rstrip("\n") == "1,2"


def test_dry_run_as_json_carries_every_member() -> None:
    """Options become the headers of the API."""
    found = run(
        *("invoke", "digits", "-d", '{"a": 1}', "--custom-attributes", "fold=1", "--dry-run"),
        *("--target-variant", "blue", "--session-id", "NEW_SESSION", "--json"),
    )
    request = json.loads(found.stdout)
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert headers["x-amzn-sagemaker-custom-attributes"] == "fold=1"
    assert headers["x-amzn-sagemaker-target-variant"] == "blue"
    assert headers["x-amzn-sagemaker-session-id"] == "NEW_SESSION"
    assert headers["content-type"] == "application/json"
    assert request["body"] == {"text": '{"a": 1}'}


def test_dry_run_of_an_asynchronous_request() -> None:
    """The input's place and the limits are headers."""
    found = run(
        *("invoke-async", "digits", "--input-location", "s3://bucket/key", "--dry-run", "--json"),
        *("--request-ttl-seconds", "60"),
    )
    request = json.loads(found.stdout)
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert request["path"] == "/endpoints/digits/async-invocations"
    assert headers["x-amzn-sagemaker-inputlocation"] == "s3://bucket/key"
    assert headers["x-amzn-sagemaker-requestttlseconds"] == "60"


def test_dry_run_of_a_stream() -> None:
    """The path is the streaming operation's; what is for the task stays out of the request."""
    found = run(
        *("stream", "chat", "-d", "x", "--session-id", "s", "--target-variant", "blue"),
        *("--framing", "sse", "--restart-after-output", "--idle-timeout", "5", "--repeatable"),
        *("--accept", "text/event-stream", "--dry-run", "--json"),
    )
    request = json.loads(found.stdout)
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert request["path"] == "/endpoints/chat/invocations-response-stream"
    assert headers["x-amzn-sagemaker-accept"] == "text/event-stream"
    assert headers["x-amzn-sagemaker-session-id"] == "s"
    assert headers["x-amzn-sagemaker-target-variant"] == "blue"
    assert request["body"] == {"text": "x"}
    assert "sse" not in headers.values()


def test_stdin_and_files_are_payloads(tmp_path: Path) -> None:
    """`-` and `@file` send what is there, bytes too."""
    (tmp_path / "image").write_bytes(b"\x89\xff")
    from_stdin = run("invoke", "e", "-d", "-", "--dry-run", "--json", stdin="hello")
    from_file = run("invoke", "e", "-d", f"@{tmp_path / 'image'}", "--dry-run", "--json")
    assert json.loads(from_stdin.stdout)["body"] == {"text": "hello"}
    assert json.loads(from_file.stdout)["body"] == {"base64": "if8="}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("invoke", "not a name", "-d", "x", "--dry-run"), "name"),
        (("invoke", "e", "-d", "@/nonexistent/file", "--dry-run"), "/nonexistent/file"),
        (("stream", "e", "-d", "x", "--framing", "morse", "--dry-run"), "morse"),
        (("stream", "e", "-d", "x", "--idle-timeout", "0", "--dry-run"), "idle_timeout"),
        (("subscribe", "no id"), "stream's id"),
        (("subscribe", "id", "--from", "here"), "cursor"),
        (("invoke-async", "e", "--dry-run"), "--input-location"),
        (("invoke-async", "e", "-d", "x", "--input-location", "s3://b/k"), "one of them"),
        (("invoke-async", "e", "--input-location", "http://b/k", "--dry-run"), "location"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(arguments: tuple[str, ...], word: str) -> None:
    """Exit code 2, and a line that says what."""
    found = run(*arguments)
    assert found.exit_code == 2
    assert word in found.stderr.lower()
    assert found.stderr.count("\n") == 1


def test_every_member_of_a_stream_is_an_option() -> None:
    """Those of the operation and those of the task."""
    members = {field.name for field in fields(InvokeEndpointWithResponseStreamRequest)}
    wanted = members - {"endpoint_name", "body"} | set(StreamOptions.names()) | {"repeatable"}
    assert wanted - set(inspect.signature(streaming.stream).parameters) == set()


def test_config_says_where_a_value_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value, source, and no secret."""
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", "redis://:hidden@host:6379/0")
    found = run("config", "--json")
    rows = json.loads(found.stdout)
    assert rows["broker_url"]["source"] == "env CELERY_SAGEMAKER_BROKER_URL"
    assert rows["concurrency"] == {"value": 8, "source": "default"}
    assert rows["ledger.lease"]["value"] == 30.0
    assert "hidden" not in found.stdout
    assert "concurrency = 8  # default" in run("config").stdout


def test_wrong_settings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the key."""
    monkeypatch.setenv("CELERY_SAGEMAKER_CONCURRENCY", "many")
    found = run("config")
    assert found.exit_code == 2
    assert "concurrency" in found.stderr
    assert found.stderr.count("\n") == 1
