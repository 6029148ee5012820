"""A short run of tests/chaos: a mixed load, a seeded plan of faults, and the books afterwards."""

from pathlib import Path

import driver
import pytest
from plan import Kind

#: What a short run can get over soon.
BRIEF = {
    Kind.WORKER_KILL, Kind.WORKER_STOP, Kind.REDIS_KILL, Kind.REDIS_FULL, Kind.REDIS_CUT,
    Kind.ENDPOINT_CUT, Kind.ENDPOINT_ERRORS, Kind.S3_DOWN,
}  # fmt: skip


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("seed", "seconds", "kinds"),
    [
        pytest.param(1, 15.0, BRIEF, id="brief"),
        *(pytest.param(n, 60.0, set(Kind), id=f"{n}", marks=pytest.mark.long) for n in range(2)),
    ],
)
def test_the_books_are_right(tmp_path: Path, seed: int, seconds: float, kinds: set[Kind]) -> None:
    """Whatever was killed, cut and filled: nothing is lost, doubled or left behind."""
    found = driver.run(
        seed, tmp_path / "run", seconds=seconds, workers=2, kinds=kinds, pace=seconds / 12
    )
    assert found == []
