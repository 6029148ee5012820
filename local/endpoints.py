"""The emulated endpoints: their behaviour, their container, and whom they let in."""

from dataclasses import dataclass, field

from .behaviours import NOT_SERVING, Behaviour
from .containers import Container, open_container
from .faults import Faults
from .refusals import not_found, wrong_kind

#: Kinds of endpoint that each operation is for.
OPERATIONS = {
    "InvokeEndpoint": {"realtime", "both"},
    "InvokeEndpointAsync": {"async", "both"},
    "InvokeEndpointWithResponseStream": {"realtime", "both"},
}


@dataclass
class Endpoint:
    """One emulated endpoint."""

    name: str
    behaviour: Behaviour
    faults: Faults = field(init=False)
    container: Container = field(init=False)

    def __post_init__(self) -> None:
        self.faults = Faults(self.behaviour)
        self.container = open_container(self.behaviour.target)


class Endpoints:
    """All of them, by name.

    Raises:
        ValueError: a target is wrong; says whose.
    """

    def __init__(self, behaviours: dict[str, Behaviour]) -> None:
        self._found: dict[str, Endpoint] = {}
        for name, behaviour in behaviours.items():
            try:
                self.put(name, behaviour)
            except ValueError as error:
                raise ValueError(f"endpoints.{name}.{error}") from error

    def put(self, name: str, behaviour: Behaviour) -> None:
        """Make or replace one; its calls are numbered anew, its cold start begins anew.

        Raises:
            ValueError: the target is wrong.
        """
        self._found[name] = Endpoint(name, behaviour)

    def get(self, name: str) -> Endpoint | None:
        """Return one, if there is one."""
        return self._found.get(name)

    def all(self) -> dict[str, Endpoint]:
        """Return all of them."""
        return dict(self._found)

    def serving(self, name: str, operation: str) -> Endpoint:
        """Return the one that an operation is for.

        Raises:
            Refusal: there is none, or it is of another kind.
        """
        endpoint = self._found.get(name)
        if endpoint is None or endpoint.behaviour.status in NOT_SERVING:
            raise not_found(name)
        if endpoint.behaviour.kind not in OPERATIONS[operation]:
            raise wrong_kind(name, operation)
        return endpoint
