"""Which endpoints may be called, and which places on S3 read and written. No I/O.

Asked where calls leave the process: by both transports and by `S3Store`. So a message can make a
worker do no more than its settings allow, whatever task carries it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .exceptions import InvalidRequest, NotAllowed

if TYPE_CHECKING:
    from .requests import (
        InvokeEndpointAsyncRequest,
        InvokeEndpointRequest,
        InvokeEndpointWithResponseStreamRequest,
    )

    Called = (
        InvokeEndpointRequest | InvokeEndpointAsyncRequest | InvokeEndpointWithResponseStreamRequest
    )

#: Characters of a refused name that an error repeats.
_SHOWN = 200

#: Parts of a key that some layer between here and S3 might resolve.
_DOTS = frozenset({".", ".."})


def endpoint_matches(name: str, component: str | None, patterns: Iterable[str]) -> bool:
    """Whether a pattern of a list fits an endpoint, or a component of it.

    Args:
        name: the endpoint's.
        component: the inference component that is called, if one is.
        patterns: `endpoint` fits it with any component, `endpoint/component` that component only.
            Each part may have `*`, `?` and `[...]`. Case does not count: SageMaker has no two
            names that differ in it only.
    """
    for pattern in patterns:
        above, slash, below = pattern.lower().partition("/")
        if not fnmatchcase(name.lower(), above):
            continue
        if not slash or (component is not None and fnmatchcase(component.lower(), below)):
            return True
    return False


def location_within(
    bucket: str, key: str, prefixes: Iterable[str], *, inside: bool = False
) -> bool:
    """Whether a prefix of a list holds an object.

    Args:
        bucket: compared as it is: an access point's name or alias is another bucket.
        key: the object's. One with a part `.` or `..`, percent-encoded or not, is nowhere.
        prefixes: `s3://bucket` or `s3://bucket/prefix`. They end where a part of the key ends:
            `s3://bucket/in` holds `in/x` and `in`, and not `inner/x`.
        inside: whether the key is a prefix itself, of objects that all have to be within.
    """
    if _DOTS & {*key.split("/"), *unquote(key).split("/")}:
        return False
    for prefix in prefixes:
        allowed_bucket, _, above = prefix.removeprefix("s3://").rstrip("/").partition("/")
        if bucket != allowed_bucket:
            continue
        if not above or key.startswith(f"{above}/") or (key == above and not inside):
            return True
    return False


def _nothing() -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a process may call, read and write; None is anything.

    `outputs` gives further prefixes to read, asked only when the others do not hold a location:
    those of asynchronous outputs, which the service has named.
    """

    endpoints: tuple[str, ...] | None = None
    s3_read: tuple[str, ...] | None = None
    s3_write: tuple[str, ...] | None = None
    outputs: Callable[[], Iterable[str]] = _nothing

    def check_endpoint(self, name: str, component: str | None = None) -> None:
        """Refuse an endpoint that is not on the list.

        Raises:
            NotAllowed: it is not.
        """
        if self.endpoints is None or endpoint_matches(name, component, self.endpoints):
            return
        called = name if component is None else f"{name}/{component}"
        raise NotAllowed(
            f"allow.endpoints does not have {_short(called)}.", {"endpoint": _short(called)}
        )

    def check_read(self, bucket: str, key: str, *, inside: bool = False) -> None:
        """Refuse to read what is not within the list; what may be written may be read.

        Raises:
            NotAllowed: it is not.
        """
        if self.s3_read is None:
            return
        known = (*self.s3_read, *(self.s3_write or ()))
        if location_within(bucket, key, known, inside=inside):
            return
        if location_within(bucket, key, self.outputs(), inside=inside):
            return
        raise _outside("s3_read", bucket, key)

    def check_write(self, bucket: str, key: str) -> None:
        """Refuse to write, or delete, what is not within the list.

        Raises:
            NotAllowed: it is not.
        """
        if self.s3_write is not None and not location_within(bucket, key, self.s3_write):
            raise _outside("s3_write", bucket, key)

    def check_request(self, request: "Called") -> None:
        """Refuse a request whose endpoint or input location is not on the lists.

        Raises:
            NotAllowed: it is not.
        """
        component = getattr(request, "inference_component_name", None)
        self.check_endpoint(request.endpoint_name, component)
        location = getattr(request, "input_location", None)
        if location is not None:
            self.check_location(str(location))

    def check_location(self, location: str) -> None:
        """Refuse to let `s3://bucket/key` be read that is not within the list.

        Raises:
            NotAllowed: it is not, or it is another kind of address (https://).
        """
        if self.s3_read is None:
            return
        from .s3 import S3Location  # noqa: PLC0415 - it knows this module

        try:
            found = S3Location.parse(location)
        except InvalidRequest as error:
            raise NotAllowed(
                f"allow.s3_read has S3 locations only, not {_short(location)}."
            ) from error
        self.check_read(found.bucket, found.key)


#: No limits.
ANYTHING = Allowed()


def _outside(which: str, bucket: str, key: str) -> NotAllowed:
    location = _short(f"s3://{bucket}/{key}")
    return NotAllowed(f"allow.{which} does not have {location}.", {"location": location})


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
