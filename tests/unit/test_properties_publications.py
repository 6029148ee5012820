"""When a publication is due: the same moment in whatever form, zone and season it was given."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from celery_sagemaker.tasks import publications
from hypothesis import example, given
from hypothesis import strategies as st

#: Zones with summer times, and one with odd minutes.
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")]
)

#: The hour before Berlin's clocks go back, and that before they go forward.
BACK = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
FORWARD = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

#: Of twenty years.
NOW = st.integers(1_577_836_800, 2_208_988_800).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)

#: Seconds that a float has to the microsecond.
SECONDS = st.integers(0, 10**8) | st.floats(0, 10**8).map(lambda value: round(value, 3))

#: Microseconds are rounded twice.
CLOSE = pytest.approx


@given(NOW, ZONES, SECONDS, SECONDS)
@example(BACK, BERLIN, 7_200, 7_200)
@example(FORWARD, BERLIN, 7_200, 7_200)
def test_seconds_are_seconds(now: datetime, zone: tzinfo, countdown: float, expires: float) -> None:
    """An app whose zone changes its clocks meanwhile waits no hour more or less."""
    here = now.astimezone(zone)
    made = publications.as_moments({"countdown": countdown, "expires": expires}, here)
    assert "countdown" not in made
    assert publications.seconds_until(made.get("eta"), here) == CLOSE(countdown, abs=2e-6)
    found = datetime.fromisoformat(made["expires"])
    assert (found - now).total_seconds() == CLOSE(expires, abs=2e-6)


@given(NOW, NOW, ZONES, SECONDS)
def test_moments_do_not_move(now: datetime, later: datetime, zone: tzinfo, seconds: float) -> None:
    """However often a publication is sent again, and whatever the time is then."""
    made = publications.as_moments({"countdown": seconds, "expires": seconds}, now)
    assert publications.as_moments(made, later.astimezone(zone)) == made


@given(NOW, NOW, ZONES, ZONES)
@example(BACK + timedelta(hours=2), BACK, BERLIN, BERLIN)
def test_a_moment_is_one_in_every_zone(
    now: datetime, due: datetime, zone: tzinfo, other: tzinfo
) -> None:
    """Given as it is or as text; one that is past is due now."""
    here, then = now.astimezone(zone), due.astimezone(other)
    made = publications.as_moments({"eta": then, "expires": then.isoformat()}, here)
    assert datetime.fromisoformat(made["eta"]) == datetime.fromisoformat(made["expires"]) == due
    left = publications.seconds_until(made["eta"], here)
    assert left == CLOSE(max(0.0, (due - now).total_seconds()), abs=2e-6)


@given(NOW, NOW, ZONES)
@example(BACK, BACK + timedelta(hours=4), BERLIN)
@example(FORWARD, FORWARD + timedelta(hours=4), BERLIN)
def test_a_moment_without_a_zone_is_in_that_of_the_app(
    now: datetime, due: datetime, zone: tzinfo
) -> None:
    """As a clock on the wall there shows it."""
    here, wall = now.astimezone(zone), due.astimezone(zone).replace(tzinfo=None)
    # Of an hour that comes twice, the first.
    expected = wall.replace(tzinfo=zone).astimezone(UTC)
    left = publications.seconds_until(wall.isoformat(), here)
    assert left == CLOSE(max(0.0, (expected - now).total_seconds()), abs=2e-6)
