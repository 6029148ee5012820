"""The circuit breaker, without Redis."""

from dataclasses import replace

import pytest
from celery_sagemaker.tasks.limits.breaker import Breaker, BreakerState, Thresholds

THRESHOLDS = Thresholds(calls=10, share=0.5, window=30.0, cooldown=15.0, probes=3)


@pytest.fixture
def closed() -> Breaker:
    """A breaker that has seen nothing."""
    return Breaker(thresholds=THRESHOLDS)


@pytest.fixture
def opened(closed: Breaker) -> Breaker:
    """A breaker that opened at time 0."""
    return closed.judge(0, 0.0, up=0, down=10)


def test_it_opens_when_more_than_the_share_is_down(closed: Breaker) -> None:
    """Half of the calls is not more than half."""
    half = closed.judge(0, 1.0, up=5, down=5)
    assert half.state(1.0) is BreakerState.CLOSED
    assert half.judge(0, 1.0, up=0, down=1).state(1.0) is BreakerState.OPEN


def test_few_calls_open_nothing(closed: Breaker) -> None:
    """Nine failures of nine calls may be bad luck."""
    assert closed.judge(0, 1.0, up=0, down=9).state(1.0) is BreakerState.CLOSED


def test_old_calls_do_not_count(closed: Breaker) -> None:
    """After a window without calls it starts to count anew; half a window keeps what was."""
    nine = closed.judge(0, 1.0, up=0, down=9)
    assert nine.judge(0, 31.0, up=0, down=1).state(31.0) is BreakerState.CLOSED
    assert nine.judge(0, 16.0, up=0, down=1).state(16.0) is BreakerState.OPEN


def test_an_open_one_lets_nothing_through(opened: Breaker) -> None:
    """It says how long that goes on."""
    _, passing, seconds = opened.allow(5, 5.0)
    assert (passing, seconds) == (0, 10.0)


def test_a_few_probes_pass_after_the_cool_down(opened: Breaker) -> None:
    """No more than that, for one asker or several."""
    assert opened.state(15.0) is BreakerState.HALF_OPEN
    probed, passing, _ = opened.allow(2, 15.0)
    probed, more, _ = probed.allow(5, 15.0)
    assert (passing, more) == (2, 1)
    assert probed.allow(1, 16.0)[1:] == (0, 14.0)


def test_it_closes_when_the_probes_succeed(opened: Breaker) -> None:
    """All of them, and the count starts anew."""
    probed = opened.allow(3, 15.0)[0]
    two = probed.judge(probed.epoch, 16.0, up=2, down=0)
    assert two.state(16.0) is BreakerState.HALF_OPEN
    three = two.judge(two.epoch, 16.0, up=1, down=0)
    assert three.state(16.0) is BreakerState.CLOSED
    assert three.judge(three.epoch, 16.0, up=0, down=9).state(16.0) is BreakerState.CLOSED


def test_it_opens_again_when_a_probe_fails(opened: Breaker) -> None:
    """For another cool-down."""
    probed = opened.allow(3, 15.0)[0]
    again = probed.judge(probed.epoch, 20.0, up=1, down=1)
    assert again.state(34.9) is BreakerState.OPEN
    assert again.state(35.0) is BreakerState.HALF_OPEN


def test_calls_from_before_it_opened_say_nothing_new(opened: Breaker) -> None:
    """They neither close it nor keep it open."""
    before = opened.epoch - 1
    assert opened.judge(before, 16.0, up=9, down=0) == opened
    assert opened.judge(before, 16.0, up=0, down=9) == opened


def test_probes_of_the_dead_are_given_out_again(opened: Breaker) -> None:
    """Else a worker killed with the last probe would leave it half open for ever."""
    probed = opened.allow(3, 15.0)[0]
    _, passing, _ = probed.allow(5, 30.0)
    assert passing == 3


def test_a_probe_that_says_nothing_is_given_back(opened: Breaker) -> None:
    """A request that was refused for its own faults has not tried the endpoint."""
    probed = opened.allow(3, 15.0)[0]
    after = probed.judge(probed.epoch, 16.0, up=0, down=0, neutral=1)
    assert after.allow(5, 16.0)[1] == 1


def test_closing_forgets_nothing_else(opened: Breaker) -> None:
    """Only the epoch and the bucket outlive an opening."""
    probed = opened.allow(3, 15.0)[0]
    closed = probed.judge(probed.epoch, 16.0, up=3, down=0)
    assert closed == replace(Breaker(thresholds=THRESHOLDS), epoch=2, bucket=closed.bucket)
