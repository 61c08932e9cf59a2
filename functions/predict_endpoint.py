"""The HTTP function: routes requests to predictions, health and the OpenAPI document. No side effects."""

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from functions.admission import AdmissionControl
from functions.batching import Batcher
from functions.codecs import decode_request
from functions.errors import InvalidRide, Overloaded, Problem, Unavailable
from functions.model_manager import ModelManager
from functions.request_body import BodyReader, IncompleteBody
from functions.responses import (
    HEALTH_PATHS,
    health_response,
    json_response,
    method_not_allowed_response,
    problem_response,
    unavailable_response,
)
from functions.telemetry import fields, logger, read_trace, set_trace

PREDICT_PATHS = frozenset({"/", "/predict", "/invocations"})
OPENAPI_PATH = "/openapi.json"
BODY_TIMEOUT_SECONDS = 10.0
"""Time limit for a body to arrive: enough for a megabyte over a slow connection."""
MAX_INLINE_RIDES = 100
"""Limit for predicting on the event loop; more rides, at 6 µs each, would delay other requests."""
MAX_INLINE_BODY_BYTES = 1 << 14
"""Limit for decoding on the event loop; about as many rides."""


class PredictEndpoint:
    """Answers the requests of the HTTP function.

    Args:
        models: provides the model in service.
        predict_route, health_route: additional paths, set by Vertex AI; may be empty.
        max_body_bytes: size limit of a request body.
    """

    def __init__(
        self, models: ModelManager, predict_route: str, health_route: str, max_body_bytes: int
    ) -> None:
        self._models = models
        self._predict_paths = PREDICT_PATHS | {predict_route}
        self._health_paths = HEALTH_PATHS | {health_route}
        self._bodies = BodyReader(max_body_bytes)
        self._admission = AdmissionControl()
        self._batcher = Batcher()

    async def handle(self, request: Request) -> Response:
        """Returns the response to one request."""
        set_trace(read_trace(request.headers))
        # Not request.url.path, which drops newlines: /predict%0A is a different path.
        path, method = request.scope["path"], request.method
        # KServe and TensorFlow Serving put the model's name into the path; only one model is served here.
        if path in self._predict_paths or (path.startswith("/v1/models/") and path.endswith(":predict")):
            if method == "POST":
                return await self._predict(request)
            return method_not_allowed_response("POST", f"send rides here with POST; see {OPENAPI_PATH}")
        if path not in self._health_paths and path != OPENAPI_PATH:
            return problem_response(404, f"this path does not exist; {OPENAPI_PATH} lists all paths")
        if method not in ("GET", "HEAD"):
            return method_not_allowed_response("GET, HEAD", "use GET here; predictions need POST to /predict")
        if path in self._health_paths:
            return await health_response(self._models)
        content = Path(__file__).with_name("openapi.json").read_bytes()
        return Response(content, media_type="application/json")

    async def _predict(self, request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_SECONDS
        try:
            async with self._bodies.read(request, deadline) as body, self._admission:
                content_type = request.headers.get("content-type", "")
                if len(body) <= MAX_INLINE_BODY_BYTES:
                    decoded = decode_request(body, content_type)
                else:
                    decoded = await asyncio.to_thread(decode_request, body, content_type)
                model = await self._models.model()
                if len(decoded.rides) <= MAX_INLINE_RIDES:
                    predictions = await self._batcher.predict(model, decoded.rides)
                else:
                    predictions = await asyncio.to_thread(model.predict_rides, decoded.rides)
        except InvalidRide as error:
            return problem_response(error.status, "the request body is invalid", error.problems)
        except IncompleteBody as error:
            return problem_response(408, "the request body is incomplete", (Problem("#", str(error)),))
        except Overloaded as error:
            return unavailable_response(error)
        except Unavailable as error:
            logger.error("no prediction", extra=fields(outcome="unavailable", reason=str(error)))
            return unavailable_response(error)
        return json_response(decoded.encode(predictions))
