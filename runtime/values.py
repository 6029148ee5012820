"""What requests and responses have in common: an operation, and a JSON form without loss."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from . import jsonbytes
from .exceptions import InvalidRequest


class Value:
    """A frozen dataclass with slots, which mirrors a shape of the API in snake case."""

    __slots__: tuple[str, ...] = ()

    operation: ClassVar[str]
    """The operation's name in the API; marks the JSON form."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; members that are None are left out."""
        values: dict[str, Any] = {"operation": self.operation}
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None:
                values[name] = jsonbytes.to_json(value) if isinstance(value, bytes) else value
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InvalidRequest: it is another operation's, has members that this one lacks, lacks one
                that this one needs, or has a body that is none.
        """
        members = dict(values)
        operation = members.pop("operation", cls.operation)
        unknown = sorted(members.keys() - set(cls.__slots__))
        if operation != cls.operation or unknown:
            wrong = f"members {', '.join(unknown)}" if unknown else f"operation {operation}"
            raise InvalidRequest(f"{cls.operation} does not have {wrong}.")
        try:
            if members.get("body") is not None:
                members["body"] = jsonbytes.from_json(members["body"])
            return cls(**members)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"{cls.operation}'s JSON form is not whole: {error}") from error
