"""What a deployment's settings let its processes call, read and write."""

from collections.abc import Callable, Iterable

from ..config import Settings
from ..runtime.allow import Allowed

#: What the service has answered with may be read wherever it is; nothing is written there.
OUTPUTS = Allowed(endpoints=(), s3_read=None, s3_write=())


def allowed(settings: Settings, learnt: Callable[[], Iterable[str]]) -> Allowed:
    """Return the limits of a process.

    Args:
        settings: the deployment's.
        learnt: gives the paths under which endpoints were seen to write. Of these, and of the
            configured ones, the part that this deployment has its outputs written to may be read:
            a chain passes on where an output is.
    """
    given, staging = settings.allow, [settings.staging] if settings.staging else []

    def outputs() -> Iterable[str]:
        configured = (endpoint.output_path for endpoint in settings.endpoints.values())
        roots = {*filter(None, configured), *learnt()}
        return {f"{root.rstrip('/')}/{settings.prefix}" for root in roots}

    return Allowed(
        endpoints=given.endpoints,
        s3_read=None if given.s3_read is None else (*given.s3_read, *staging),
        s3_write=None if given.s3_write is None else (*given.s3_write, *staging),
        outputs=outputs,
    )
