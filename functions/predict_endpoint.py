"""The HTTP function: paths and methods to predictions, health and the description. No side effects."""

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from functions.admission import Admission
from functions.batching import Batching
from functions.codecs import Asked, read_rides
from functions.errors import InvalidRide, Overloaded, Problem, Unavailable
from functions.model import Model
from functions.model_manager import Predictor
from functions.request_body import Bodies, NotWhole
from functions.responses import (
    HEALTH_PATHS,
    health_response,
    json_response,
    problem_response,
    unavailable_response,
    wrong_method_response,
)
from functions.rides import Prediction, Ride
from functions.telemetry import fields, logger, read_trace, use_trace

PREDICT_PATHS = frozenset({"/", "/predict", "/invocations"})
DESCRIPTION_PATH = "/openapi.json"
READ_SECONDS = 10.0
"""For a body to come: a megabyte over a slow line; a sender that drips is not waited for."""
LARGEST_INLINE = 100
"""Rides predicted on the event loop; more of them, at some 6 µs each, would hold up other requests."""
LARGEST_INLINE_BODY = 1 << 14
"""Bytes read on the event loop: about as many rides."""


class Web:
    """Answers the requests of the HTTP function.

    Args:
        predictor: the model in service.
        predict_route, health_route: one more path each, as Vertex AI names them; may be empty.
        largest_body: bytes of a request that are read.
    """

    def __init__(
        self, predictor: Predictor, predict_route: str, health_route: str, largest_body: int
    ) -> None:
        self._predictor = predictor
        self._predict_paths = PREDICT_PATHS | {predict_route}
        self._health_paths = HEALTH_PATHS | {health_route}
        self._bodies = Bodies(largest_body)
        self._admission = Admission()
        self._batching = Batching()

    async def answer(self, request: Request) -> Response:
        """One request's response."""
        use_trace(read_trace(request.headers))
        # Not the URL's path, from which a newline has been taken: /predict%0A is another path.
        path, method = request.scope["path"], request.method
        if self._predicts(path):
            if method == "POST":
                return await self._predict(request)
            return wrong_method_response("POST", f"POST a ride here; {DESCRIPTION_PATH} describes it")
        if path not in self._health_paths and path != DESCRIPTION_PATH:
            return problem_response(404, f"nothing is here; {DESCRIPTION_PATH} lists what there is")
        if method not in ("GET", "HEAD"):
            return wrong_method_response("GET, HEAD", "predictions are made by POST to /predict")
        if path in self._health_paths:
            return await health_response(self._predictor)
        content = Path(__file__).with_name("openapi.json").read_bytes()
        return Response(content, media_type="application/json")

    def _predicts(self, path: str) -> bool:
        # KServe and TensorFlow Serving name the model in the path; there is one model here.
        return path in self._predict_paths or (path.startswith("/v1/models/") and path.endswith(":predict"))

    async def _predict(self, request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + READ_SECONDS
        try:
            async with self._bodies.read(request, deadline) as body, self._admission:
                asked = await _read(body, request.headers.get("content-type", ""))
                model = await self._predictor.model()
                predictions = await self._predictions(model, asked.rides)
        except InvalidRide as error:
            return problem_response(error.status, "the body is not right", error.problems)
        except NotWhole as error:
            return problem_response(408, "the body did not come", (Problem("#", str(error)),))
        except Overloaded as error:
            return unavailable_response(error)
        except Unavailable as error:
            logger.error("no prediction", extra=fields(outcome="unavailable", reason=str(error)))
            return unavailable_response(error)
        return json_response(asked.write(predictions))

    async def _predictions(self, model: Model, rides: list[Ride]) -> list[Prediction]:
        if len(rides) <= LARGEST_INLINE:
            return await self._batching.predict(model, rides)
        return await asyncio.to_thread(model.predict_rides, rides)


async def _read(body: bytearray, content_type: str) -> Asked:
    if len(body) <= LARGEST_INLINE_BODY:
        return read_rides(body, content_type)
    return await asyncio.to_thread(read_rides, body, content_type)
