"""The scripts against a real Redis, and against their models."""

import logging
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
import redis
from celery_sagemaker.config import Settings
from celery_sagemaker.config.sections import LimitSettings
from celery_sagemaker.runtime.exceptions import ServiceUnavailable, ThrottlingException
from celery_sagemaker.tasks.limits import SUCCESS, Admission, BreakerState, Limits, Reason
from celery_sagemaker.tasks.limits.aimd import Aimd
from celery_sagemaker.tasks.limits.breaker import Breaker, Thresholds
from celery_sagemaker.tasks.limits.gate import Gate, scripts
from celery_sagemaker.tasks.limits.outcomes import Tally
from celery_sagemaker.tasks.limits.semaphore import GRACE, GUESS, asked_back, grant, wait_seconds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model_clock import ClockedRedis, connected, drive

#: Seconds that a permit is leased to a holder of the models.
LEASE = 30.0

#: The breaker's defaults, but for the number of calls.
THRESHOLDS = Thresholds(calls=8, share=0.5, window=30.0, cooldown=15.0, probes=3)

#: When the tests with a clock begin.
START = 1_700_000_000.0

#: Examples of each property: real Redis, about 0.1 ms a script. Each has an endpoint of its own.
EXAMPLES = settings(
    max_examples=round(settings().max_examples * 0.6),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def client(sagemaker_redis_url: str) -> Iterator[redis.Redis]:
    """A connection to the session's Redis."""
    made = redis.Redis.from_url(sagemaker_redis_url)
    yield made
    made.close()


@pytest.fixture
def clock(sagemaker_redis_url: str) -> Iterator[ClockedRedis]:
    """A connection whose scripts read a clock of the test's own."""
    with connected(sagemaker_redis_url) as made:
        made.set_clock(START)
        yield made


@pytest.fixture
def prefix() -> str:
    """Keys of the test's own."""
    return f"test-{uuid.uuid4().hex}"


def limits(client: redis.Redis, prefix: str, **values: object) -> Limits:
    """One process' limits; `values` are those of every endpoint."""
    return Limits(client, prefix, Settings(limits=values))


@dataclass
class Block:
    """What the model knows of one block."""

    held: int
    expires: float
    epoch: int


@dataclass
class Model:
    """The semaphore, the limit and the breaker of one endpoint, put together from their models."""

    aimd: Aimd
    breaker: Breaker
    seconds: float | None = None
    blocks: dict[str, Block] = field(default_factory=dict)
    waiting: dict[str, tuple[int, float]] = field(default_factory=dict)

    def in_use(self, now: float) -> int:
        """Permits that are out."""
        return sum(block.held for block in self.blocks.values() if block.expires > now)

    def waited_for(self, now: float) -> int:
        """Permits that are waited for."""
        return sum(wanted for wanted, until in self.waiting.values() if until > now)

    def admit(self, name: str, waiter: str, want: int, now: float) -> tuple[int, str, float]:
        """What `Gate.admit` answers."""
        breaker, allowed, seconds = self.breaker.allow(want, now)
        if not allowed:
            return 0, "breaker", seconds
        self.waiting.pop(waiter, None)
        limit, waiting = self.aimd.limit, self.waited_for(now)
        granted = grant(allowed, limit, self.in_use(now), waiting)
        if not granted:
            one_call = GUESS if self.seconds is None else self.seconds
            seconds = wait_seconds(waiting, limit, one_call)
            wanted = min(allowed, max(1, math.floor(limit / 2)))
            self.waiting[waiter] = (wanted, now + 2 * seconds + GRACE)
            return 0, "concurrency", seconds
        if granted != allowed and breaker is not self.breaker:
            breaker = replace(breaker, given=breaker.given - allowed + granted)
        self.breaker = breaker
        self.blocks[name] = Block(granted, now + LEASE, breaker.epoch)
        return granted, "", 0.0

    def asked_back(self, held: int, now: float) -> int:
        """What a live block is asked for."""
        return asked_back(held, self.aimd.limit, self.in_use(now), self.waited_for(now))

    def report(self, name: str, kept: int, tally: Tally, seconds: float, now: float) -> None:
        """What `Gate.report` does."""
        epoch, in_use = self.blocks[name].epoch, self.in_use(now)
        self.aimd = self.aimd.after(tally, now=now, in_use=in_use, seconds=self.seconds or 0.0)
        if tally.grow and seconds:
            old = seconds if self.seconds is None else self.seconds
            self.seconds = old + (1 - 0.9**tally.grow) * (seconds - old)
        neutral = tally.calls - tally.up - tally.down
        self.breaker = self.breaker.judge(epoch, now, up=tally.up, down=tally.down, neutral=neutral)
        self.blocks[name].held = kept
        if not kept:
            del self.blocks[name]


OUTCOMES = st.dictionaries(
    st.sampled_from([SUCCESS, "ThrottlingException", "ServiceUnavailable", "InternalFailure", "x"]),
    st.integers(1, 12),
    max_size=2,
)


class Machine(RuleBasedStateMachine):
    """Drives an endpoint in Redis and its model with the same commands."""

    client: ClockedRedis

    @initialize(maximum=st.integers(1, 40))
    def begin(self, maximum: int) -> None:
        """Start with a new endpoint."""
        self.clock = self.client
        self.clock.set_clock(START)
        configured = LimitSettings(max_concurrency=maximum, breaker=True, breaker_calls=8)
        prefix = f"test-{uuid.uuid4().hex}"
        self.gate = Gate(scripts(self.clock), prefix, "churn", configured, LEASE)
        self.model = Model(Aimd(maximum, maximum), Breaker(thresholds=THRESHOLDS))
        self.epochs: dict[str, int] = {}
        self.made = 0

    @rule(want=st.integers(1, 30), waiter=st.sampled_from("abcd"))
    def admit(self, want: int, waiter: str) -> None:
        """Both grant the same, or refuse for the same reason and time."""
        self.made += 1
        name = f"block{self.made}"
        granted, reason, seconds, epoch = self.gate.admit(name, waiter, want)
        expected = self.model.admit(name, waiter, want, self.clock.now)
        assert (granted, reason) == expected[:2]
        assert seconds == pytest.approx(expected[2])
        assert epoch == self.model.breaker.epoch
        if granted:
            self.epochs[name] = epoch

    @rule(pick=st.randoms(use_true_random=False), outcomes=OUTCOMES, seconds=st.floats(0, 5))
    def report(self, pick: object, outcomes: dict[str, int], seconds: float) -> None:
        """Both take outcomes, and permits back."""
        if not self.model.blocks:
            return
        name = pick.choice(sorted(self.model.blocks))  # type: ignore[attr-defined]
        kept = pick.randint(0, self.model.blocks[name].held)  # type: ignore[attr-defined]
        tally, now = Tally.of(outcomes), self.clock.now
        lapsed = self.model.blocks[name].expires <= now
        returned, epoch = self.gate.report(name, kept, self.epochs[name], tally, seconds)
        self.model.report(name, kept, tally, seconds, now)
        stale = epoch != self.model.breaker.epoch
        assert returned == (kept if lapsed or stale else self.model.asked_back(kept, now))
        self.epochs[name] = epoch
        if kept:
            self.model.blocks[name].epoch = epoch

    @rule()
    def renew(self) -> None:
        """Leases that have not lapsed are extended."""
        now = self.clock.now
        held = [(name, block.held) for name, block in self.model.blocks.items()]
        lapsed = {name for name, block in self.model.blocks.items() if block.expires <= now}
        assert self.gate.renew(held) == lapsed
        for name, block in list(self.model.blocks.items()):
            block.expires = now + LEASE
            if name in lapsed:
                del self.model.blocks[name]

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 16.0, 31.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @invariant()
    def same(self) -> None:
        """What `state` shows is what the model says."""
        if not hasattr(self, "model"):
            return
        found, model, now = self.gate.state(), self.model, self.clock.now
        assert found.in_use == model.in_use(now) <= model.aimd.maximum
        assert found.waiting == model.waited_for(now)
        assert found.limit == math.floor(model.aimd.limit)
        assert found.breaker == model.breaker.state(now)
        assert found.seconds == pytest.approx(model.seconds or 0.0)


def test_the_scripts_do_what_the_models_do(sagemaker_redis_url: str) -> None:
    """Admissions, reports, renewals and time in any order."""
    drive(Machine, sagemaker_redis_url, 0.6, 40)


@given(
    maximum=st.sampled_from([1, 2, 7, 50]),
    unused=st.sampled_from([0, 25, 40]),
    reports=st.lists(
        st.tuples(
            st.integers(0, 200),
            st.sampled_from([0, 0, 1, 3]),
            st.sampled_from([0.0, 0.9, 1.0, 5.0]),
        ),
        max_size=30,
    ),
)
@EXAMPLES
def test_the_limit_is_the_model_s(
    clock: ClockedRedis, maximum: int, unused: int, reports: list[tuple[int, int, float]]
) -> None:
    """Any reports at any times, with any number of permits out: exactly the model's limit."""
    clock.set_clock(START)
    in_use = max(1, maximum - unused)
    configured = LimitSettings(max_concurrency=maximum)
    gate = Gate(scripts(clock), f"test-{uuid.uuid4().hex}", "churn", configured, 1e6)
    for n in range(in_use):
        gate.admit(f"b{n}", "w", 1)
    aimd = Aimd(maximum, maximum)
    for grow, cut, seconds in reports:
        clock.advance(seconds)
        gate.report("b0", 1, 0, Tally(grow + cut, grow=grow, cut=cut), 0.0)
        aimd = aimd.after(Tally(grow + cut, grow=grow, cut=cut), now=clock.now, in_use=in_use)
        assert gate.state().limit == math.floor(aimd.limit)


@given(
    reports=st.lists(
        st.tuples(
            st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.0, 1.0, 6.0, 16.0, 26.0, 40.0])
        ),
        max_size=30,
    )
)
@EXAMPLES
def test_the_breaker_is_the_model_s(
    clock: ClockedRedis, reports: list[tuple[int, int, float]]
) -> None:
    """Any outcomes at any times: the same state, the same counts."""
    clock.set_clock(START)
    configured = LimitSettings(breaker=True, breaker_calls=8)
    gate = Gate(scripts(clock), f"test-{uuid.uuid4().hex}", "churn", configured, 1e6)
    breaker = Breaker(thresholds=THRESHOLDS)
    for up, down, seconds in reports:
        clock.advance(seconds)
        granted, _, wait, epoch = gate.admit("b", "w", 9)
        breaker, passing, expected = breaker.allow(9, clock.now)
        assert (granted, epoch) == (passing, breaker.epoch)
        assert wait == pytest.approx(expected)
        gate.report("b", 0, epoch, Tally(up + down, up=up, down=down), 0.0)
        breaker = breaker.judge(epoch, clock.now, up=up, down=down)
        state = gate.state()
        assert state.breaker == breaker.state(clock.now)
        assert state.failed == breaker.down + breaker.down_before
        assert state.calls == breaker.up + breaker.up_before + state.failed


def test_no_limits_cost_nothing() -> None:
    """An endpoint without limits needs no Redis at all."""
    nowhere = redis.Redis(port=1)
    admission = limits(nowhere, "p").admit("churn", want=50)
    with admission:
        assert (bool(admission), admission.permits, admission.asked_back) == (True, 50, 0)
        admission.report({SUCCESS: 50})


def commands(client: redis.Redis) -> int:
    """How many commands this connection's server got from clients, scripts' own not counted."""
    found = client.info("commandstats")
    return int(found.get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_call_costs_two_round_trips(client: redis.Redis, prefix: str) -> None:
    """One admission, and one report that also releases."""
    ours = limits(client, prefix, max_concurrency=4, breaker=True)
    ours.call("churn", lambda: 1, refused=no_refusal)
    before = commands(client)
    assert ours.call("churn", lambda: "answer", refused=no_refusal) == "answer"
    assert commands(client) - before == 2
    assert ours.state("churn").in_use == 0


def no_refusal(refusal: Admission) -> None:
    """Fail the test."""
    raise AssertionError(refusal.reason)


def test_a_refused_call_is_made_when_there_is_room(client: redis.Redis, prefix: str) -> None:
    """Whoever is told of the refusal decides; it waits under one name until it is admitted."""
    ours = limits(client, prefix, max_concurrency=1)
    holder = ours.admit("churn")
    seen: list[int] = []

    def wait(refusal: Admission) -> None:
        assert refusal.reason is Reason.CONCURRENCY
        seen.append(ours.state("churn").waiting)
        if len(seen) == 3:
            holder.report({SUCCESS: 1}, release=1)

    assert ours.call("churn", lambda: "answer", refused=wait) == "answer"
    assert seen == [1, 1, 1]
    assert ours.state("churn").waiting == 0


def test_the_limit_holds_over_all_processes(client: redis.Redis, prefix: str) -> None:
    """Two processes share it; a released permit is the other's at once."""
    one, two = (limits(client, prefix, max_concurrency=2) for _ in range(2))
    first, second = one.admit("churn"), two.admit("churn")
    refused = one.admit("churn")
    assert (bool(first), bool(second), bool(refused)) == (True, True, False)
    assert refused.reason is Reason.CONCURRENCY
    assert 0 < refused.wait < 60
    with second:
        assert one.state("churn").reason is Reason.CONCURRENCY
    assert two.admit("churn")


def test_a_component_is_limited_by_itself(client: redis.Redis, prefix: str) -> None:
    """One that is full leaves its neighbour and the endpoint alone."""
    ours = limits(client, prefix, max_concurrency=1)
    assert ours.admit("llm/a")
    assert not ours.admit("LLM/A")
    assert ours.admit("llm/b")
    assert ours.admit("llm")


def test_a_repeated_command_takes_no_second_block(client: redis.Redis, prefix: str) -> None:
    """The client repeats a command whose answer was lost."""
    gate = Gate(scripts(client), prefix, "churn", LimitSettings(max_concurrency=8), LEASE)
    assert gate.admit("block", "me", 4)[0] == 4
    assert gate.admit("block", "me", 4)[0] == 4
    assert gate.state().in_use == 4


def test_a_dead_holder_s_permits_come_back(clock: ClockedRedis, prefix: str) -> None:
    """When its lease has lapsed, and not before."""
    ready, configured = scripts(clock), LimitSettings(max_concurrency=1)
    gate = Gate(ready, prefix, "churn", configured, LEASE)
    assert gate.admit("dead", "dead", 1)[0] == 1
    clock.advance(LEASE - 0.1)
    assert gate.admit("next", "next", 1)[0] == 0
    clock.advance(0.2)
    assert gate.admit("next", "next", 1)[0] == 1
    assert gate.report("dead", 0, 0, Tally(), 0.0) == (0, 0)
    assert gate.state().in_use == 1


def test_live_permits_are_renewed(client: redis.Redis, prefix: str) -> None:
    """A call may take many leases' time; the thread that renews them is a daemon."""
    lease = 0.6
    ours = Limits(client, prefix, Settings(limits={"max_concurrency": 4}, ledger={"lease": lease}))
    admission = ours.admit("churn", 4)
    until = time.monotonic() + 3 * lease
    while time.monotonic() < until:
        assert ours.state("churn").in_use == admission.permits == 2
        threading.Event().wait(lease / 6)
    admission.report({}, release=2)
    assert ours.state("churn").in_use == 0


def test_a_holder_learns_that_its_lease_has_lapsed(client: redis.Redis, prefix: str) -> None:
    """A process that was paused for too long is told to stop using its permits."""
    ours = limits(client, prefix, max_concurrency=4)
    admission = ours.admit("churn", 4)
    client.delete(*ours._gate("churn").keys)
    ours._renewals.renew()
    assert admission.asked_back == admission.permits == 2


def test_the_whole_fleet_slows_down(client: redis.Redis, prefix: str) -> None:
    """One process is throttled, and the other's limit is halved."""
    one, two = (limits(client, prefix, max_concurrency=8) for _ in range(2))

    def throttled() -> None:
        raise ThrottlingException

    with pytest.raises(ThrottlingException):
        one.call("churn", throttled, refused=no_refusal)
    assert two.state("churn").limit == 4


def test_a_limit_may_be_fixed(client: redis.Redis, prefix: str) -> None:
    """`adaptive = false` leaves it where it is configured."""
    ours = limits(client, prefix, max_concurrency=8, adaptive=False)
    ours.admit("churn").report({"ThrottlingException": 5}, release=1)
    assert ours.state("churn").limit == 8


def test_the_breaker_opens_for_the_whole_fleet(client: redis.Redis, prefix: str) -> None:
    """Without a limit of calls at once it works as well; its refusals are waits."""
    one, two = (limits(client, prefix, breaker=True, breaker_calls=5) for _ in range(2))

    def down() -> None:
        raise ServiceUnavailable

    for _ in range(5):
        with pytest.raises(ServiceUnavailable):
            one.call("churn", down, refused=no_refusal)
    refused, state = two.admit("churn"), two.state("churn")
    assert (refused.reason, state.breaker) == (Reason.BREAKER, BreakerState.OPEN)
    assert 10 < refused.wait <= 30
    assert (state.max_concurrency, state.limit, state.reason) == (None, None, Reason.BREAKER)


def test_it_closes_again(client: redis.Redis, prefix: str) -> None:
    """After the cool-down, when as many probes as configured have succeeded."""
    ours = limits(
        client, prefix, breaker=True, breaker_calls=1, breaker_cooldown=0.05, breaker_probes=2
    )
    ours.admit("churn").report({"InternalFailure": 1}, release=1)
    while not (probe := ours.admit("churn", want=10)):
        threading.Event().wait(0.01)
    assert probe.permits == 2
    assert ours.state("churn").breaker is BreakerState.HALF_OPEN
    probe.report({SUCCESS: 2}, release=2)
    assert ours.state("churn").breaker is BreakerState.CLOSED


def test_a_block_is_asked_back_when_the_breaker_opens(client: redis.Redis, prefix: str) -> None:
    """A batch stops within one report; calls of its neighbours closed the door."""
    ours = limits(client, prefix, max_concurrency=8, breaker=True, breaker_calls=2)
    block = ours.admit("churn", want=4)
    ours.admit("churn").report({"InternalFailure": 2}, release=1)
    block.report({SUCCESS: 1}, release=1)
    assert block.asked_back == block.permits == 3


def test_client_errors_open_nothing(client: redis.Redis, prefix: str) -> None:
    """However many there are."""
    ours = limits(client, prefix, breaker=True, breaker_calls=1)
    mistakes = Counter({"ModelError:4xx": 500, "ValidationError": 500, "ModelError:5xx": 500})
    ours.admit("churn").report(mistakes, release=1)
    assert ours.state("churn").breaker is BreakerState.CLOSED


def test_a_lost_report_loses_no_answer(client: redis.Redis, prefix: str) -> None:
    """Redis went away during the call: its answer still counts."""
    ours = limits(client, prefix, max_concurrency=1)
    gate = ours._gate("churn")

    def answered() -> str:
        gate._scripts = {"report": broken}
        return "answer"

    def broken(**_: object) -> None:
        raise redis.ConnectionError("away")

    assert ours.call("churn", answered, refused=no_refusal) == "answer"
    assert ours._renewals._held == {}


def test_keys_go_away(client: redis.Redis, prefix: str) -> None:
    """Every key has a time to live."""
    ours = limits(client, prefix, max_concurrency=1, breaker=True)
    ours.admit("churn").report({"ThrottlingException": 1})
    assert not ours.admit("churn")
    keys = list(client.scan_iter(f"{{{prefix}:*"))
    assert len(keys) == 3
    assert all(0 < client.ttl(key) <= 3600 for key in keys)


def test_a_second_job_gets_its_share(client: redis.Redis, prefix: str) -> None:
    """A job that holds every permit is asked for some as soon as another one waits."""
    one, two = (limits(client, prefix, max_concurrency=40) for _ in range(2))
    first = [one.admit("churn", 40)]
    while first[-1]:
        first.append(one.admit("churn", 40, waiter="one"))
    first.pop()
    assert one.state("churn").in_use == 40
    second: list[Admission] = []
    while sum(block.permits for block in second) < 10:
        second.append(two.admit("churn", 20, waiter="two"))
        for block in first:
            block.report({SUCCESS: 1})
            block.report({}, release=block.asked_back)
    assert len(second) <= 4
    assert one.state("churn").in_use <= 40


def test_single_calls_pass_beside_a_job(client: redis.Redis, prefix: str) -> None:
    """A job cannot take everything at one go: somebody who comes later finds a permit."""
    ours = limits(client, prefix, max_concurrency=10)
    assert ours.admit("churn", 1000).permits == 5
    assert ours.admit("churn", 1000).permits == 2
    assert ours.admit("churn")


def test_what_changes_for_the_fleet_is_said_once(
    clock: ClockedRedis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The process whose report opens or closes the breaker, or lowers the limit, and no other."""
    caplog.set_level(logging.INFO)
    configured = LimitSettings(max_concurrency=8, breaker=True, breaker_calls=4, breaker_probes=1)
    ready = scripts(clock)
    one, two = (Gate(ready, prefix, "churn", configured, 1e6) for _ in range(2))
    _, _, _, epoch = one.admit("a", "a", 4)
    two.admit("b", "b", 4)
    one.report("a", 0, epoch, Tally(4, cut=4, down=4), 0.0)
    two.report("b", 0, epoch, Tally(4, down=4), 0.0)
    assert [record.message for record in caplog.records] == ["breaker_opened", "limit_lowered"]
    assert vars(caplog.records[0])["endpoint"] == "churn"
    assert vars(caplog.records[1])["limit"] < 8
    caplog.clear()
    clock.advance(configured.breaker_cooldown + 1)
    granted, _, _, epoch = two.admit("c", "c", 4)
    two.report("c", 0, epoch, Tally(granted, grow=granted, up=granted), 0.0)
    assert [record.message for record in caplog.records] == ["breaker_closed"]
