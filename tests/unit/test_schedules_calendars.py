"""Due times: crontabs with time zones, intervals, the sun, and the clock's change."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery_sagemaker.config.calendars import Calendar
from hypothesis import given
from hypothesis import strategies as st

BERLIN = "Europe/Berlin"

#: Berlin's clocks went from 02:00 to 03:00 on this day, and from 03:00 to 02:00 on that one.
SPRING = datetime(2026, 3, 29, tzinfo=ZoneInfo(BERLIN))
AUTUMN = datetime(2026, 10, 25, tzinfo=ZoneInfo(BERLIN))

MOMENTS = st.floats(min_value=0, max_value=4e9)

ZONES = st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])


def wall(calendar: Calendar, start: datetime, end: datetime) -> list[str]:
    """The due times between two, as the clock on the wall shows them, with the offset."""
    found = calendar.between(start.timestamp() - 1, end.timestamp())
    return [datetime.fromtimestamp(due, calendar.zone).strftime("%d %H:%M%z") for due in found]


@st.composite
def crons(draw: st.DrawFn) -> str:
    """Crontabs of all kinds that occur at least once a year or so."""
    minute = draw(st.sampled_from(["*", "*/15", "0", "30", "5,35", "17-23"]))
    hour = draw(st.sampled_from(["*", "*/6", "2", "3", "1-4", "23"]))
    day = draw(st.sampled_from(["*", "1", "15,28", "*/2"]))
    month = draw(st.sampled_from(["*", "3,10", "*/3"]))
    weekday = draw(st.sampled_from(["*", "sun", "mon-fri", "6"]))
    return f"{minute} {hour} {day} {month} {weekday}"


@given(crons(), ZONES, MOMENTS)
def test_the_next_due_time_is_later_and_fits(cron: str, zone: str, moment: float) -> None:
    """It is after the moment, on a whole minute, and the wall shows a minute that is named.

    But for a minute that the clock's change leaves out: the wall shows as much more.
    """
    calendar = Calendar(cron=cron, timezone=zone)
    due = calendar.after(moment)
    local = datetime.fromtimestamp(due, calendar.zone)
    before = (local - timedelta(hours=1)).utcoffset()
    skipped = (local.utcoffset() or timedelta()) - (before or timedelta())
    assert due > moment
    assert local.second == 0
    shown = [local, (local.replace(tzinfo=None) - skipped)]
    fields: Any = calendar._crontab
    assert any(t.minute in fields.minute and t.hour in fields.hour for t in shown)


@given(crons(), ZONES, MOMENTS)
def test_due_times_follow_from_one_another(cron: str, zone: str, moment: float) -> None:
    """Each is later than the one before: none is found twice, across any change of the clock."""
    calendar = Calendar(cron=cron, timezone=zone)
    first = calendar.after(moment)
    second = calendar.after(first)
    assert moment < first < second < calendar.after(second)


@given(crons(), MOMENTS, st.floats(0, 1))
def test_it_does_not_matter_when_somebody_looks(cron: str, moment: float, share: float) -> None:
    """Without changes of the clock: from anywhere between two due times the second is next."""
    calendar = Calendar(cron=cron)
    first = calendar.after(moment)
    second = calendar.after(first)
    assert calendar.after(first + share * (second - first - 1)) == second


@given(st.integers(1, 1_000_000), MOMENTS)
def test_an_interval_is_counted_from_1970(every: int, moment: float) -> None:
    """Due are its multiples, whenever it was added."""
    due = Calendar(every=every).after(moment)
    assert due % every == 0
    assert moment < due <= moment + every


def test_a_time_that_does_not_exist_is_due_as_much_later() -> None:
    """02:30 was left out: it is due at what would have been 02:30, which the wall calls 03:30."""
    daily = Calendar(cron="30 2 * * *", timezone=BERLIN)
    assert wall(daily, SPRING - timedelta(days=1), SPRING + timedelta(days=2)) == [
        "28 02:30+0100",
        "29 03:30+0200",
        "30 02:30+0200",
    ]


def test_times_that_do_not_exist_are_not_due_beside_those_that_do() -> None:
    """Every half hour stays every half hour in spring: none is due twice."""
    half_hourly = Calendar(cron="*/30 * * * *", timezone=BERLIN)
    start = SPRING.replace(hour=1)
    found = list(half_hourly.between(start.timestamp() - 1, start.timestamp() + 7200))
    assert [due - found[0] for due in found] == [0, 1800, 3600, 5400, 7200]


def test_a_time_that_occurs_twice_is_due_once() -> None:
    """At first; as Celery's crontab has it."""
    daily = Calendar(cron="30 2 * * *", timezone=BERLIN)
    assert wall(daily, AUTUMN - timedelta(days=1), AUTUMN + timedelta(days=2)) == [
        "24 02:30+0200",
        "25 02:30+0200",
        "26 02:30+0100",
    ]


def test_a_repeated_hour_is_left_out() -> None:
    """Also of a crontab that is due many times an hour; as Celery's crontab has it."""
    half_hourly = Calendar(cron="*/30 * * * *", timezone=BERLIN)
    assert wall(half_hourly, AUTUMN.replace(hour=1, minute=30), AUTUMN.replace(hour=3)) == [
        "25 01:30+0200",
        "25 02:00+0200",
        "25 02:30+0200",
        "25 03:00+0100",
    ]


@pytest.mark.parametrize("day", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("cron", ["*/7 * * * *", "30 2 * * *", "0 */2 * * *", "59 1,2,3 * * *"])
def test_beats_agree_across_the_change(cron: str, day: datetime) -> None:
    """However often beat looks, and wherever it was stopped, it finds the same due times once."""
    calendar, rng = Calendar(cron=cron, timezone=BERLIN), random.Random(cron)
    start, end = day.timestamp() - 7200, day.timestamp() + 6 * 3600
    expected = list(calendar.between(start, end))
    found: list[int] = []
    dealt, now = start, start
    while now < end:
        now = min(end, now + rng.choice([1, 60, 600, 3700]))
        due = list(calendar.between(dealt, now))
        found += due
        dealt = due[-1] if due else dealt
    assert found == expected
    assert len(set(found)) == len(found) > 0


def test_an_interval_knows_no_change_of_the_clock() -> None:
    """A day of 25 hours has 25 of them."""
    hourly = Calendar(every=3600, timezone=BERLIN)
    start, end = AUTUMN, AUTUMN + timedelta(days=1)
    assert len(list(hourly.between(start.timestamp(), end.timestamp()))) == 25


def test_days_must_fit_the_month_and_the_week() -> None:
    """Both, as Celery has it; cron's own rule is either."""
    friday_13th = Calendar(cron="0 0 13 * fri")
    due = datetime.fromtimestamp(
        friday_13th.after(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), UTC
    )
    assert due == datetime(2026, 2, 13, tzinfo=UTC)


def test_the_sun_sets_once_a_day() -> None:
    """In Berlin at midsummer between 21:25 and 21:40; no sunset is found twice."""
    pytest.importorskip("ephem")
    sunset = Calendar(solar="sunset", latitude=52.5, longitude=13.4, timezone=BERLIN)
    start = datetime(2026, 6, 20, 12, tzinfo=ZoneInfo(BERLIN))
    found = wall(sunset, start, start + timedelta(days=3))
    assert [shown[:5] for shown in found] == ["20 21", "21 21", "22 21"]
    assert all("21:25" < shown[3:8] < "21:40" for shown in found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cron": "* * *"}, "3 fields"),
        ({"cron": "61 * * * *"}, "61"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "0 0 * * someday"}, "someday"),
        ({"cron": "*/0 * * * *"}, "cron"),
        ({"cron": "0 0 * * *", "every": 5}, "cron and every"),
        ({}, "none of them"),
        ({"cron": "0 0 * * *", "timezone": "Europe/Atlantis"}, "Atlantis"),
        ({"every": 5, "timezone": "../etc/passwd"}, "time zone"),
        ({"solar": "sunset"}, "latitude"),
        ({"solar": "teatime", "latitude": 1.0, "longitude": 1.0}, "teatime|ephem"),
        ({"solar": "sunset", "latitude": 91.0, "longitude": 1.0}, "91|ephem"),
    ],
)
def test_what_never_occurs_is_refused(given: dict[str, object], said: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=said):
        _ = Calendar(**given).zone  # type: ignore[arg-type]
