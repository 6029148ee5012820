"""Ask a model, and watch its answer grow in the browser.

The stack on a laptop, which prints `export` lines:

    PYTHONPATH=examples celery-sagemaker up --behaviours examples/streaming.toml

In a second terminal, after those lines:

    export CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS=$(openssl rand -hex 32)
    uvicorn --app-dir examples streaming_web:app

With your own endpoint, `STREAMING_ENDPOINT` is its name. A real service asks who somebody is before
it lets them spend money; here everybody may.
"""

import os
from pathlib import Path

from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.tasks import stream
from celery_sagemaker.workers import create_app, sse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route

ENDPOINT = os.environ.get("STREAMING_ENDPOINT", "story")
PAGE = Path(__file__).with_suffix(".html")

celery = create_app()  # or your own, with install(app)
tokens = sse.stream_tokens(celery)


async def page(_: Request) -> Response:
    """Show the page."""
    return FileResponse(PAGE)


async def ask(request: Request) -> Response:
    """Begin a stream; who asked for it may read and cancel it."""
    prompt = (await request.body()).decode()
    try:
        # Publishing blocks: Celery has no asyncio.
        task = await run_in_threadpool(stream.delay, ENDPOINT, prompt)
    except InvalidRequest as error:
        return JSONResponse({"message": str(error)}, status_code=400)
    return JSONResponse({"id": task.id, "token": tokens.sign(task.id, cancel=True)})


app = Starlette(
    routes=[
        Route("/", page),
        Route("/ask", ask, methods=["POST"]),
        Mount("/", sse.create_app(celery)),  # /streams/{id}
    ]
)
