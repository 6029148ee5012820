"""`celery-sagemaker schedule`: from options to settings, and from runs to lines."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from celery_sagemaker.channels import EARLIEST, Cursor, End, Part, Restarted
from celery_sagemaker.config.schedules import ScheduleSettings
from celery_sagemaker.tasks import schedules
from celery_sagemaker.tasks.exceptions import InvalidSchedule, NoSuchSchedule, ScheduleExists
from celery_sagemaker.tasks.schedules import Run, RunState, Schedule
from celery_sagemaker.workers.cli import transcript
from celery_sagemaker.workers.cli.app import app
from celery_sagemaker.workers.cli.schedule import reaching, showing
from typer.testing import CliRunner, Result

#: 2027-01-15, 02:00 in Berlin.
DUE = 1_800_061_200.0

RUN = Run(
    id="9f",
    due=DUE,
    trigger="schedule",
    state=RunState.RUNNING,
    kind="batch",
    noted=DUE,
    target="4c",
)
BATCH = ScheduleSettings(
    cron="0 2 * * *",
    timezone="Europe/Berlin",
    run="batch",
    endpoint="churn",
    input="s3://b/in/{date}.jsonl",
    output="s3://b/out",
)
NIGHTLY = Schedule(
    name="nightly",
    settings=BATCH,
    source="api",
    paused=False,
    next_due=DUE,
    last=None,
    running=None,
)


class Api:
    """Stands for `tasks.schedules`: notes what it is asked, and refuses what settings refuse."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.error: Exception | None = None

    def add(
        self, name: str, *, app: object, check: bool, replace: bool, **settings: Any
    ) -> Schedule:
        """Make a schedule of the settings."""
        self.asked = {"check": check, "replace": replace, **settings}
        return self.get(name, app=app, settings=ScheduleSettings(**settings))

    def get(self, name: str, *, app: object, settings: ScheduleSettings = BATCH) -> Schedule:
        """Return a schedule."""
        if self.error:
            raise self.error
        return replace(NIGHTLY, name=name, settings=settings)

    def pause(self, name: str, *, app: object) -> Schedule:
        """Return one that is paused."""
        return replace(self.get(name, app=app), paused=True)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """The command line without a Redis: what is behind it is noted."""
    made = Api()
    monkeypatch.setattr(reaching, "require_redis", lambda urls: None)
    for name in ("add", "get", "pause"):
        monkeypatch.setattr(schedules, name, getattr(made, name))
    return made


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["schedule", *arguments], input=stdin)


def test_options_are_the_settings_of_the_file(api: Api) -> None:
    """What was typed is what TOML would say, and is understood as such."""
    found = run(
        "add", "nightly", "churn", "--cron", "0 2 * * *", "--timezone", "Europe/Berlin",
        "--run", "batch", "-i", "s3://b/in/{date}.jsonl", "-o", "s3://b/out",
        "--option", "split_type=Line", "--option", "max_records=10", "--content-type", "text/csv",
        "--overlap", "queue", "--jitter", "60", "--misfire", "skip", "--misfire-grace", "30",
        "--until", "2040-01-01", "--prewarm", "300", "--prewarm-data", '{"warm": 1}',
        "--disabled", "--replace", "--no-check",
    )  # fmt: skip
    assert found.exit_code == 0, found.stderr
    assert api.asked.pop("check") is False
    assert api.asked.pop("replace") is True
    assert ScheduleSettings(**api.asked) == ScheduleSettings(
        cron="0 2 * * *",
        timezone="Europe/Berlin",
        run="batch",
        endpoint="churn",
        input="s3://b/in/{date}.jsonl",
        output="s3://b/out",
        options={"split_type": "Line", "max_records": 10, "content_type": "text/csv"},
        overlap="queue",
        jitter=60,
        misfire="skip",
        misfire_grace=30,
        until=datetime(2040, 1, 1),  # noqa: DTZ001 - as it was typed: in the schedule's zone
        prewarm=300,
        prewarm_payload={"warm": 1},
        enabled=False,
    )


def test_what_is_not_given_is_for_the_settings_to_say(api: Api) -> None:
    """Defaults are those of the file."""
    assert run("add", "often", "churn", "--every", "900", "-d", "1,2").exit_code == 0
    given = {name: value for name, value in api.asked.items() if name not in ("check", "replace")}
    wanted = ScheduleSettings(every=900, endpoint="churn", payload="1,2")
    assert ScheduleSettings(**given) == wanted


@pytest.mark.parametrize(
    ("text", "payload"),
    [('{"day": "{date}"}', {"day": "{date}"}), ("[1]", [1]), ("5", "5"), ("a,{due}", "a,{due}")],
)
def test_json_is_kept_as_json(api: Api, tmp_path: Path, text: str, payload: Any) -> None:
    """Its braces are no templates; those in its texts are. Text, file and stdin are the same."""
    file = tmp_path / "payload"
    file.write_text(text)
    for data, stdin in ((text, None), (f"@{file}", None), ("-", text.encode())):
        found = run("add", "often", "churn", "--every", "900", "-d", data, stdin=stdin)
        assert found.exit_code == 0, found.stderr
        assert api.asked["payload"] == payload


@pytest.mark.parametrize(
    ("arguments", "stdin", "problem"),
    [
        (["-d", "-"], b"\xff\xfe", "a schedule keeps text"),
        (["-d", "@/no/such/file"], None, "cannot read /no/such/file"),
        (["-d", "x", "--option", "accept"], None, "--option is KEY=VALUE"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    api: Api, arguments: list[str], stdin: bytes | None, problem: str
) -> None:
    """One line, exit code 2, and nothing was asked for."""
    found = run("add", "often", "churn", "--every", "900", *arguments, stdin=stdin)
    assert found.exit_code == 2
    assert problem in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert api.asked == {}


@pytest.mark.parametrize(
    ("error", "code", "problem"),
    [
        (InvalidSchedule("cron: 0 25 * * * is not a crontab"), 2, "0 25 * * *"),
        (ScheduleExists("There is a schedule nightly."), 2, "--replace changes it"),
        (NoSuchSchedule("There is no schedule nightly."), 5, "no schedule nightly"),
    ],
)
def test_errors_are_lines_and_exit_codes(
    api: Api, error: Exception, code: int, problem: str
) -> None:
    """As docs/cli.md has them."""
    api.error = error
    for arguments in (["add", "nightly", "churn", "--every", "9", "-d", "x"], ["show", "nightly"]):
        found = run(*arguments)
        assert found.exit_code == code
        assert problem in found.stderr
        assert len(found.stderr.splitlines()) == 1


def test_a_schedule_is_a_line(api: Api) -> None:
    """When it is due, what it runs, where it stands; in its own time zone."""
    assert (
        run("pause", "nightly").stdout == "nightly  0 2 * * * Europe/Berlin  batch churn  paused\n"
    )
    assert showing.line(NIGHTLY).endswith("batch churn  next 2027-01-16T02:00:00+01:00")
    last = replace(RUN, state=RunState.FAILED)
    assert "  last FAILED 2027-01-16T02:00:00+01:00" in showing.line(replace(NIGHTLY, last=last))
    assert showing.line(replace(NIGHTLY, next_due=None)).endswith("  over")
    disabled = BATCH.model_copy(update={"enabled": False})
    off = replace(NIGHTLY, settings=disabled, next_due=None)
    assert showing.line(off).endswith("  disabled")
    sun = ScheduleSettings.model_construct(solar="sunset", latitude=52.5, longitude=13.4)
    assert showing.calendar(replace(NIGHTLY, settings=sun)) == "sunset at 52.5, 13.4"


def test_all_that_is_known_is_shown(api: Api) -> None:
    """A line each, with the command that follows it."""
    lines = dict(line.split(": ", 1) for line in run("show", "nightly").stdout.splitlines())
    assert lines == {
        "name": "nightly",
        "due": "0 2 * * * Europe/Berlin",
        "state": "next 2027-01-16T02:00:00+01:00",
        "run": "batch churn",
        "input": "s3://b/in/{date}.jsonl",
        "output": "s3://b/out",
        "from": "the API",
        "follow": "celery-sagemaker subscribe schedule:nightly",
    }
    busy = replace(NIGHTLY, source="file", running="9f", waiting="a0", missed=3, last=RUN)
    shown = dict(showing.rows(busy))
    assert (shown["running"], shown["waiting"], shown["missed"]) == (
        "run 9f",
        "run a0",
        "3 due times",
    )
    assert shown["from"] == "the settings file"
    assert "RUNNING" in shown["last"]


def test_scripts_get_objects(api: Api) -> None:
    """All of a schedule, on one line."""
    (line,) = run("show", "nightly", "--json").stdout.splitlines()
    assert json.loads(line)["settings"]["cron"] == "0 2 * * *"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "2027-01-16T01:00:00+00:00  RUNNING    run 9f  batch 4c"),
        (
            {
                "state": RunState.SUCCEEDED,
                "started": DUE,
                "ended": DUE + 12.34,
                "trigger": "manual",
            },
            "2027-01-16T01:00:00+00:00  SUCCEEDED  12.3 s  run 9f  batch 4c  by hand",
        ),
        (
            {"state": RunState.SUCCEEDED, "started": DUE, "ended": DUE + 3723.0, "missed": 2},
            "2027-01-16T01:00:00+00:00  SUCCEEDED  1:02:03  run 9f  batch 4c  2 missed",
        ),
        (
            {
                "state": RunState.SKIPPED,
                "target": None,
                "reason": {"code": "Overlap", "message": "Run 9e\ngoes on."},
            },
            "2027-01-16T01:00:00+00:00  SKIPPED    run 9f  Overlap: Run 9e goes on.",
        ),
        ({"target": None, "reason": {"code": "Paused"}}, "…  RUNNING    run 9f  Paused"),
    ],
)
def test_a_run_is_a_line(changes: dict[str, Any], line: str) -> None:
    """Due time, state, duration, ids, and why it went as it did."""
    shown = showing.run(replace(RUN, **changes).to_json())
    assert shown.endswith(line.lstrip("…"))


def test_the_runs_of_a_channel_are_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What happens to the schedule itself goes to stderr."""
    shown = transcript.transcript(EARLIEST, raw=False, as_json=False, stream_id="schedule:nightly")
    event = json.dumps({"schedule": "nightly", **RUN.to_json()})
    shown.show(Part(Cursor(1, 1), event.encode(), event))
    shown.show(Restarted(Cursor(2, 0)))
    shown.show(End(Cursor(2, 1), 0, 0, "complete"))
    out, err = capfdbinary.readouterr()
    assert out.decode() == f"{showing.run(RUN.to_json())}\n"
    assert err.decode().splitlines() == ["the schedule was added anew", "the schedule was removed"]


@pytest.mark.parametrize("more", [{"raw": True, "as_json": False}, {"raw": False, "as_json": True}])
def test_scripts_get_the_events_as_they_are(
    more: dict[str, bool], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With --raw or --json a schedule's channel is as any other."""
    shown = transcript.transcript(EARLIEST, stream_id="schedule:nightly", **more)
    shown.show(Part(Cursor(1, 1), b'{"state":"RUNNING"}', '{"state":"RUNNING"}'))
    assert b"RUNNING" in capfdbinary.readouterr().out
