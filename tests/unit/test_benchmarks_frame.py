"""The benchmarks' frame: what it makes of figures, and what it does with a peer that fails."""

import json
import os
import signal
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
import leftovers  # noqa: E402
import run  # noqa: E402
from environments import wanted  # noqa: E402
from harness import eventually  # noqa: E402
from run import GROUPS, GroupTooLongError, limited, rounded  # noqa: E402

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
    assert frame.Target("at least", 2.0, ratio, "it is hard").met is False
    assert frame.Target("at most", 2.0, ratio, "it is hard", most=True).met is True


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


#: Starts a child in a session of its own, which has a child of its own, and waits.
PARENT = """
import subprocess, sys, time
sys.path.insert(0, {benchmarks!r})
import leftovers

leftovers.clear_up_when_ended()
below = "import os, time; p = os.fork(); p and print(os.getpid(), p, flush=True); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", below], start_new_session=True)
try:
    time.sleep(60)
finally:
    time.sleep(0.5)
    print("cleared up")
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_an_ended_run_leaves_nothing_behind(ending: signal.Signals) -> None:
    """The children go, in other sessions too, and a second signal does not stop the clearing up."""
    command = [sys.executable, "-c", PARENT.format(benchmarks=str(BENCHMARKS))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        pids = [int(pid) for pid in started.stdout.readline().split()]
        assert len(pids) == 2
        started.send_signal(ending)
        # Both would be lost in one if the first had not been taken yet.
        assert started.stderr is not None
        assert started.stderr.readline() == f"Ended by {ending.name}.\n".encode()
        started.send_signal(ending)
        assert started.stdout.read() == b"cleared up\n"
        assert started.wait(10) == 128 + ending
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_peer_ends_with_whoever_measures(tmp_path: Path) -> None:
    """Also when that was killed, and could stop nothing."""
    script = tmp_path / "peer.py"
    script.write_text(PEER.format(peers=str(BENCHMARKS / "peers")))
    starter = (
        f"import os, sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import frame; from pathlib"
        f" import Path; peer = frame.Peer('p', [sys.executable, {str(script)!r}],"
        f" Path({str(tmp_path / 'log')!r}), os.environ); peer.started();"
        " print(peer._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", starter], stdout=subprocess.PIPE, check=False)
    assert killed.returncode == -signal.SIGKILL
    eventually(lambda: not psutil.pid_exists(int(killed.stdout)))


def test_a_group_is_given_up_after_its_time() -> None:
    """With an error of its own, which no peer's failure hides."""
    with pytest.raises(GroupTooLongError, match="given up after 1 s"), limited(1):
        signal.pause()


def test_a_group_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs are written, its own are not, and the run says which failed, and why."""

    def measured(group: str, *_: float, **__: bool) -> frame.Result:
        if group == "startup":
            raise frame.PeerError("it did not start")
        return frame.Result("One invoke")

    monkeypatch.setattr(run, "measured", measured)
    monkeypatch.setattr(leftovers, "clear_up_when_ended", lambda: None)
    command = ["run.py", "--quick", "--only", "startup", "overhead", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match="startup: it did not start"):
        run.main()
    assert [file.name for file in tmp_path.iterdir()] == ["overhead.json"]
    assert json.loads((tmp_path / "overhead.json").read_text())["rounds"] == run.QUICK_ROUNDS


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
