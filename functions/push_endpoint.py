"""The Pub/Sub function's HTTP side: 200 when the event's outcome is safe, else it is delivered again."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from functions.admission import Admission
from functions.authentication import TokenVerifier
from functions.errors import Problem, TooLarge, Unauthenticated, Unavailable
from functions.event_handler import Stream
from functions.model_manager import Predictor
from functions.request_body import Bodies, NotWhole
from functions.responses import (
    HEALTH_PATHS,
    health_response,
    problem_response,
    unauthenticated_response,
    unavailable_response,
    wrong_method_response,
)

LARGEST_DELIVERY = 20_000_000
"""Bytes; Pub/Sub's largest message of 10 MB comes as 13.4 MB of base64, with its attributes."""
HANDLING_SECONDS = 7.5
"""From the first byte of a delivery to its answer: an instance that is told to end has 10 s."""


class Push:
    """Answers the requests of the Pub/Sub function.

    Args:
        predictor: the model in service.
        stream: handles each delivery.
        verifier: tells who may deliver; None where the platform does.
    """

    def __init__(self, predictor: Predictor, stream: Stream, verifier: TokenVerifier | None) -> None:
        self._predictor = predictor
        self._stream = stream
        self._verifier = verifier
        self._bodies = Bodies(LARGEST_DELIVERY)
        self._admission = Admission()

    async def answer(self, request: Request) -> Response:
        """One request's response."""
        if request.method == "POST":
            return await self._deliver(request)
        if request.method in ("GET", "HEAD") and request.url.path in HEALTH_PATHS:
            return await health_response(self._predictor)
        return wrong_method_response("POST", "Pub/Sub delivers events here by POST; /health is read with GET")

    async def _deliver(self, request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + HANDLING_SECONDS
        try:
            if self._verifier:
                await self._verifier.verify(request.headers.get("authorization", ""))
            async with self._bodies.read(request, deadline) as body, self._admission:
                await self._stream.handle(request.headers, body, deadline)
        except Unauthenticated:
            return unauthenticated_response()
        except TooLarge as error:
            return problem_response(error.status, "no Pub/Sub delivery is that large", error.problems)
        except NotWhole as error:
            return problem_response(408, "the delivery did not come", (Problem("#", str(error)),))
        except Unavailable as error:
            return unavailable_response(error)
        # 200, not 202: the emulator delivers again what production takes as done.
        return Response(status_code=200)
