# The functions and the jobs as images, for wherever a container runs:
#
#   docker build --target functions -t ridecast/functions .    FUNCTION_TARGET=predict | predict_event
#   docker build --target jobs      -t ridecast/jobs .         python -m jobs …
#   docker build --target beam      -t ridecast/beam .         Dataflow's workers; --build-arg PYTHON=… must be the
#                                                              Python of the machine that starts the job
#
# Packages are installed where nothing else is, as wheels only: no stage has a compiler, and the last ones no installer
# of ours. .dockerignore decides what there is to copy.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS packages
WORKDIR /build
# Bytecode that is never compared with its source: in an image neither changes.
ENV PYC_INVALIDATION_MODE=UNCHECKED_HASH UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9 && uv venv /packages
COPY requirements.txt ./
RUN uv pip install --python /packages --no-cache --only-binary :all: --compile-bytecode -r requirements.txt

FROM packages AS jobs-packages
COPY requirements-jobs.txt ./
RUN uv pip install --python /packages --no-cache --only-binary :all: --compile-bytecode -r requirements-jobs.txt

FROM python:${PYTHON}-slim AS base
RUN useradd --uid 10001 --create-home ridecast
WORKDIR /app
ENV PATH=/packages/bin:$PATH PYTHONUNBUFFERED=1
COPY main.py ./
COPY functions/ functions/
RUN python -m compileall -q --invalidation-mode unchecked-hash .

FROM base AS jobs
# MLflow looks for a git that is not here.
ENV GIT_PYTHON_REFRESH=quiet MPLCONFIGDIR=/tmp/matplotlib
COPY --from=jobs-packages /packages /packages
COPY jobs/ jobs/
RUN python -m compileall -q --invalidation-mode unchecked-hash jobs
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "jobs"]

FROM apache/beam_python${PYTHON}_sdk:2.77.0 AS beam
WORKDIR /ridecast
ENV PYTHONPATH=/ridecast
COPY requirements-beam.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore -r requirements-beam.txt
COPY functions/ functions/
COPY jobs/ jobs/

# The last one is what `docker build` makes without a target.
FROM base AS functions
COPY --from=packages /packages /packages
ENV FUNCTION_TARGET=predict
USER 10001:10001
EXPOSE 8080
# On the port that the next line chooses; there is no curl in a slim image.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD ["python", "-ISc", "import os, sys; from http.client import HTTPConnection as To; to = To('127.0.0.1', os.getenv('AIP_HTTP_PORT') or os.getenv('PORT') or 8080, timeout=2); to.request('GET', '/health'); sys.exit(to.getresponse().status != 200)"]
# exec: SIGTERM must reach the server, which then finishes what it has in its hands.
CMD ["sh", "-c", "exec functions-framework --port \"${AIP_HTTP_PORT:-${PORT:-8080}}\""]
