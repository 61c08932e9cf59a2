"""The Pub/Sub function's HTTP side: 200 when the event's outcome is safe, 503 to have it delivered again."""

from starlette.requests import Request
from starlette.responses import Response

from functions.errors import InvalidRide, Unavailable
from functions.predictor import Predictor
from functions.responses import (
    HEALTH_PATHS,
    health_response,
    problem_response,
    read_body,
    unavailable_response,
    wrong_method_response,
)
from functions.stream import Stream

LARGEST_DELIVERY = 20_000_000
"""Bytes; Pub/Sub's largest message of 10 MB comes as 13.4 MB of base64, with its attributes."""


class Push:
    """Answers the requests of the Pub/Sub function."""

    def __init__(self, predictor: Predictor, stream: Stream) -> None:
        self._predictor = predictor
        self._stream = stream

    async def answer(self, request: Request) -> Response:
        """One request's response."""
        if request.method == "POST":
            return await self._deliver(request)
        if request.method in ("GET", "HEAD") and request.url.path in HEALTH_PATHS:
            return await health_response(self._predictor)
        return wrong_method_response("POST", "Pub/Sub delivers events here by POST; /health is read with GET")

    async def _deliver(self, request: Request) -> Response:
        try:
            body = await read_body(request, LARGEST_DELIVERY)
            await self._stream.handle(request.headers, body)
        except InvalidRide as error:
            return problem_response(error.status, "no Pub/Sub delivery is that large", error.problems)
        except Unavailable as error:
            return unavailable_response(error)
        # 200, not 202: the emulator delivers again what production takes as done.
        return Response(status_code=200)
