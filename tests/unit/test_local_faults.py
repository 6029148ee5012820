"""Fates: drawn by seed and number, without I/O."""

import math
import statistics
from collections import Counter

import pytest
from celery_sagemaker.local.behaviours import Behaviour, Latency, Stream
from celery_sagemaker.local.faults import Fate, Faults

MIXED = Behaviour(
    errors={"ServiceUnavailable": 0.2, "ModelError:503": 0.1, "hang": 0.05},
    latency=Latency(lognormal=(0.0, 0.5)),
    delay=Latency(uniform=(1.0, 3.0)),
    failure_rate=0.3,
    missing_rate=0.1,
    stream=Stream(fault="cut", rate=0.25),
    seed=7,
)


def fates(behaviour: Behaviour, count: int = 4_000) -> list[Fate]:
    """The first so many calls' fates."""
    faults = Faults(behaviour)
    return [faults.next(float(second)) for second in range(count)]


def test_the_same_seed_gives_the_same_fates() -> None:
    """Call by call, all that is drawn."""
    assert fates(MIXED) == fates(MIXED)


def test_another_seed_gives_others() -> None:
    """The seed is what decides."""
    assert fates(MIXED) != fates(MIXED.model_copy(update={"seed": 8}))


def test_rates_are_met() -> None:
    """Within four standard deviations, for a fixed seed."""
    found = fates(MIXED)
    errors = Counter(fate.error for fate in found)
    seen = {
        **{str(name): count for name, count in errors.items()},
        "failure": sum(fate.failure for fate in found),
        "missing": sum(fate.missing for fate in found),
        "stream": sum(fate.stream_fault for fate in found),
    }
    rates = {**MIXED.errors, "None": 0.65, "failure": 0.3, "missing": 0.1, "stream": 0.25}
    for name, rate in rates.items():
        spread = 4 * math.sqrt(rate * (1 - rate) / len(found))
        assert seen[name] / len(found) == pytest.approx(rate, abs=spread), name


def test_another_latency_leaves_the_errors_alone() -> None:
    """How long calls take does not change which of them fail."""
    quick = MIXED.model_copy(update={"latency": Latency(fixed=0.1)})
    assert [f.error for f in fates(quick)] == [f.error for f in fates(MIXED)]
    assert [f.failure for f in fates(quick)] == [f.failure for f in fates(MIXED)]


def test_durations_follow_their_distribution() -> None:
    """Fixed, uniform between two bounds, lognormal by the logarithm's mean and deviation."""
    found = fates(MIXED)
    logarithms = [math.log(fate.seconds) for fate in found]
    delays = [fate.delay for fate in found]
    assert statistics.mean(logarithms) == pytest.approx(0.0, abs=0.03)
    assert statistics.stdev(logarithms) == pytest.approx(0.5, abs=0.03)
    assert (min(delays), max(delays)) == pytest.approx((1.0, 3.0), abs=0.01)
    assert statistics.mean(delays) == pytest.approx(2.0, abs=0.05)
    assert {fate.seconds for fate in fates(Behaviour(latency=Latency(fixed=0.3)), 9)} == {0.3}


def test_a_cold_start_lasts_from_the_first_call() -> None:
    """ModelNotReadyException until its seconds are over."""
    faults = Faults(Behaviour(cold_start=5.0))
    found = [faults.next(now).error for now in (100.0, 104.9, 105.0, 200.0)]
    assert found == ["ModelNotReadyException", "ModelNotReadyException", None, None]


def test_an_asynchronous_call_waits_for_a_cold_start() -> None:
    """Its queue takes it; the rest of the start is added to its delay."""
    faults = Faults(Behaviour(kind="async", cold_start=5.0, delay=Latency(fixed=1.0)))
    delays = [faults.next(now, queued=True).delay for now in (100.0, 103.0, 105.0)]
    assert delays == [6.0, 3.0, 1.0]


def test_calls_above_the_rate_are_throttled() -> None:
    """Three in any second, whatever was refused before."""
    faults = Faults(Behaviour(throttle=3))
    times = [0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 1.05, 1.1]
    refused = [faults.next(now).error is not None for now in times]
    assert refused == [False, False, False, True, True, False, True, False]


def test_a_rate_below_one_a_second_lets_calls_through() -> None:
    """Half a call a second is one in two seconds."""
    faults = Faults(Behaviour(throttle=0.5))
    refused = [faults.next(now).error is not None for now in (0.0, 1.0, 1.9, 2.0, 3.0, 4.0)]
    assert refused == [False, True, True, False, True, False]


def test_refused_calls_do_not_shift_the_others_fates() -> None:
    """The n-th call that is let in meets the same with and without throttling."""
    throttled = Faults(MIXED.model_copy(update={"throttle": 1.0}))
    found = [throttled.next(second / 2) for second in range(200)]
    let_in = [fate for fate in found if fate.error != "ThrottlingException"]
    assert len(let_in) == 100
    assert let_in == fates(MIXED, 100)
