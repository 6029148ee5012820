"""The benchmarks' frame: what it makes of figures, and what it does with a peer that fails."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import frame  # noqa: E402
import growth  # noqa: E402
from environments import wanted  # noqa: E402
from run import GROUPS, rounded  # noqa: E402

#: Works a count of hundredths of a millisecond; ends when it is told to.
PEER = """
import sys, time
sys.path.insert(0, {peers!r})
import line

def turn(count, fail=False):
    print("noise")
    if fail:
        raise ValueError("told to")
    time.sleep(count / 1e5)
    return {{"figure": float(count)}}

line.serve(turn)
"""


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[frame.Peer]:
    """A peer that sleeps."""
    script = tmp_path / "peer.py"
    script.write_text(PEER.format(peers=str(BENCHMARKS / "peers")))
    made = frame.Peer("sleeper", [sys.executable, str(script)], tmp_path / "log", os.environ)
    yield made
    made.stop()
    assert not psutil.pid_exists(made._process.pid)


def test_a_ratio_is_that_of_each_round() -> None:
    """Its median is not the medians' ratio."""
    above, below = frame.Spread.of([1.0, 10.0, 3.0]), frame.Spread.of([1.0, 2.0, 30.0])
    ratio = frame.Spread.ratio(above, below)
    assert (ratio.low, ratio.median, ratio.high) == (0.1, 1.0, 5.0)
    assert frame.Target("at least", 2.0, ratio).met is False
    assert frame.Target("at most", 2.0, ratio, most=True).met is True


def test_variants_take_turns_and_one_that_fails_is_a_note(peer: frame.Peer) -> None:
    """The others are measured all the same; noise on standard output is no answer."""
    peer.started()
    variants = {"sleeps": frame.Variant(peer, count=100)}
    notes: list[str] = []
    samples = frame.alternate(variants, 3, 0.05, notes)
    assert [sample.count for sample in samples["sleeps"]] == [100] * 3
    assert frame.answers(samples["sleeps"], "figure").median == 100.0
    assert frame.per_record(samples["sleeps"])["per second"].high <= 1e5
    assert notes == []
    variants = {"fails": frame.Variant(peer, {"fail": True}, 1)}
    assert frame.alternate(variants, 3, 0.05, notes) == {}
    (note,) = notes
    assert note.startswith("fails is left out: sleeper has ended: ValueError: told to")


def test_a_peer_that_takes_too_long_is_ended(peer: frame.Peer) -> None:
    """Its late answer is not taken for another's."""
    peer.started()
    slow = frame.Variant(peer, count=100_000, least=1, patience=0.2)
    notes: list[str] = []
    assert frame.alternate({"slow": slow, "after": frame.Variant(peer)}, 1, 0.05, notes) == {}
    assert "took over 0.2 s" in notes[0]
    assert "has ended" in notes[1]


def test_an_exponent_is_fitted() -> None:
    """Linear is 1, quadratic is 2."""
    sizes = [10, 100, 1000]
    assert growth.exponent(sizes, [3.0 * size for size in sizes]) == pytest.approx(1.0)
    assert growth.exponent(sizes, [float(size**2) for size in sizes]) == pytest.approx(2.0)


def test_figures_are_written_short() -> None:
    """Five digits count."""
    assert rounded({"a": (1.23456789, 7)}) == {"a": [1.2346, 7]}
    assert json.dumps(rounded([0.000123456]))


def test_each_peer_has_one_version() -> None:
    """What is compared with is pinned, and each group is a module."""
    assert {"aiobotocore", "taskiq", "sagemaker"} <= wanted().keys()
    assert all((BENCHMARKS / f"{group}.py").exists() for group in GROUPS)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_group_measures_something(tmp_path: Path) -> None:
    """The cheapest group, in earnest."""
    flags = ["--quick", "--only", "startup", "--results", str(tmp_path)]
    subprocess.run([sys.executable, str(BENCHMARKS / "run.py"), *flags], check=True)
    (table,) = json.loads((tmp_path / "startup.json").read_text())["tables"]
    assert table["rows"]["import celery_sagemaker.tasks"]["seconds"]["median"] > 0
