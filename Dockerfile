# One image for workers, beat, the streams' service and Flower; `--target local` adds the emulator.
#
#   docker build --tag celery-sagemaker .
#
# To pin the base by its digest: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# The virtual environment: the versions of uv.lock, and our own wheel.
FROM ${PYTHON_IMAGE} AS builder
# The Makefile's.
ARG UV_VERSION=0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /src
ARG EXTRAS="--extra sse --extra metrics --extra flower"
# The dependencies are a layer of their own: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv sync --locked --no-default-groups --no-install-project ${EXTRAS}
# No more than .dockerignore lets through.
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv sync --locked --no-default-groups --no-editable ${EXTRAS}

FROM builder AS builder-local
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv sync --locked --no-default-groups --no-editable ${EXTRAS} --extra local

FROM ${PYTHON_IMAGE} AS base
# Any other user will do as well: nothing is written but in /tmp.
RUN groupadd --gid 10001 celery \
    && useradd --uid 10001 --gid celery --home-dir /tmp --no-create-home --shell /usr/sbin/nologin celery
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A celery-sagemaker.toml that is mounted here is read.
WORKDIR /etc/celery-sagemaker
USER 10001:10001
CMD ["celery-sagemaker", "worker"]

# With S3 and the endpoint emulator, for `celery-sagemaker local`.
FROM base AS local
COPY --from=builder-local /opt/venv /opt/venv
CMD ["celery-sagemaker", "local", "--host", "0.0.0.0"]

FROM base AS runtime
COPY --from=builder /opt/venv /opt/venv
