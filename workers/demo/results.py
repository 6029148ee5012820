"""Results in bulk: one MGET for hundreds of ids, and no subscription held per id."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from celery import Celery

#: Ids asked for in one MGET.
PAGE = 500


@dataclass(frozen=True)
class Result:
    """What the result backend holds for an id.

    Attributes:
        id: the id of the inference.
        state: Celery's state, or our `SUBMITTED`.
        value: the result, or the error of a failure as its text.
    """

    id: str
    state: str
    value: Any

    @property
    def ready(self) -> bool:
        """Whether the state is final."""
        return self.state in {"SUCCESS", "FAILURE", "REVOKED"}


def look(app: Celery, ids: Collection[str]) -> Iterator[Result]:
    """Read the present results of many ids; ids without one are left out."""
    backend: Any = app.backend
    everything = list(ids)
    for start in range(0, len(everything), PAGE):
        page = everything[start : start + PAGE]
        found = backend.mget([backend.get_key_for_task(id_) for id_ in page])
        for id_, raw in zip(page, found, strict=True):
            if raw is not None:
                meta = backend.decode_result(raw)
                yield Result(id_, meta["status"], meta["result"])
