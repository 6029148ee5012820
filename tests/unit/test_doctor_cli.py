"""The doctor as a command, and as a whole: times, errors, exit codes, what it prints."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.workers import doctor
from celery_sagemaker.workers.cli.app import app
from celery_sagemaker.workers.doctor import (
    SUBJECTS,
    Check,
    Finding,
    Target,
    checks,
    examine,
)
from typer.testing import CliRunner, Result

#: A port where nothing listens, with a secret.
NOWHERE = "redis://user:hunter2@127.0.0.1:1/0"

CHECK = Check("redis.aof", "Forgets.", "appendonly yes", "appendonly")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", NOWHERE)


@pytest.fixture
def target() -> Target:
    """What nobody looks at."""
    return Target(app=Celery(set_as_current=False), settings=Settings(), seconds=0.05)


def run(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, ("doctor", *arguments))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What is found, for a test to fill."""
    made: list[Finding] = []
    monkeypatch.setattr(doctor, "examine", lambda *_: made)
    return made


@pytest.mark.parametrize(
    ("finding", "options", "code"),
    [
        (CHECK.ok("server", "on"), (), 0),
        (CHECK.note("server", "on"), ("--strict",), 0),
        (CHECK.warning("server", "off"), (), 0),
        (CHECK.warning("server", "off"), ("--strict",), 1),
        (CHECK.fault("server", "off"), (), 1),
        (CHECK.fault("server", "off"), ("--ignore", "redis.aof"), 0),
    ],
)
def test_exit_codes(
    found: list[Finding], finding: Finding, options: tuple[str, ...], code: int
) -> None:
    """A fault fails, a warning does if that is asked for; what is ignored does not count."""
    found.append(finding)
    assert run(*options).exit_code == code


def test_a_fault_is_told_with_consequence_remedy_and_setting(found: list[Finding]) -> None:
    """On lines of 80 columns, without blanks at their ends."""
    found += [CHECK.fault("server", "off " * 40), CHECK.ok("server", "answers")]
    lines = run().stdout.splitlines()
    text = " ".join(" ".join(lines).split())
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    assert "Forgets. remedy: appendonly yes setting: appendonly" in text
    assert lines[0] == "REDIS"
    assert " ".join(lines[-1].split()) == "1 fault 0 warnings 0 notes 1 ok"


def test_a_remedy_is_told_once(found: list[Finding]) -> None:
    """Of what is wrong with several; all that is said of one stands together."""
    found += [CHECK.fault("a", "off"), CHECK.fault("b", "off"), CHECK.ok("a", "answers")]
    text = run().stdout
    assert text.count("appendonly yes") == 1
    assert text.count("remedy: as above") == 1
    assert text.count("  a\n") == 1


def test_what_is_well_is_told_one_by_one_on_request(found: list[Finding]) -> None:
    """By default it is one paragraph for each subject."""
    found += [CHECK.ok("server", "on"), Check("redis.fsync", "", "").ok("server", "always")]
    assert "on; always" in run().stdout
    assert re.search(r"ok +aof +on\n +ok +fsync +always", run("--verbose").stdout)


def test_json_is_one_line_for_scripts(found: list[Finding]) -> None:
    """Each finding with all that is known of it."""
    found.append(CHECK.fault("server", "off"))
    output = run("--json").stdout
    assert output.count("\n") == 1
    said = json.loads(output)
    assert said["healthy"] is False
    assert said["counts"] == {"fault": 1, "warning": 0, "note": 0, "ok": 0}
    assert said["findings"] == [
        {
            "id": "redis.aof",
            "severity": "fault",
            "subject": "server",
            "seen": "off",
            "consequence": "Forgets.",
            "remedy": "appendonly yes",
            "setting": "appendonly",
        }
    ]


@pytest.mark.parametrize(
    ("option", "word", "meant"),
    [("--only", "redi", "redis"), ("--ignore", "redis.aoff", "redis.aof")],
)
def test_unknown_words_are_refused(option: str, word: str, meant: str) -> None:
    """Exit code 2, one line, and what was meant."""
    said = run(option, word)
    assert said.exit_code == 2
    assert said.stderr.count("\n") == 1
    assert f"did you mean {meant}?" in said.stderr


def test_with_nothing_there_everything_is_a_finding() -> None:
    """No Redis, no credentials: faults, exit code 1, no traceback, and no secret."""
    said = run("--json", "--timeout", "1")
    assert said.exit_code == 1
    assert isinstance(said.exception, SystemExit)
    bad = {f["id"] for f in json.loads(said.stdout)["findings"] if f["severity"] == "fault"}
    assert bad == {
        "redis.reachable",
        "queues.reachable",
        "workers.asked",
        "ledger.read",
        "aws.region",
        "aws.credentials",
    }
    assert "hunter2" not in said.output


def test_only_what_is_asked_for_is_looked_at() -> None:
    """Several subjects have commas between."""
    groups = {
        f["id"].partition(".")[0]
        for f in json.loads(run("--only", "aws, redis", "--json").stdout)["findings"]
    }
    assert groups == {"aws", "redis"}


def test_wrong_settings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, as of every command."""
    monkeypatch.setenv("CELERY_SAGEMAKER_CONCURRENCY", "none")
    said = run()
    assert said.exit_code == 2
    assert said.stderr.startswith("settings: ")


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Never set while the test runs."""
    event = threading.Event()
    yield event
    event.set()


def test_a_subject_that_hangs_is_a_finding(target: Target, hanging: threading.Event) -> None:
    """After its time; the others' findings are there."""

    def hang(_: Target) -> list[Finding]:
        hanging.wait()
        return []

    well = CHECK.ok("server", "on")
    first, second = examine(target, ("a", "b"), {"a": hang, "b": lambda _: [well]})
    assert (first.id, first.severity, first.subject) == ("doctor.probed", "fault", "a")
    assert second == well


def test_a_subject_that_fails_is_a_finding(target: Target) -> None:
    """With the error's name and text, and without the password that it quotes."""

    def fail(_: Target) -> list[Finding]:
        raise ZeroDivisionError("at redis://user:hunter2@host/0")

    (finding,) = examine(target, ("a",), {"a": fail})
    assert finding.seen == "ZeroDivisionError: at redis://***@host/0"


def test_every_check_has_an_id_of_its_own_a_consequence_and_a_remedy() -> None:
    """Its group is a subject, or the doctor itself."""
    for id_, check in checks().items():
        group, _, name = id_.partition(".")
        assert group in {*SUBJECTS, "doctor"}
        assert re.fullmatch(r"[a-z-]{1,16}", name), id_
        assert check.consequence.endswith("."), id_
        assert check.remedy.endswith((".", "?")), id_
