"""Where outputs are, and the cheapest way to see them."""

import pytest
from celery_sagemaker.tasks import outputs
from celery_sagemaker.tasks.ledger import Pending
from celery_sagemaker.tasks.outputs import Prices

PRICES = Prices(list_=0.005, head=0.0004)
#: 2026-11-24 20:30 UTC.
NOW = 1_795_552_200.0


def pending(failure: str | None = "s3://b/failures/x") -> Pending:
    """An inference whose output is awaited."""
    return Pending("i", "churn", "s3://b/outputs/x", failure, NOW, NOW + 60, None, "i")


@pytest.mark.parametrize(
    ("locations", "pages", "list_"),
    [(12, 1, False), (13, 1, True), (1_000, 1, True), (1_000, 90, False), (0, 1, False)],
)
def test_the_cheaper_way_is_taken(locations: int, pages: int, list_: bool) -> None:
    """One LIST costs as much as 12.5 HEADs; pages full of old objects count."""
    assert outputs.listing_is_cheaper(locations, pages, PRICES) is list_


def test_an_hours_outputs_share_a_prefix() -> None:
    """So that one LIST answers for up to 1,000 of them."""
    assert outputs.extension("shop", NOW) == "shop/2026112420"
    assert outputs.extension("shop", NOW + 3600) == "shop/2026112421"


def test_the_endpoints_root_is_what_is_left() -> None:
    """Of a location that is made of what was asked for; of another nothing is learnt."""
    location = "s3://b/out/shop/2026112420/an-id"
    assert outputs.root_of(location, "/shop/2026112420/", "an-id") == "s3://b/out"
    assert outputs.root_of(location, "shop/2026112420", "other") is None


def test_an_output_goes_before_a_failure() -> None:
    """Either answers; an endpoint may have no failure path."""
    both = ["s3://b/failures/x", "s3://b/outputs/x"]
    assert outputs.answered(pending(), both) == "output"
    assert outputs.answered(pending(), both[:1]) == "failure"
    assert outputs.answered(pending(None), both[:1]) is None
    assert outputs.keys_of([pending(), pending(None)]) == set(both)


def test_looks_adapt_to_how_long_it_takes() -> None:
    """A tenth of the usual time, within bounds; often, while nothing is known."""
    assert outputs.next_look(None, 1.0, 30.0) == 1.0
    assert outputs.next_look(3.0, 1.0, 30.0) == 1.0
    assert outputs.next_look(100.0, 1.0, 30.0) == 10.0
    assert outputs.next_look(3600.0, 1.0, 30.0) == 30.0


def test_the_average_follows_the_newest() -> None:
    """A fifth of the way with each."""
    assert outputs.average(None, []) is None
    assert outputs.average(None, [10.0]) == 10.0
    assert outputs.average(10.0, [20.0, 20.0]) == pytest.approx(13.6)
