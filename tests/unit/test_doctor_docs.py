"""docs/reference/doctor.md has every finding, as the doctor words it."""

import re
from pathlib import Path

import pytest
from celery_sagemaker.workers.doctor import SUBJECTS, Check, checks
from celery_sagemaker.workers.doctor.examination import ANSWERS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference/doctor.md").read_text("utf-8")
GUIDE = " ".join((DOCS / "howto/doctor.md").read_text("utf-8").split())


def section(id_: str) -> str:
    """What the page says of a finding, on one line."""
    text = PAGE.partition(f"### `{id_}`")[2]
    return " ".join(re.split(r"^#", text, maxsplit=1, flags=re.MULTILINE)[0].split())


def test_page_and_source_have_the_same_findings() -> None:
    """In the order in which the doctor tells their subjects."""
    assert re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE) == list(checks())


@pytest.mark.parametrize("check", checks().values(), ids=lambda check: check.id)
def test_a_finding_is_worded_as_the_doctor_words_it(check: Check) -> None:
    """Severity, consequence, remedy and setting."""
    said = section(check.id)
    assert re.match(r"\*(fault|warning|note)\b", said)
    assert f"- Consequence: {check.consequence}" in said
    assert f"- Remedy: {check.remedy}" in said
    assert not check.setting or f"Setting: `{check.setting}`." in said


def test_the_guide_names_what_there_is() -> None:
    """Every subject by its word, and how long each has."""
    assert {"redis", "workers"} <= set(SUBJECTS)
    assert ANSWERS == 6
    assert "every subject six times as long" in GUIDE
    for id_ in re.findall(r"--ignore ([a-z0-9.-]+)", GUIDE):
        assert id_ in checks()
