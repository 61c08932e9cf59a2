"""Ridecast's two entry points, for functions-framework:

functions-framework --target=predict         HTTP: a ride in, its duration out
functions-framework --target=predict_event   Pub/Sub: a ride event in, a prediction event out
"""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import gc_tuning

gc_tuning.expect_imports()
from functions import app  # noqa: E402


@functions_framework.aio.http
async def predict(request: Request) -> Response:
    """Answers a ride, or a batch of them, in the form in which it asks."""
    return await app.answer(request)


# An HTTP function, though it takes events: the framework's own CloudEvent signature answers some bad
# events with an error before any code here runs, and Pub/Sub would deliver those for ever.
@functions_framework.aio.http
async def predict_event(request: Request) -> Response:
    """Turns one delivered ride event into a prediction event or a dead letter."""
    return await app.deliver(request)
