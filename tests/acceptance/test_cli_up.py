"""`up` and the commands that talk to its stack, all as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import eventually

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")

pytestmark = pytest.mark.timeout(120)


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*CLI, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def start_up() -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start `up --json`; its process and environment once all is healthy."""
    process = subprocess.Popen([*CLI, "up", "--json"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["environment"]


def descendants(pid: int) -> set[int]:
    """The processes below one, by /proc."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _parent(int(entry.name)) == pid:
            found |= {int(entry.name)} | descendants(int(entry.name))
    return found


def _parent(pid: int) -> int | None:
    """The parent of a live process; None of one that is gone or only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]
    return None if state == "Z" else int(parent)


def wait_until_gone(pids: set[int], seconds: float = 60.0) -> set[int]:
    """The processes that are still there after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and (left := {pid for pid in pids if _parent(pid) is not None}):
        time.sleep(0.1)
    return left if time.monotonic() >= end else set()


@pytest.fixture(scope="module")
def stack() -> Iterator[dict[str, str]]:
    """The environment of a running stack."""
    process, environment = start_up()
    with process:
        try:
            yield environment
        finally:
            process.terminate()
            assert process.wait(60) == 0


def test_invoke_prints_the_body(stack: dict[str, str]) -> None:
    """The echo endpoint gives back what it got."""
    found = run(stack, "invoke", "echo", "-d", '{"question": 6}')
    assert found.returncode == 0, found.stderr
    # On a busy machine it says that it waits.
    assert all(line.startswith("waiting for ") for line in found.stderr.splitlines())
    assert json.loads(found.stdout) == {"question": 6}


def test_invoke_async_waits_for_the_output(stack: dict[str, str]) -> None:
    """The same by way of S3, with JSON for scripts; its status is final."""
    found = run(stack, "invoke-async", "echo", "-d", '{"question": 7}', "--json")
    answer = json.loads(found.stdout)
    status = run(stack, "status", answer["id"], "--json")
    assert (found.returncode, answer["state"]) == (0, "SUCCESS")
    assert json.loads(status.stdout)["state"] == "SUCCEEDED"


def test_an_unknown_endpoint_fails_with_its_reason(stack: dict[str, str]) -> None:
    """Exit code 1, one line, and the status says why."""
    found = run(stack, "invoke", "absent", "-d", "x", "--json")
    status = run(stack, "status", json.loads(found.stdout)["id"])
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "state: FAILED" in status.stdout
    assert "reason: " in status.stdout


def test_what_cannot_be_right_is_not_queued(stack: dict[str, str]) -> None:
    """Exit code 2."""
    found = run(stack, "invoke", "not a name", "-d", "x")
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1


def test_no_wait_prints_the_id(stack: dict[str, str]) -> None:
    """One line: the id, which is known."""
    found = run(stack, "invoke", "echo", "-d", "x", "--no-wait")
    assert run(stack, "status", found.stdout.strip()).returncode == 0


def test_impatience_has_its_own_exit_code(stack: dict[str, str]) -> None:
    """An asynchronous answer cannot be there in 50 ms."""
    found = run(stack, "invoke-async", "echo", "-d", "x", "--timeout", "0.05")
    assert found.returncode == 4
    assert "status " in found.stderr


def test_an_unknown_id_has_its_own_exit_code(stack: dict[str, str]) -> None:
    """Exit code 5."""
    assert run(stack, "status", "nobody").returncode == 5


@pytest.mark.parametrize(
    "arguments", [("worker",), ("invoke", "e", "-d", "x"), ("status", "some-id")]
)
def test_no_redis_is_one_line(arguments: tuple[str, ...]) -> None:
    """Exit code 3 and no traceback."""
    nowhere = {"CELERY_SAGEMAKER_BROKER_URL": "redis://:secret@127.0.0.1:1/0"}
    found = run(nowhere, *arguments)
    assert found.returncode == 3
    assert found.stderr.startswith("cannot reach Redis at redis://127.0.0.1:1/0: ")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "bucket", "said"),
    [("http://127.0.0.1:1", "any", "cannot reach S3 for s3://any"), (None, "absent", "no bucket")],
)
def test_no_s3_is_one_line(stack: dict[str, str], url: str | None, bucket: str, said: str) -> None:
    """Exit code 3 and no traceback: a worker that could read no payload does not start."""
    broken = stack | {"CELERY_SAGEMAKER_STAGING": f"s3://{bucket}"}
    found = run(broken | ({"AWS_ENDPOINT_URL_S3": url} if url else {}), "worker")
    assert found.returncode == 3
    assert said in found.stderr
    assert found.stderr.count("\n") == 1


def test_up_starts_its_processes_again_and_leaves_nothing_behind() -> None:
    """A killed worker and a killed beat are replaced; after Ctrl-C no process is left."""
    process, environment = start_up()
    with process:
        worker, beat = (running(process.pid, part) for part in ("sagemaker.poll", "workers.beat"))
        assert worker
        assert beat
        os.kill(worker, signal.SIGKILL)
        os.kill(beat, signal.SIGKILL)
        eventually(lambda: running(process.pid, "workers.beat") not in {None, beat})
        answered = run(environment, "invoke", "echo", "-d", "again")
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert answered.stdout.strip() == "again"
    assert not {worker, beat} & children
    assert len(children) >= 4
    assert wait_until_gone(children) == set()


def test_children_end_when_up_is_killed() -> None:
    """SIGKILL leaves nothing behind either."""
    process, _ = start_up()
    with process:
        children = descendants(process.pid)
        process.kill()
        process.wait(10)
    assert wait_until_gone(children) == set()


def running(parent: int, part: str) -> int | None:
    """The process below one that has a part of a command line."""
    return next((pid for pid in descendants(parent) if part in command(pid)), None)


def command(pid: int) -> str:
    """A process' command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
