"""A schedule from the shell with a real worker: run, followed, looked at, removed."""

import json
import os
import subprocess
import sys

import pytest
from celery_sagemaker.workers.cli.app import app as commands
from harness import Environment, Worker
from typer.testing import CliRunner

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")


@pytest.fixture
def shell_environment(environment: Environment) -> Environment:
    """The environment of every command."""
    return {**os.environ, **environment}


def test_every_run_is_followed(worker: Worker, shell_environment: Environment) -> None:
    """Three runs by hand reach who subscribed before the first, and end in the list of runs."""

    def shell(*arguments: str) -> str:
        done = CliRunner().invoke(commands, ["schedule", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    worker.start()
    shell("add", "hourly", "echo", "--every", "3600", "-d", "at {due}", "--disabled")
    with subprocess.Popen(
        [*CLI, "subscribe", "schedule:hourly"],
        env=shell_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout
        assert follower.stderr
        for _ in range(3):
            id_ = shell("run-now", "hourly").strip()
            assert f"RUNNING    run {id_}  invoke " in follower.stdout.readline()
            ended = follower.stdout.readline()
            assert "  SUCCEEDED  " in ended
            assert ended.endswith("  by hand\n")
        known = [json.loads(line) for line in shell("runs", "hourly", "--json").splitlines()]
        assert [row["state"] for row in known] == ["SUCCEEDED"] * 3
        assert known[0]["id"] == id_
        assert f"run {id_}" in shell("show", "hourly")
        shell("remove", "hourly")
        assert follower.wait(30) == 0
        assert follower.stderr.read().endswith("the schedule was removed\n")
