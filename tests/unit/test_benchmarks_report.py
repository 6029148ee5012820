"""What README and the page say of the benchmarks is what benchmarks/results/ has."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import ratios  # noqa: E402
import report  # noqa: E402
from frame import Spread  # noqa: E402

ANEW = "run: .venv/bin/python benchmarks/report.py, with the group `bench`, as make bench does"


def test_the_readme_has_the_ratios_that_were_measured() -> None:
    """Nobody writes a figure by hand, and none is older than the results."""
    text = report.README.read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1
    assert report.readme(text, report.read()) == text, ANEW


def test_the_page_has_the_figures_that_were_measured() -> None:
    """Each table has its rounds, each target that was missed its reason, each plot its file."""
    results = report.read()
    text = report.PAGE.read_text()
    assert report.page(results) == text, ANEW
    for found in results:
        assert text.count(f"Medians of {found['rounds']} rounds") >= len(found["tables"])
    plots = {plot[0] for found in results for t in found["tables"] if (plot := report.plot(t))}
    assert plots == {file.stem for file in (report.DOCS / report.PLOTS).glob("*.svg")}, ANEW


def spread(*rounds: float) -> dict[str, Any]:
    """A figure as results have it."""
    kept = Spread.of(rounds)
    return {name: getattr(kept, name) for name in ("median", "low", "high", "rounds")}


def groups(column: str, **rows: dict[str, Any]) -> ratios.Groups:
    """Results of one table."""
    table = {"title": "A table", "rows": {name: {column: of} for name, of in rows.items()}}
    return {"a group": {"tables": [table]}}


def row(column: str, words: tuple[str, str], *, most: bool = False) -> ratios.Row:
    """A row that compares `ours` with the sum of two."""
    ours = ratios.Figure("a group", "A t", ("ours",), column)
    theirs = ratios.Figure("a group", "A t", ("one", "other"), column)
    return ratios.Row("cost", "both", ours, theirs, words, most)


def test_a_row_says_who_is_ahead_round_by_round() -> None:
    """A ratio below 1 is turned over, and called behind; one of about 1 is even."""
    measured = groups("µs", ours=spread(2, 3, 4), one=spread(3, 3, 3), other=spread(1, 3, 5))
    words = ("cheaper", "dearer")
    assert row("µs", words).line(measured) == ("| cost | both | 2 times cheaper (2 to 2) | ahead |")
    behind = row("µs", ("its rate", "slower"), most=True).line(measured)
    assert behind == "| cost | both | 2 times slower (2 to 2) | **behind** |"
    told = row("µs", (" s", "")).line(measured)
    assert told == "| cost | both | 3 s (2 to 4) instead of 6 s (4 to 8) | ahead |"
    assert row("ms", words).line(groups("ms")) == "| cost | both | not measured | |"
    assert [ratios.verdict(times) for times in (1.04, 0.97)] == ["even", "even"]


def test_every_figure_of_a_row_is_measured_by_its_group() -> None:
    """No row has been left behind by a table that is called otherwise now."""
    missing = [row.what for row in ratios.ROWS if "not measured" in row.line(_as_groups())]
    assert missing == []


def _as_groups() -> ratios.Groups:
    return {found["group"]: found for found in report.read()}


def test_a_page_is_made_of_json_alone(tmp_path: Path) -> None:
    """A target that is not met says why, and figures say of how many rounds they are."""
    target = {"what": "µs", "wanted": 1.0, "most": True, "met": False, "why": "it is hard"}
    target["got"] = spread(1, 2, 3)
    table = {"title": "T", "columns": ["µs"], "rows": {"ours": {"µs": spread(1, 2, 3)}}}
    found: dict[str, Any] = {
        "group": "streams",
        "title": "Streams",
        "targets": [target],
        "tables": [table],
    }
    found |= {"notes": ["a note"], "machine": {"cores": 2}, "rounds": 3, "took": 7, "long": False}
    (tmp_path / "streams.json").write_text(json.dumps(found))
    page = report.page(report.read(tmp_path))
    assert "| µs | at most 1 | 2 (1 to 3) | **not met** |" in page
    assert "- Not met, µs: it is hard." in page
    assert "Medians of 3 rounds" in page
    assert "| ours | 2 (1 to 3) |" in page
