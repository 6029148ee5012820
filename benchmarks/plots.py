"""The plots of docs/explanation/benchmarks.md, by matplotlib."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

#: Ours, in the plots.
OURS, OTHERS = "#c4530a", "#6b7a8f"
OUR_NAMES = ("batch job", "invoke", "stream", "import celery_s", "celery-s", "boot of our")

#: Inches of a plot.
WIDE, HIGH, BAR = 8.0, 3.6, 0.36

mpl.use("svg")
# Text stays text, and the same figures give the same file.
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 10})


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
