"""Ridecast's two entry points for functions-framework:

functions-framework --target=predict         HTTP: rides in, durations out
functions-framework --target=predict_event   Pub/Sub: ride events in, prediction events out
"""

import os

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import gc_tuning

# The framework reads both after it has imported this module. Cloud Run functions set the first, with which it
# would disable our logger and parse every line again. The second limits a worker's silence in gunicorn: an
# instance without processor time for longer would lose its worker, and the request that wakes it.
os.environ |= {"LOG_EXECUTION_ID": "false", "CLOUD_RUN_TIMEOUT_SECONDS": "0"}
gc_tuning.relax_gc_for_imports()
from functions import app  # noqa: E402


@functions_framework.aio.http
async def predict(request: Request) -> Response:
    """Answers one ride or a batch of rides in the format of the request."""
    return await app.handle_predict(request)


# An HTTP function although it receives events: the framework's own CloudEvent signature answers some
# malformed events with an error before any code here runs, and Pub/Sub would redeliver those forever.
@functions_framework.aio.http
async def predict_event(request: Request) -> Response:
    """Turns one delivered ride event into a prediction event or a dead letter."""
    return await app.handle_push(request)
