"""The HTTP side of the Pub/Sub function: 200 acknowledges an event, an error status has it redelivered."""

import asyncio
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from functions.admission import AdmissionControl
from functions.authentication import TokenVerifier
from functions.errors import InvalidRide, Problem, TooLarge, Unauthenticated, Unavailable
from functions.event_handler import EventHandler
from functions.model_manager import ModelManager
from functions.request_body import BodyReader, IncompleteBody
from functions.responses import (
    HEALTH_PATHS,
    health_response,
    json_response,
    method_not_allowed_response,
    problem_response,
    unauthenticated_response,
    unavailable_response,
)

MAX_DELIVERY_BYTES = 20_000_000
"""Pub/Sub's largest message, 10 MB, arrives as 13.4 MB of base64 plus its attributes."""
DEADLINE_SECONDS = 7.5
"""From a delivery's first byte to its response; an instance has 10 s to finish after SIGTERM."""


class PushEndpoint:
    """Answers the requests of the Pub/Sub function.

    Args:
        models: provides the model in service.
        handler: handles each delivery.
        verifier: authenticates each delivery; None if the platform does.
    """

    def __init__(self, models: ModelManager, handler: EventHandler, verifier: TokenVerifier | None) -> None:
        self._models = models
        self._handler = handler
        self._verifier = verifier
        self._bodies = BodyReader(MAX_DELIVERY_BYTES)
        self._admission = AdmissionControl()

    async def handle(self, request: Request) -> Response:
        """Returns the response to one request."""
        if request.method == "POST":
            return await self._deliver(request)
        if request.method in ("GET", "HEAD") and request.url.path.rstrip("/") in HEALTH_PATHS:
            return await health_response(self._models)
        return method_not_allowed_response("POST", "use POST to deliver events, GET for /health")

    async def _deliver(self, request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        try:
            if self._verifier:
                await self._verifier.verify(request.headers.get("authorization", ""))
            async with self._bodies.read(request, deadline) as body, self._admission:
                outcome = await self._handle(request.headers, body, deadline)
        except Unauthenticated:
            return unauthenticated_response()
        except TooLarge as error:
            return problem_response(error.status, "the request body is too large", error.problems)
        except IncompleteBody as error:
            return problem_response(408, "the request body is incomplete", (Problem("#", str(error)),))
        except Unavailable as error:
            return unavailable_response(error)
        # Not 202, which production accepts as an acknowledgement but the emulator does not. Pub/Sub ignores
        # the content, which is for people who post an event themselves.
        return json_response(outcome)

    async def _handle(self, headers: Headers, body: bytearray, deadline: float) -> dict[str, Any]:
        if "content-encoding" not in headers:
            return await self._handler.handle(headers, body, deadline)
        try:
            async with self._bodies.decompress(body, headers["content-encoding"]) as content:
                return await self._handler.handle(headers, content, deadline)
        except InvalidRide as error:
            # Pub/Sub sends this header for a message with such an attribute, and would redeliver it forever.
            return await self._handler.handle(headers, body, deadline, error)
