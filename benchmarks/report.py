"""Make docs/explanation/benchmarks.md, its plots and README's table of benchmarks/results/."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ratios
from run import GROUPS, RESULTS, number

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs/explanation"
PAGE, README = DOCS / "benchmarks.md", ROOT / "README.md"
PLOTS = "benchmarks"

#: The page's own words, which no run changes.
FOREWORD = (Path(__file__).with_name("foreword.md")).read_text()

#: README's table is between these.
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- benchmarks: end -->"

#: The page's order: what most readers ask first.
ORDER = ("realtime", "asynchronous", "streams", "overhead", "growth", "startup")

#: The figure of each table that is drawn, by the beginning of its title; and whether over sizes.
DRAWN: tuple[tuple[str, str, bool], ...] = (
    ("Records, endpoint of", "CPU µs", False),
    ("Parts every", "added p50, ms", False),
    ("Parts as fast", "parts per second", False),
    ("One after the other", "ms until the result", False),
    ("Publishing", "published per second", False),
    ("Pending, the model", "LIST and HEAD each", False),
    ("From the start", "seconds", False),
    ("Records of a batch job", "seconds", True),
    ("Workers of a batch job", "records per second", True),
    ("Pending asynchronous", "seconds beyond the model's", True),
)


def cell(spread: dict[str, Any]) -> str:
    """Return a median and its spread."""
    return f"{number(spread['median'])} ({number(spread['low'])} to {number(spread['high'])})"


def plot(table: dict[str, Any]) -> tuple[str, str, bool] | None:
    """Return a plot's name, the figure that it shows, and whether over sizes; or None."""
    for beginning, column, growth in DRAWN:
        if table["title"].startswith(beginning) and table["rows"] and column in table["columns"]:
            name = "".join(c if c.isalnum() else "-" for c in table["title"].lower())
            return "-".join(part for part in name.split("-") if part), column, growth
    return None


def tabled(table: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| | " + " | ".join(table["columns"]) + " |"
    yield "|---" * (len(table["columns"]) + 1) + "|"
    for name, row in table["rows"].items():
        yield f"| {name} | " + " | ".join(cell(row[column]) for column in table["columns"]) + " |"


def targets(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was asked for, whether it was met, and if not, why."""
    if not found["targets"]:
        return
    yield from ("| target | wanted | measured | |", "|---|---|---|---|")
    missed = list[dict[str, Any]]()
    for target in found["targets"]:
        bound = "at most" if target["most"] else "at least"
        met = "met" if target["met"] else "**not met**"
        missed += [] if target["met"] else [target]
        wanted = f"{bound} {target['wanted']:g}"
        yield f"| {target['what']} | {wanted} | {cell(target['got'])} | {met} |"
    yield ""
    for target in missed:
        yield f"- Not met, {target['what']}: {target['why']}."
    yield from [""] if missed else []


def section(found: dict[str, Any]) -> Iterator[str]:
    """Yield a group's part of the page."""
    yield from (f"## {found['title']}", "")
    yield from targets(found)
    rounds = f"Medians of {found['rounds']} rounds, and the lowest and highest of them."
    for table in found["tables"]:
        yield from (f"### {table['title']}", "")
        if (drawn := plot(table)) is not None:
            name, column, _ = drawn
            yield from (f"![{table['title']}: {column}]({PLOTS}/{name}.svg)", "")
        yield from (rounds, "", *tabled(table), "")
    for note in found["notes"]:
        yield f"- {note}"
    yield from [""] if found["notes"] else []
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    long = ", with `--long`" if found["long"] else ""
    yield from (f"{found['rounds']} rounds, {found['took']} s{long}. Measured with {machine}.", "")


def page(results: list[dict[str, Any]]) -> str:
    """Return the page."""
    ordered = sorted(results, key=lambda found: ORDER.index(found["group"]))
    lines = [line for found in ordered for line in section(found)]
    return FOREWORD + "\n" + "\n".join(lines).rstrip() + "\n"


def readme(text: str, results: list[dict[str, Any]]) -> str:
    """Return README.md with the table between its markers written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{ratios.table(results)}\n\n{END}{after}"


def read(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the figures of all groups that were measured."""
    files = [folder / f"{group}.json" for group in GROUPS]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def draw(results: list[dict[str, Any]]) -> None:
    """Draw all plots; those that no table has any more go."""
    import plots  # noqa: PLC0415 - matplotlib is there for this only

    (DOCS / PLOTS).mkdir(exist_ok=True)
    for old in (DOCS / PLOTS).glob("*.svg"):
        old.unlink()
    for table in (table for found in results for table in found["tables"]):
        if (drawn := plot(table)) is not None:
            name, column, growth = drawn
            made = plots.curve if growth else plots.bars
            made(table, column, DOCS / PLOTS / f"{name}.svg")


def main() -> None:
    """Write page, plots and table."""
    results = read()
    PAGE.write_text(page(results))
    README.write_text(readme(README.read_text(), results))
    draw(results)


if __name__ == "__main__":
    main()
