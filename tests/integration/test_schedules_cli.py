"""`celery-sagemaker schedule` on a real Redis: what a user types, sees, and is told."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from celery_sagemaker.workers.cli.app import app
from typer.testing import CliRunner, Result

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")


@pytest.fixture(autouse=True)
def deployment_of_ours(sagemaker_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix of the test's own, and an endpoint that the settings name."""
    ours = {
        "BROKER_URL": sagemaker_redis_url,
        "PREFIX": f"test-{uuid.uuid4().hex}",
        "ENDPOINTS__CHURN__ACCEPT": "text/csv",
    }
    for name, value in ours.items():
        monkeypatch.setenv(f"CELERY_SAGEMAKER_{name}", value)


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["schedule", *arguments])


def test_a_schedule_from_its_addition_to_its_removal(tmp_path: Path) -> None:
    """Added by a real process, and looked at by another: nothing of it is in a process."""
    payload = tmp_path / "payload.json"
    payload.write_text('{"day": "{date}"}')

    def shell(*arguments: str) -> str:
        command = [*CLI, "schedule", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    added = shell(
        "add", "morning", "churn", "--cron", "30 6 * * 1-5", "--timezone", "Europe/Berlin",
        "-d", f"@{payload}", "--overlap", "queue",
    )  # fmt: skip
    assert added.startswith("morning  30 6 * * 1-5 Europe/Berlin  invoke churn  next 20")
    known = json.loads(shell("show", "morning", "--json"))
    assert known["settings"]["payload"] == {"day": "{date}"}
    assert (known["source"], known["paused"]) == ("api", False)
    assert run("list").stdout == added
    assert run("pause", "morning").stdout.endswith("  paused\n")
    assert run("resume", "morning").stdout == added
    assert run("remove", "morning").stdout == ""
    assert run("list", "--json").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--cron", "0 25 * * *", "-d", "x"], "cron"),
        (["--cron", "0 2 * * *", "--every", "60", "-d", "x"], "exactly one of cron, every"),
        (["--cron", "0 2 * * *", "--timezone", "Mars/Base", "-d", "x"], "timezone"),
        (["--every", "60"], "invoke takes payload"),
        (["--every", "60", "--run", "batch", "-i", "s3://b/k"], "batch takes input and output"),
        (["--every", "60", "-d", "x", "--until", "2001-01-01"], "until"),
        (["--every", "60", "-d", "{day}"], "{day} is not one of {date}"),
        (["--every", "60", "-d", "x", "--overlap", "wait"], "overlap"),
        (["--every", "60", "-d", "x", "--option", "acept=text/csv"], "acept"),
    ],
)
def test_what_cannot_be_right_is_refused(arguments: list[str], problem: str) -> None:
    """On one line that names it, with exit code 2; nothing was added."""
    found = run("add", "nightly", "churn", *arguments)
    assert found.exit_code == 2, found.output
    assert problem in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert run("list").stdout == ""


def test_a_name_is_taken_once() -> None:
    """Unless it is to be changed; how often it was due stays known."""
    assert run("add", "often", "churn", "--every", "60", "-d", "1").exit_code == 0
    again = ("add", "often", "churn", "--every", "90", "-d", "1")
    found = run(*again)
    assert found.exit_code == 2
    assert "--replace changes it" in found.stderr
    assert run(*again, "--replace").stdout.startswith("often  every 90 s  invoke churn  next ")


@pytest.mark.parametrize("command", ["show", "pause", "resume", "run-now", "remove", "runs"])
def test_an_unknown_schedule_has_an_exit_code_of_its_own(command: str) -> None:
    """As an unknown inference or batch job has it."""
    found = run(command, "nightly")
    assert found.exit_code == 5
    assert found.stderr == "There is no schedule nightly.\n"


def test_a_run_by_hand_has_an_id() -> None:
    """It is accepted; a worker begins it."""
    run("add", "often", "churn", "--every", "60", "-d", "1", "--disabled")
    assert " disabled" in run("list").stdout
    id_ = json.loads(run("run-now", "often", "--json").stdout)["id"]
    assert run("run-now", "often").stdout.strip() != id_
    status = CliRunner().invoke(app, ["status", id_])
    assert "ACCEPTED" in status.stdout


def test_an_absent_redis_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and on one line."""
    monkeypatch.setitem(os.environ, "CELERY_SAGEMAKER_BROKER_URL", "redis://127.0.0.1:1/0")
    found = run("list")
    assert found.exit_code == 3
    assert "cannot reach Redis" in found.stderr
