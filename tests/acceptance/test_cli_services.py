"""`local` and `sse`: the commands that compose runs beside workers and beat, as real processes."""

import http.client
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from celery_sagemaker.local.processes import free_port, listening
from celery_sagemaker.local.stack import BUCKET
from harness import eventually

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")

pytestmark = pytest.mark.timeout(120)

#: botocore wants some; the emulator takes any.
SESSION = boto3.Session(
    aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1"
)


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command at work; told to stop at the end, and it ends with 0."""
    with subprocess.Popen(
        [*CLI, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_local_serves_others_on_fixed_ports() -> None:
    """On every address where it is told so; both answer what a worker asks."""
    endpoint, s3 = free_port(), free_port()
    arguments = ("--host", "0.0.0.0", "--endpoint-port", str(endpoint), "--s3-port", str(s3))  # noqa: S104 - as in a container
    with running("local", *arguments) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"endpoint: http://127.0.0.1:{endpoint}\n"
        assert process.stdout.readline() == f"S3: http://127.0.0.1:{s3}, bucket {BUCKET}\n"
        # Another address of the loopback interface than the one that is named.
        runtime = SESSION.client(
            "sagemaker-runtime",
            endpoint_url=f"http://127.0.0.2:{endpoint}",
        )
        answer = runtime.invoke_endpoint(EndpointName="echo", Body=b"6")
        assert answer["Body"].read() == b"6"
        store = SESSION.client(
            "s3",
            endpoint_url=f"http://127.0.0.2:{s3}",
            config=Config(retries={"total_max_attempts": 1}),
        )
        assert [bucket["Name"] for bucket in store.list_buckets()["Buckets"]] == [BUCKET]
    assert not listening(endpoint)
    assert not listening(s3)


def test_local_ends_when_a_part_of_it_does(tmp_path: Path) -> None:
    """With exit code 3 and one line, for its supervisor to start it again."""
    ports = ("--endpoint-port", str(free_port()), "--s3-port", str(free_port()))
    with subprocess.Popen(
        [*CLI, "local", *ports],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("endpoint: ")
        (note,) = tmp_path.glob("*/s3.pid")
        os.kill(int(note.read_text()), 9)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (3, "ended by itself: s3\n")


def test_a_port_that_is_taken_is_one_line() -> None:
    """Exit code 3."""
    with running(
        "local", "--endpoint-port", str(free_port()), "--s3-port", str(taken := free_port())
    ):
        eventually(lambda: listening(taken))
        again = subprocess.run(
            [*CLI, "local", "--s3-port", str(taken)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert again.returncode == 3
    assert "Address already in use" in again.stderr
    assert again.stderr.count("\n") == 1


def test_sse_serves_the_deployments_streams(environment: dict[str, str]) -> None:
    """Health needs no token, and says nothing of streams; streams need one."""
    port = free_port()
    key = "CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS"
    with running("sse", "--port", str(port), **{key: "test" * 8}):
        eventually(lambda: listening(port))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/streams/0f9c")
        assert connection.getresponse().status == http.client.NOT_FOUND
        connection.close()


def test_sse_without_a_key_is_one_line(environment: dict[str, str]) -> None:
    """Exit code 2, and what to do."""
    done = subprocess.run([*CLI, "sse"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "openssl rand -hex 32" in done.stderr
    assert done.stderr.count("\n") == 1
