"""Make docs/explanation/benchmarks.md and its plots of what is in benchmarks/results/."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from run import GROUPS, RESULTS, number

DOCS = Path(__file__).parent.parent / "docs/explanation"
PLOTS = "benchmarks"

#: The page's own words, which no run changes.
FOREWORD = (Path(__file__).with_name("foreword.md")).read_text()

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

#: Ours, in the plots.
OURS, OTHERS = "#c4530a", "#6b7a8f"
OUR_NAMES = ("batch job", "invoke", "stream", "import celery_s", "celery-s", "boot of our")

#: Inches of a plot.
WIDE, HIGH, BAR = 8.0, 3.6, 0.36

mpl.use("svg")
# Text stays text, and the same figures give the same file.
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 10})


def cell(spread: dict[str, Any]) -> str:
    """Return a median and its spread."""
    return f"{number(spread['median'])} ({number(spread['low'])} to {number(spread['high'])})"


def errors(spreads: list[dict[str, Any]]) -> list[list[float]]:
    """Return how far the rounds were below and above the medians."""
    below = [spread["median"] - spread["low"] for spread in spreads]
    return [below, [spread["high"] - spread["median"] for spread in spreads]]


def bars(table: dict[str, Any], column: str, file: Path) -> None:
    """Draw a figure of all variants; logarithmic where they are far apart."""
    names, spreads = list(table["rows"]), [row[column] for row in table["rows"].values()]
    medians = [spread["median"] for spread in spreads]
    figure, axes = plt.subplots(figsize=(WIDE, 1.1 + BAR * len(names)), layout="constrained")
    colors = [OURS if name.startswith(OUR_NAMES) else OTHERS for name in names]
    axes.barh(names, medians, xerr=errors(spreads), color=colors, ecolor="#333333", capsize=3)
    if min(medians) > 0 and max(medians) / min(medians) > 20:  # noqa: PLR2004 - bars too short to see
        axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel(column)
    save(figure, axes, table, file)


def curve(table: dict[str, Any], column: str, file: Path) -> None:
    """Draw a figure over the size of the work, and what would be linear."""
    sizes = [int(name.replace(",", "")) for name in table["rows"]]
    spreads = [row[column] for row in table["rows"].values()]
    medians = [spread["median"] for spread in spreads]
    figure, axes = plt.subplots(figsize=(WIDE, HIGH), layout="constrained")
    axes.errorbar(sizes, medians, yerr=errors(spreads), color=OURS, marker="o", capsize=3)
    linear = [medians[-1] * size / sizes[-1] for size in sizes]
    axes.plot(sizes, linear, color=OTHERS, linestyle="--", label="linear, through the largest")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(column)
    axes.legend(frameon=False)
    save(figure, axes, table, file)


def save(figure: Any, axes: Any, table: dict[str, Any], file: Path) -> None:
    """Write a plot."""
    axes.set_title(table["title"], loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def drawn(table: dict[str, Any]) -> Iterator[str]:
    """Yield the line that shows a table's plot, which is drawn."""
    for beginning, column, growth in DRAWN:
        if table["title"].startswith(beginning) and table["rows"] and column in table["columns"]:
            name = "".join(c if c.isalnum() else "-" for c in table["title"].lower())
            name = "-".join(part for part in name.split("-") if part)
            (curve if growth else bars)(table, column, DOCS / PLOTS / f"{name}.svg")
            yield f"![{table['title']}: {column}]({PLOTS}/{name}.svg)"


def tabled(table: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| | " + " | ".join(table["columns"]) + " |"
    yield "|---" * (len(table["columns"]) + 1) + "|"
    for name, row in table["rows"].items():
        yield f"| {name} | " + " | ".join(cell(row[column]) for column in table["columns"]) + " |"


def targets(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was asked for, and whether it was met."""
    if not found["targets"]:
        return
    yield from ("| target | wanted | measured | |", "|---|---|---|---|")
    for target in found["targets"]:
        bound = "at most" if target["most"] else "at least"
        met = "met" if target["met"] else "**not met**"
        wanted = f"{bound} {target['wanted']:g}"
        yield f"| {target['what']} | {wanted} | {cell(target['got'])} | {met} |"
    yield ""


def section(found: dict[str, Any]) -> Iterator[str]:
    """Yield a group's part of the page."""
    yield from (f"## {found['title']}", "")
    yield from targets(found)
    for table in found["tables"]:
        yield from (f"### {table['title']}", "")
        for image in drawn(table):
            yield from (image, "")
        yield from (*tabled(table), "")
    for note in found["notes"]:
        yield f"- {note}"
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    yield from ("", f"{found['rounds']} rounds, {found['took']} s. Measured with {machine}.", "")


def main() -> None:
    """Write the page."""
    (DOCS / PLOTS).mkdir(exist_ok=True)
    for old in (DOCS / PLOTS).glob("*.svg"):
        old.unlink()
    files = [RESULTS / f"{group}.json" for group in GROUPS]
    results = [json.loads(file.read_text()) for file in files if file.exists()]
    results.sort(key=lambda found: ORDER.index(found["group"]))
    lines = [line for found in results for line in section(found)]
    (DOCS / "benchmarks.md").write_text(FOREWORD + "\n" + "\n".join(lines).rstrip() + "\n")


#: The page's order: what most readers ask first.
ORDER = ("realtime", "asynchronous", "streams", "overhead", "growth", "startup")

if __name__ == "__main__":
    main()
