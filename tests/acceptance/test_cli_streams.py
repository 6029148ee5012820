"""`stream` and `subscribe` against a running stack, all as real processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")

ENDPOINTS = """
[endpoints.words]
target = "models:words"

[endpoints.chat]
target = "models:tokens"

[endpoints.gated]
target = "models:gated"

[endpoints.silent]
target = "models:words"
stream = { fault = "stall", after_parts = 1 }

[endpoints.broken]
target = "models:words"
stream = { fault = "ModelStreamError", after_parts = 1 }
"""

Environment = dict[str, str]

#: What a command says when something takes over two seconds, as everything may.
WAITING = re.compile(r"^(waiting for|starting) .*\n", re.MULTILINE)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The environment of a running stack with the endpoints of these tests."""
    behaviours = tmp_path_factory.mktemp("stack") / "endpoints.toml"
    behaviours.write_text(ENDPOINTS)
    process = subprocess.Popen(
        [*CLI, "up", "--json", "--behaviours", str(behaviours)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["environment"]
        finally:
            process.terminate()
            assert process.wait(60) == 0


@pytest.fixture
def app(stack: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """An app of the same deployment in the test's process."""
    for name, value in stack.items():
        monkeypatch.setenv(name, value)
    made = create_app(Settings.load())
    made.set_current()
    yield made
    deployment(made).close()
    made.close()


def start(stack: Environment, *arguments: str) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        [*CLI, *arguments],
        env={**os.environ, **stack},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(stack: Environment, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end: exit code, stdout, stderr without signs of patience."""
    with start(stack, *arguments) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, WAITING.sub("", err)


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Press Ctrl-C: exit code, and what is written after it."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, WAITING.sub("", err)


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_text_is_printed_as_it_arrives(stack: Environment, tmp_path: Path) -> None:
    """The first word is there while the model waits before the second one; exit code 0."""
    gate = tmp_path / "gate"
    with start(stack, "stream", "gated", "-d", str(gate)) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.read(len("one "))
        finally:
            gate.touch()
        rest, err = process.communicate(timeout=60)
    assert (first, rest, process.returncode) == ("one ", "two ", 0)
    assert WAITING.sub("", err) == ""


def test_events_are_json_lines(stack: Environment) -> None:
    """The id first, then an object per event, each with its cursor."""
    code, out, _ = run(
        stack, "stream", "chat", "-d", "Grüße| an alle", "--framing", "sse", "--json"
    )
    sent, *parts, end = lines(out)
    assert (code, sent["event"], {part["event"] for part in parts}) == (0, "sent", {"part"})
    assert [part["text"] for part in parts] == ["Grüße", " an alle", ""]
    assert [part["cursor"] for part in parts] == ["1-1", "1-2", "1-3"]
    assert (end["event"], end["parts"], end["finish"]) == ("end", 3, "complete")


def test_ctrl_c_cancels(stack: Environment, app: Celery) -> None:
    """While the model is silent: exit code 130, and the request is revoked."""
    with start(stack, "stream", "silent", "-d", "a b", "--json") as process:
        assert process.stdout is not None
        id_ = json.loads(process.stdout.readline())["id"]
        assert json.loads(process.stdout.readline())["text"] == "a "
        code, out, err = interrupt(process)
    status = tasks.status(id_, app)
    assert (code, err) == (130, f"cancelled (id {id_})\n")
    assert [event["event"] for event in lines(out)] == ["cancelled"]
    assert status is not None
    assert status.state == "REVOKED"


def test_a_reader_that_leaves_cancels_nothing(
    stack: Environment, app: Celery, tmp_path: Path
) -> None:
    """Ctrl-C in `subscribe`, which began at the beginning, says where the rest is to be had.

    A part whose printing Ctrl-C meets may come again; none is left out.
    """
    gate = tmp_path / "gate"
    id_ = app.tasks["sagemaker.stream"].delay("gated", str(gate)).id
    with start(stack, "subscribe", id_) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.read(len("one "))
            code, _, err = interrupt(process)
        finally:
            gate.touch()
    _, _, command = err.partition("go on with: celery-sagemaker ")
    assert (first, code) == ("one ", 130)
    assert (command, run(stack, *command.split())) in [
        (f"subscribe {id_} --from 1-1\n", (0, "two ", "")),
        (f"subscribe {id_}\n", (0, "one two ", "")),
    ]


def test_a_failure_is_one_line(stack: Environment) -> None:
    """Exit code 1; the restart that was asked for is an event, and so is the failure."""
    code, out, err = run(stack, "stream", "broken", "-d", "a b", "--json", "--restart-after-output")
    kinds = [event["event"] for event in lines(out)]
    assert (code, kinds) == (1, ["sent", "part", "restarted", "part", "error"])
    assert err.startswith("ModelStreamError: ")
    assert err.count("\n") == 1


def test_impatience_leaves_the_stream_alone(stack: Environment, app: Celery) -> None:
    """Exit code 4; the stream is not cancelled, and there is a command that goes on."""
    code, out, err = run(
        stack, "stream", "silent", "-d", "a b", "--timeout", "1", "--total-timeout", "20"
    )
    id_ = err.split()[-3]
    status = tasks.status(id_, app)
    assert (code, out) == (4, "a ")
    assert err.endswith(f"celery-sagemaker subscribe {id_} --from 1-1\n")
    assert status is not None
    assert status.state not in {"REVOKED", "FAILED"}
    assert tasks.stream.cancel(id_)


def test_an_unknown_stream(stack: Environment) -> None:
    """Exit code 5 after the wait."""
    code, out, err = run(stack, "subscribe", "nobody", "--wait", "0.2")
    assert (code, out, err) == (5, "", "no stream with id nobody is known\n")
