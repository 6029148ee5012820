"""Plans of what goes wrong: the same for a seed, in time, and never two at one place."""

from itertools import combinations

import plan
from hypothesis import given
from hypothesis import strategies as st
from plan import Fault, Kind

PLANS = st.builds(
    plan.draw,
    st.integers(0, 10_000),
    st.floats(1.0, 600.0),
    workers=st.integers(1, 5),
    kinds=st.sets(st.sampled_from(Kind), min_size=1),
)


@given(st.integers(), st.floats(1.0, 300.0))
def test_a_seed_is_a_plan(seed: int, length: float) -> None:
    """Whoever draws it again gets the same."""
    first, second = (plan.draw(seed, length, workers=3, kinds=set(Kind)) for _ in range(2))
    assert first == second


@given(st.integers(0, 10_000), st.floats(1.0, 600.0), st.integers(1, 5))
def test_everything_is_over_in_time(seed: int, length: float, workers: int) -> None:
    """In the order of its beginnings, at workers that are there."""
    faults = plan.draw(seed, length, workers=workers, kinds=set(Kind))
    assert list(faults) == sorted(faults, key=lambda fault: fault.at)
    assert all(fault.at >= 0 and fault.end <= length + 0.01 for fault in faults)
    assert all(fault.worker < workers for fault in faults)


@given(PLANS)
def test_nothing_is_struck_twice_at_once(faults: tuple[Fault, ...]) -> None:
    """Two faults at one place have a pause between them."""
    for first, second in combinations(faults, 2):
        if first.place == second.place:
            assert second.at >= first.end


@given(PLANS)
def test_a_plan_is_read_as_it_was_written(faults: tuple[Fault, ...]) -> None:
    """Through JSON."""
    assert plan.loads(plan.dumps(faults)) == faults


@given(st.integers(0, 10_000), st.sets(st.sampled_from(Kind), min_size=1))
def test_only_what_may_go_wrong_does(seed: int, kinds: set[Kind]) -> None:
    """Kinds that were not named do not come."""
    faults = plan.draw(seed, 300.0, workers=3, kinds=kinds)
    assert {fault.kind for fault in faults} <= kinds


def test_a_long_plan_has_every_kind() -> None:
    """Ten minutes are enough, for each of a hundred seeds."""
    for seed in range(100):
        faults = plan.draw(seed, 600.0, workers=3, kinds=set(Kind))
        assert {fault.kind for fault in faults} == set(Kind)


def test_a_fault_says_what_it_is() -> None:
    """When, where, how long and by how much."""
    fault = Fault(12.0, 3.5, Kind.REDIS_SLOW, worker=1, amount=0.2)
    assert str(fault) == "  12.0 s  redis-slow worker 1 by +0.20 s for 3.5 s"
    assert str(Fault(1.0, 0.0, Kind.S3_CUT)) == "   1.0 s  s3-cut"
