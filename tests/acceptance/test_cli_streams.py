"""`stream` and `subscribe` against a running stack, all as real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    """Run a command to its end: exit code, stdout, stderr."""
    with start(stack, *arguments) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Press Ctrl-C: exit code, and what is written after it."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_text_arrives_in_order(stack: Environment) -> None:
    """Exit code 0, the words and nothing else."""
    assert run(stack, "stream", "words", "-d", "Once upon a time") == (0, "Once upon a time ", "")


def test_text_is_printed_as_it_arrives(stack: Environment, tmp_path: Path) -> None:
    """The first word is there while the model waits before the second one."""
    gate = tmp_path / "gate"
    with start(stack, "stream", "gated", "-d", str(gate)) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.read(len("one "))
        finally:
            gate.touch()
        rest, _ = process.communicate(timeout=60)
    assert (first, rest, process.returncode) == ("one ", "two ", 0)


def test_raw_and_json(stack: Environment) -> None:
    """Records as they are; or an object per event, each with its cursor."""
    asked = ("stream", "chat", "-d", "Grüße| an alle", "--framing", "sse")
    _, raw, _ = run(stack, *asked, "--raw")
    code, out, _ = run(stack, *asked, "--json")
    sent, *parts, end = lines(out)
    assert raw.startswith('data: {"choices"')
    assert raw.endswith("data: [DONE]\n\n")
    assert (code, sent["event"], {part["event"] for part in parts}) == (0, "sent", {"part"})
    assert [part["text"] for part in parts] == ["Grüße", " an alle", ""]
    assert [part["cursor"] for part in parts] == ["1-1", "1-2", "1-3"]
    assert (end["event"], end["parts"], end["finish"]) == ("end", 3, "complete")


def test_ctrl_c_cancels(stack: Environment) -> None:
    """While the model is silent: exit code 130, and the request is revoked."""
    with start(stack, "stream", "silent", "-d", "a b", "--json") as process:
        assert process.stdout is not None
        id_ = json.loads(process.stdout.readline())["id"]
        assert json.loads(process.stdout.readline())["text"] == "a "
        code, out, err = interrupt(process)
    _, status, _ = run(stack, "status", id_, "--json")
    assert (code, err) == (130, f"cancelled (id {id_})\n")
    assert [event["event"] for event in lines(out)] == ["cancelled"]
    assert json.loads(status)["state"] == "REVOKED"


def test_a_reader_that_leaves_cancels_nothing(stack: Environment, tmp_path: Path) -> None:
    """Ctrl-C in `subscribe` says where to go on; there the rest is read, and at the end nothing."""
    gate = tmp_path / "gate"
    _, id_, _ = run(stack, "stream", "gated", "-d", str(gate), "--no-wait")
    id_ = id_.strip()
    with start(stack, "subscribe", id_) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.read(len("one "))
            code, _, err = interrupt(process)
        finally:
            gate.touch()
    assert (first, code) == ("one ", 130)
    assert err.endswith(f"celery-sagemaker subscribe {id_} --from 1-1\n")
    assert run(stack, "subscribe", id_, "--from", "1-1") == (0, "two ", "")
    assert run(stack, "subscribe", id_) == (0, "one two ", "")
    assert run(stack, "subscribe", id_, "--from", "1-3") == (0, "", "")


def test_a_failure_is_one_line(stack: Environment) -> None:
    """Exit code 1; what came before is there; a restart is said where it was asked for."""
    code, out, err = run(stack, "stream", "broken", "-d", "a b")
    again, events, said = run(
        *(stack, "stream", "broken", "-d", "a b", "--json", "--restart-after-output")
    )
    assert (code, out, again) == (1, "a ", 1)
    assert err.startswith("ModelStreamError: ")
    assert (err.count("\n"), said.count("\n")) == (1, 1)
    kinds = [event["event"] for event in lines(events)]
    assert kinds == ["sent", "part", "restarted", "part", "error"]


def test_impatience_leaves_the_stream_alone(stack: Environment) -> None:
    """Exit code 4, and the command that goes on; cancelling it by another Ctrl-C is not needed."""
    code, out, err = run(
        stack, "stream", "silent", "-d", "a b", "--timeout", "1", "--total-timeout", "4"
    )
    assert (code, out) == (4, "a ")
    _, _, command = err.partition("go on with: celery-sagemaker ")
    code, out, err = run(stack, *command.split())
    assert (code, out) == (1, "")
    assert err.startswith("StreamTimeout: ")


def test_an_unknown_stream(stack: Environment) -> None:
    """Exit code 5 after the wait."""
    code, out, err = run(stack, "subscribe", "nobody", "--wait", "0.2")
    assert (code, out, err) == (5, "", "no stream with id nobody is known\n")
