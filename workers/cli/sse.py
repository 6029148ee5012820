"""`celery-sagemaker sse`: the deployment's streams for browsers, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .. import logs
from .exits import Exit, fail, one_line_errors
from .up import stop_signals

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: Answers 200 while the process serves; it asks Redis nothing, and needs no token.
HEALTH_PATH = "/health"

#: Seconds that open streams have to end once it is told to stop; their readers come back to another
#: process, at the position they have reached.
STOP_SECONDS = 5


def sse(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8000,
    proxies: Annotated[
        str | None,
        typer.Option(metavar="ADDRESSES", help="Proxies whose X-Forwarded-... are believed."),
    ] = None,
) -> None:
    """Serve streams as server-sent events until told to stop (Ctrl-C or SIGTERM)."""
    try:
        import uvicorn  # noqa: PLC0415 - an extra

        made, format_ = application()
    except ModuleNotFoundError as error:
        fail(Exit.UNREACHABLE, f"{error.name} is missing: pip install 'celery-sagemaker[sse]'")
    # Once it has stopped, uvicorn raises the signal again: it ends in this handler.
    with stop_signals():
        uvicorn.run(
            made,
            host=host,
            port=port,
            log_config=logs.dict_config(format_),
            # A token may be in the URL, and is no business of a log.
            access_log=False,
            forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=STOP_SECONDS,
        )


def application() -> tuple[Starlette, logs.Format]:
    """The application of the settings' deployment, with a health check; and how it logs."""
    from starlette.responses import JSONResponse  # noqa: PLC0415 - an extra
    from starlette.routing import Route  # noqa: PLC0415

    from ..sse import create_app  # noqa: PLC0415
    from .target import celery_app  # noqa: PLC0415

    with one_line_errors():
        app, settings = celery_app()
        made = create_app(app)
    made.router.routes.append(Route(HEALTH_PATH, lambda _: JSONResponse({"status": "ok"})))
    return made, settings.logging.format
