"""`celery-sagemaker limits`: what each endpoint gets at once, and whether its breaker is open."""

from typing import Annotated, Any

import typer

from . import console
from .exits import Exit, fail, one_line_errors
from .reach import require_redis
from .target import celery_app


def limits(
    endpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENDPOINT]...",
            help="Endpoints, or ENDPOINT/COMPONENT; by default all that the settings limit.",
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
) -> None:
    """Print the fleet's limits of endpoints, as they stand now."""
    with one_line_errors():
        app, settings = celery_app()
        names = endpoints or [n for n in settings.endpoints if settings.limits_of(n).limiting]
        if not names:
            fail(Exit.USAGE, "name an endpoint: the settings limit none by its name")
        require_redis([settings.state_url])
        from ...tasks import deployment  # noqa: PLC0415 - after the connection is known to work

        found = [deployment(app).limits.state(name).to_json() for name in names]
    if as_json:
        console.print_json({state.pop("name"): state for state in found})
    else:
        typer.echo("\n\n".join(map(_shown, found)))


def _shown(state: dict[str, Any]) -> str:
    lines = [
        f"endpoint: {state['name']}",
        f"calls at once: {_limit(state)}",
        f"breaker: {_breaker(state)}",
    ]
    if state["max_concurrency"] is not None:
        lines[2:2] = [f"in use: {state['in_use']}", f"waiting: {state['waiting']}"]
    if state["reason"] is not None:
        lines.append(f"refusing because of: {state['reason']}")
    if state["seconds"]:
        lines.append(f"one call takes: {state['seconds']:.3g} s")
    return "\n".join(lines)


def _limit(state: dict[str, Any]) -> str:
    if state["max_concurrency"] is None:
        return "any number"
    return f"{state['limit']} of at most {state['max_concurrency']}"


def _breaker(state: dict[str, Any]) -> str:
    if state["breaker"] is None:
        return "off"
    if state["retry_in"]:
        return f"{state['breaker']}, tried again in {state['retry_in']:.1f} s"
    return f"{state['breaker']}, {state['failed']} of {state['calls']} calls found it down"
