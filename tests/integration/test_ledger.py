"""The ledger against a real Redis: every transition, and every one that must not happen."""

import uuid
from collections.abc import Iterator

import pytest
import redis
from celery_sagemaker.tasks.leases import Lease
from celery_sagemaker.tasks.ledger import Ledger, Run, State
from model_clock import ClockedRedis


@pytest.fixture
def ledger(sagemaker_redis_url: str) -> Iterator[Ledger]:
    """A ledger of its own keys, with short times."""
    client = redis.Redis.from_url(sagemaker_redis_url)
    yield Ledger(client, f"test-{uuid.uuid4().hex}", lease=5.0, resend_after=60.0, max_deliveries=3)
    client.close()


def accept(ledger: Ledger, id_: str = "a") -> None:
    """Accept a request."""
    ledger.accept(id_, task="sagemaker.invoke", signature="{}", lane="q/0", endpoint="churn")


def begun(ledger: Ledger, id_: str = "a", owner: str = "one") -> Run:
    """Begin a request that can be begun."""
    run = ledger.begin(id_, "sagemaker.invoke", owner)
    assert isinstance(run, Run)
    return run


def lapse(ledger: Ledger, owner: str = "one") -> None:
    """Let an owner's lease lie in the past."""
    ledger.renew(owner, ledger.now() - 2 * ledger.lease)


def late(ledger: Ledger, id_: str = "a") -> None:
    """Make a row due now."""
    ledger.client.zadd(ledger.key("due"), {id_: ledger.now() - 1})


def test_a_request_is_accepted_once(ledger: Ledger) -> None:
    """An id that has a row keeps it, and is counted once."""
    accept(ledger)
    accept(ledger)
    assert ledger.counts() == {"ACCEPTED": 1}
    status = ledger.status("a")
    assert status is not None
    assert (status.state, status.endpoint) == (State.ACCEPTED, "churn")


def test_a_run_ends_in_one_final_state(ledger: Ledger) -> None:
    """The second end is refused, whoever tries."""
    accept(ledger)
    run = begun(ledger)
    assert ledger.finish(run, State.SUCCEEDED)
    assert not ledger.finish(run, State.FAILED)
    assert not ledger.close("a", State.REVOKED)
    assert ledger.begin("a", "sagemaker.invoke", "two") == "FINAL"
    assert ledger.counts() == {"ACCEPTED": 1, "SUCCEEDED": 1}


def test_a_duplicate_finds_the_live_run(ledger: Ledger) -> None:
    """A second delivery does nothing while the first one's owner lives."""
    accept(ledger)
    begun(ledger)
    assert ledger.begin("a", "sagemaker.invoke", "two") == "BUSY"


def test_a_command_whose_answer_was_lost_is_repeated(sagemaker_redis_url: str) -> None:
    """As the client does: the run is the caller's, and it learns that it has ended the request."""
    client = ClockedRedis.from_url(sagemaker_redis_url)
    assert isinstance(client, ClockedRedis)
    client.set_clock(1_700_000_000.0)
    client.loses_answers = True
    ledger = Ledger(client, f"test-{uuid.uuid4().hex}", max_deliveries=3)
    accept(ledger)
    run = begun(ledger)
    assert (run.number, run.deaths, run.poison) == (1, 0, False)
    assert ledger.begin("a", "sagemaker.invoke", "one") == "BUSY"
    assert ledger.finish(run, State.SUCCEEDED)
    accept(ledger, "b")
    assert ledger.close("b", State.REVOKED)
    assert not ledger.close("b", State.REVOKED)
    assert ledger.counts() == {"ACCEPTED": 2, "SUCCEEDED": 1, "REVOKED": 1}
    client.close()


def test_a_lapsed_run_is_taken_over_and_fenced(ledger: Ledger) -> None:
    """A paused owner that wakes can neither write nor finish."""
    accept(ledger)
    old = begun(ledger)
    lapse(ledger)
    new = begun(ledger, owner="two")
    assert not ledger.note(old, outcome="{}")
    assert not ledger.finish(old, State.FAILED)
    assert not ledger.park(old, 1.0)
    assert ledger.finish(new, State.SUCCEEDED)


def test_the_same_owner_is_fenced_by_the_run_number(ledger: Ledger) -> None:
    """An owner that takes its own lapsed run over holds another run."""
    accept(ledger)
    old = begun(ledger)
    lapse(ledger)
    begun(ledger)
    assert not ledger.finish(old, State.SUCCEEDED)


def test_dead_owners_are_reaped_and_their_runs_sent_again(ledger: Ledger) -> None:
    """What a dead process ran is due at once, whatever its queue holds."""
    accept(ledger)
    begun(ledger)
    assert ledger.reap() == []
    lapse(ledger)
    assert ledger.reap() == ["a"]
    assert ledger.due(ledger.now()) == [("a", "q/0")]
    assert ledger.resend("a", queue_empty=False) == ("SEND", "{}")


def test_a_waiting_message_is_not_sent_again(ledger: Ledger) -> None:
    """A full queue explains why nobody began it."""
    accept(ledger)
    late(ledger)
    assert ledger.resend("a", queue_empty=False)[0] == "WAIT"


def test_a_lost_message_is_sent_again_when_the_queue_is_empty(ledger: Ledger) -> None:
    """An empty queue does not."""
    accept(ledger)
    late(ledger)
    assert ledger.resend("a", queue_empty=True)[0] == "SEND"


def test_an_overtaken_message_is_sent_again(ledger: Ledger) -> None:
    """Nor does a later message that was begun: queues keep order."""
    accept(ledger, "a")
    accept(ledger, "b")
    begun(ledger, "b")
    late(ledger, "a")
    assert ledger.resend("a", queue_empty=False)[0] == "SEND"


def test_a_message_lost_too_often_is_given_up(ledger: Ledger) -> None:
    """Sent `max_deliveries` times and never begun."""
    accept(ledger)
    verdicts = []
    for _ in range(3):
        late(ledger)
        verdicts.append(ledger.resend("a", queue_empty=True)[0])
    assert verdicts == ["SEND", "SEND", "LOST"]


def test_a_message_that_was_begun_is_not_lost(ledger: Ledger) -> None:
    """Only those since the last run count: deaths have a count of their own."""
    accept(ledger)
    for _ in range(2):
        begun(ledger)
        lapse(ledger)
        ledger.reap()
        assert ledger.resend("a", queue_empty=True)[0] == "SEND"
    verdicts = []
    for _ in range(3):
        late(ledger)
        verdicts.append(ledger.resend("a", queue_empty=True)[0])
    assert verdicts == ["SEND", "SEND", "LOST"]


def test_what_is_not_due_any_more_is_not_sent(ledger: Ledger) -> None:
    """A clock that looked before it was parked, or before another clock sent it, does nothing."""
    accept(ledger, "parked")
    late(ledger, "parked")
    accept(ledger, "sent")
    late(ledger, "sent")
    assert {id_ for id_, _ in ledger.due(ledger.now())} == {"parked", "sent"}
    ledger.park(begun(ledger, "parked"), 3600.0)
    assert ledger.resend("sent", queue_empty=True)[0] == "SEND"
    assert ledger.resend("parked", queue_empty=True)[0] == "WAIT"
    assert ledger.resend("sent", queue_empty=True)[0] == "WAIT"
    assert ledger.begin("parked", "sagemaker.invoke", "two") == "PARKED"


def test_a_request_that_kills_its_workers_is_poison(ledger: Ledger) -> None:
    """After `max_deliveries` deaths the run is only there to fail."""
    accept(ledger)
    for _ in range(3):
        assert not begun(ledger).poison
        lapse(ledger)
        ledger.reap()
    assert begun(ledger).poison


def test_a_parked_request_waits_its_time(ledger: Ledger) -> None:
    """A duplicate does not begin it early; the clock sends it, and its counts travel."""
    accept(ledger)
    assert ledger.park(begun(ledger), 60.0, attempts='{"InternalFailure": 2}')
    assert ledger.begin("a", "sagemaker.invoke", "two") == "PARKED"
    assert ledger.due(ledger.now()) == []
    assert ledger.due(ledger.now() + 61) == [("a", "q/0")]
    status = ledger.status("a")
    assert status is not None
    assert status.attempts == {"InternalFailure": 2}


def test_a_request_for_later_has_no_message_until_then(ledger: Ledger) -> None:
    """It can neither be begun nor be due early; its first message is no repetition."""
    ledger.accept(
        "a", task="sagemaker.invoke", signature="{}", lane="q/0", endpoint="e", delay=90.0
    )
    assert ledger.begin("a", "sagemaker.invoke", "one") == "PARKED"
    assert ledger.due(ledger.now() + 89) == []
    assert ledger.due(ledger.now() + 91) == [("a", "q/0")]
    for _ in range(ledger.max_deliveries):
        late(ledger)
        assert ledger.resend("a", queue_empty=True) == ("SEND", "{}")
    late(ledger)
    assert ledger.resend("a", queue_empty=True) == ("LOST", "{}")


def test_a_parked_request_has_not_died(ledger: Ledger) -> None:
    """Handing back is no delivery that counts towards poison."""
    accept(ledger)
    for _ in range(5):
        assert ledger.park(begun(ledger), 0.0)
    assert not begun(ledger).poison


def test_an_unpublished_request_is_withdrawn(ledger: Ledger) -> None:
    """Nothing of it stays; one that a worker has begun stays."""
    accept(ledger)
    assert ledger.withdraw("a")
    assert ledger.status("a") is None
    assert ledger.counts() == {"ACCEPTED": 0}
    accept(ledger, "b")
    begun(ledger, "b")
    assert not ledger.withdraw("b")


def submit(ledger: Ledger, run: Run, **fields: object) -> bool:
    """Submit a run's request."""
    wanted = {"output_location": f"s3://b/p/{run.id}", "collecting": "{}", **fields}
    return ledger.submit(run, prefix="s3://b/p/", first_look=0.0, deadline=100.0, **wanted)


def test_a_submitted_request_waits_under_its_prefix(ledger: Ledger) -> None:
    """It is pending, its prefix is due once, and a redelivery does nothing."""
    accept(ledger)
    assert submit(ledger, begun(ledger))
    assert ledger.begin("a", "sagemaker.invoke", "two") == "SUBMITTED"
    assert [p.id for p in ledger.pending("s3://b/p/")] == ["a"]
    assert ledger.prefixes(ledger.now() + 1, hold=60.0) == ["s3://b/p/"]
    assert ledger.prefixes(ledger.now() + 1, hold=60.0) == []


def test_a_found_answer_is_collected_by_another_task(ledger: Ledger) -> None:
    """The row changes hands once; the first task's message is stale."""
    accept(ledger)
    submit(ledger, begun(ledger), collecting='{"x": 1}')
    assert ledger.ready("a", task="sagemaker.collect", kind="output") == '{"x": 1}'
    assert ledger.ready("a", task="sagemaker.collect", kind="output") is None
    assert list(ledger.pending("s3://b/p/")) == []
    assert ledger.begin("a", "sagemaker.invoke", "two") == "STALE"
    run = ledger.begin("a", "sagemaker.collect", "two")
    assert isinstance(run, Run)
    assert run.row["ready"] == "output"
    assert ledger.finish(run, State.SUCCEEDED)


def test_a_collecting_run_that_died_is_sent_again(ledger: Ledger) -> None:
    """Its output is still there to collect."""
    accept(ledger)
    submit(ledger, begun(ledger))
    ledger.ready("a", task="sagemaker.collect", kind="output")
    ledger.begin("a", "sagemaker.collect", "two")
    lapse(ledger, "two")
    assert ledger.reap() == ["a"]
    status = ledger.status("a")
    assert status is not None
    assert status.state == State.SUBMITTED
    assert ledger.resend("a", queue_empty=False)[0] == "SEND"
    assert isinstance(ledger.begin("a", "sagemaker.collect", "three"), Run)


def test_an_unanswered_call_is_reopened(ledger: Ledger) -> None:
    """Only one that was never answered; it is due at once."""
    accept(ledger, "a")
    submit(ledger, begun(ledger, "a"), unanswered_until=1.0)
    accept(ledger, "b")
    submit(ledger, begun(ledger, "b"))
    assert ledger.reopen("a")
    assert not ledger.reopen("b")
    assert ledger.resend("a", queue_empty=False)[0] == "SEND"


def test_an_unanswered_call_has_its_time(ledger: Ledger) -> None:
    """A look that saw the call before this one does not reopen it."""
    accept(ledger)
    submit(ledger, begun(ledger), unanswered_until=ledger.now() + 60)
    assert not ledger.reopen("a")
    assert [p.id for p in ledger.pending("s3://b/p/")] == ["a"]


def test_a_revoked_request_is_forgotten_by_the_poll(ledger: Ledger) -> None:
    """Revoked while pending: nothing awaits it."""
    accept(ledger)
    submit(ledger, begun(ledger))
    assert ledger.close("a", State.REVOKED)
    assert list(ledger.pending("s3://b/p/")) == []
    assert ledger.ready("a", task="sagemaker.collect", kind="output") is None


def test_a_delivered_outcome_cannot_be_revoked(ledger: Ledger) -> None:
    """What the endpoint answered is about to be the result."""
    accept(ledger)
    run = begun(ledger)
    assert ledger.note(run, outcome='{"value": 1}')
    assert not ledger.close("a", State.REVOKED)
    assert ledger.finish(run, State.SUCCEEDED)


def test_an_outcome_survives_its_run(ledger: Ledger) -> None:
    """The next run delivers it without a call."""
    accept(ledger)
    ledger.note(begun(ledger), outcome='{"value": 1}')
    lapse(ledger)
    assert begun(ledger, owner="two").outcome == {"value": 1}


def test_a_prefix_with_nothing_pending_is_forgotten(ledger: Ledger) -> None:
    """And one with something is looked at again."""
    accept(ledger)
    submit(ledger, begun(ledger))
    ledger.look_again("s3://b/p/", 1.0)
    assert ledger.prefixes(2.0, hold=1.0) == ["s3://b/p/"]
    ledger.close("a", State.REVOKED)
    ledger.look_again("s3://b/p/", 1.0)
    assert ledger.prefixes(ledger.now() + 100, hold=1.0) == []


def test_a_spent_budget_refuses(ledger: Ledger) -> None:
    """Refunds never make it larger than it is."""
    assert ledger.spend("churn", 6, 10)
    assert not ledger.spend("churn", 6, 10)
    assert ledger.spend("churn", -100, 10)
    assert ledger.spend("churn", 10, 10)
    assert not ledger.spend("churn", 1, 10)


def test_final_rows_expire(ledger: Ledger) -> None:
    """Every key has a life: a final row's is the retention."""
    accept(ledger)
    ledger.finish(begun(ledger), State.SUCCEEDED)
    ttl = ledger.client.ttl(ledger.key("row", "a"))
    assert 0 < int(ttl) <= ledger.retention
    assert ledger.signature("a") is None


def test_dead_letters_are_newest_first(ledger: Ledger) -> None:
    """With their reasons."""
    ledger.bury({"id": "a", "code": "MalformedMessage"})
    ledger.bury({"id": "b", "code": "PoisonMessage"})
    assert [entry["id"] for entry in ledger.dead_letters()] == ["b", "a"]


def test_what_nobody_runs_is_given_back(ledger: Ledger) -> None:
    """A run that its living owner knows nothing of is sent again at once; one it has is not."""
    lease = Lease(ledger, "one")
    for id_ in ("lost", "held"):
        accept(ledger, id_)
        lease.hold(id_)
        begun(ledger, id_)
    lease.let_go("lost")
    assert lease.give_back() == ["lost"]
    assert lease.give_back() == []
    assert ledger.begin("held", "sagemaker.invoke", "two") == "BUSY"
    assert ledger.resend("lost", queue_empty=False)[0] == "SEND"
    assert begun(ledger, "lost", owner="two").deaths == 1


def test_a_run_that_was_given_back_is_fenced(ledger: Ledger) -> None:
    """Should its thread come back after all, it can neither write nor finish."""
    accept(ledger)
    run = begun(ledger)
    assert Lease(ledger, "one").give_back() == ["a"]
    assert not ledger.note(run, outcome="{}")
    assert not ledger.finish(run, State.SUCCEEDED)


def test_only_the_run_that_was_asked_about_is_given_back(ledger: Ledger) -> None:
    """Not one that its owner has begun since, and not one that has ended."""
    accept(ledger)
    first = begun(ledger)
    assert ledger.park(first, 0.0)
    begun(ledger)
    assert not ledger.give_back("a", "one", first.number)
    assert ledger.close("a", State.REVOKED)
    assert not ledger.give_back("a", "one", first.number + 1)
    assert ledger.running("one", besides=()) == []


def test_a_request_held_twice_is_let_go_twice(ledger: Ledger) -> None:
    """A second delivery that found it busy does not take it from the first."""
    accept(ledger)
    lease = Lease(ledger, "one")
    lease.hold("a")
    begun(ledger)
    lease.hold("a")
    assert ledger.begin("a", "sagemaker.invoke", "one") == "BUSY"
    lease.let_go("a")
    assert lease.give_back() == []
    lease.let_go("a")
    assert lease.give_back() == ["a"]
