"""The HTTP function: routes requests to predictions, health and the OpenAPI document. No side effects."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from functions.admission import AdmissionControl
from functions.batching import Batcher
from functions.codecs import DecodedRequest, decode_request
from functions.errors import InvalidRide, ModelUnavailable, Overloaded, Problem, Unavailable
from functions.inference_protocol import SERVER_METADATA, model_metadata, require_json
from functions.model import Model
from functions.model_manager import ModelManager
from functions.request_body import ENCODINGS, BodyReader, IncompleteBody, UnsupportedEncoding
from functions.responses import (
    HEALTH_PATHS,
    health_response,
    json_response,
    method_not_allowed_response,
    problem_response,
    unavailable_response,
)
from functions.ride_tables import MAX_PROBLEMS
from functions.telemetry import fields, logger, read_trace, set_trace

PREDICT_PATHS = ("/", "/predict", "/invocations")
OPENAPI_PATH = "/openapi.json"
REPAIRED_HEADER = "ridecast-repaired"
"""Response header: JSON pointers to the distances that are impossible and were read as not recorded."""
BODY_TIMEOUT_SECONDS = 10.0
"""Time limit for a body to arrive: enough for a megabyte over a slow connection."""
MAX_INLINE_RIDES = 100
"""Limit for predicting on the event loop; more rides, at 6 µs each, would delay other requests."""
MAX_INLINE_BODY_BYTES = 1 << 14
"""Limit for decoding on the event loop; about as many rides."""


class _Route(NamedTuple):
    method: str
    """POST, or GET, which includes HEAD."""
    handle: Callable[[Request, str], Awaitable[Response]]
    """Called with the request and the model's name in its path, or ""."""


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
        self._bodies = BodyReader(max_body_bytes)
        self._admission = AdmissionControl()
        self._batcher = Batcher()
        predict, health = _Route("POST", self._predict), _Route("GET", self._health)
        ready = _Route("GET", self._model_ready)
        paths = {
            **dict.fromkeys((*PREDICT_PATHS, predict_route), predict),
            **dict.fromkeys((*HEALTH_PATHS, health_route), health),
            OPENAPI_PATH: _Route("GET", self._describe),
            "/v1/models": _Route("GET", self._list_models),
            "/v2": _Route("GET", self._server_metadata),
            "/v2/health/live": _Route("GET", self._server_live),
            "/v2/health/ready": _Route("GET", self._server_ready),
        }
        self._routes = {path.rstrip("/") or "/": route for path, route in paths.items() if path}
        # KServe, Triton and TensorFlow Serving put the model's name into the path; only one is served here.
        self._model_routes = (
            (re.compile(r"/v1/models/(.*):predict", re.DOTALL), predict),
            (re.compile(r"/v1/models/([^/:]+)"), ready),
            (re.compile(r"/v2/models/([^/]+)/infer"), predict),
            (re.compile(r"/v2/models/([^/]+)/ready"), ready),
            (re.compile(r"/v2/models/([^/]+)"), _Route("GET", self._model_metadata)),
        )

    async def handle(self, request: Request) -> Response:
        """Returns the response to one request."""
        set_trace(read_trace(request.headers))
        # Not request.url.path, which drops newlines: /predict%0A is a different path.
        route, name = self._find_route(request.scope["path"])
        if route is None:
            return problem_response(404, f"this path does not exist; {OPENAPI_PATH} lists all paths")
        if route.method == "POST" != request.method:
            return method_not_allowed_response("POST", f"send rides here with POST; see {OPENAPI_PATH}")
        if route.method == "GET" and request.method not in ("GET", "HEAD"):
            return method_not_allowed_response("GET, HEAD", "use GET here; predictions need POST to /predict")
        return await route.handle(request, name)

    def _find_route(self, path: str) -> tuple[_Route | None, str]:
        """The route of a path, with or without a slash at its end, and the model's name in it or ""."""
        if route := self._routes.get(path):
            return route, ""
        path = path.removesuffix("/")
        for pattern, route in self._model_routes:
            if found := pattern.fullmatch(path):
                return route, found[1]
        return self._routes.get(path), ""

    async def _predict(self, request: Request, name: str) -> Response:
        deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_SECONDS
        try:
            async with self._bodies.read(request, deadline) as body, self._admission:
                if encoding := request.headers.get("content-encoding"):
                    async with self._bodies.decompress(body, encoding) as content:
                        decoded = await self._decode(request, content, name)
                else:
                    decoded = await self._decode(request, body, name)
                model = await self._models.model()
                if len(decoded.rides) <= MAX_INLINE_RIDES:
                    predictions = await self._batcher.predict(model, decoded.rides)
                else:
                    predictions = await asyncio.to_thread(model.predict_rides, decoded.rides)
        except UnsupportedEncoding as error:
            response = problem_response(error.status, "the request body is compressed", error.problems)
            response.headers["accept-encoding"] = ", ".join(ENCODINGS)
            return response
        except InvalidRide as error:
            return problem_response(error.status, "the request body is invalid", error.problems)
        except IncompleteBody as error:
            return problem_response(408, "the request body is incomplete", (Problem("#", str(error)),))
        except Overloaded as error:
            return unavailable_response(error)
        except Unavailable as error:
            logger.error("no prediction", extra=fields(outcome="unavailable", reason=str(error)))
            return unavailable_response(error)
        response = json_response(decoded.encode(predictions))
        if decoded.repaired:
            response.headers[REPAIRED_HEADER] = ", ".join(decoded.repaired[:MAX_PROBLEMS])
        return response

    async def _decode(self, request: Request, body: bytearray, name: str) -> DecodedRequest:
        if name:
            require_json(request.headers)
        content_type = request.headers.get("content-type", "")
        if len(body) <= MAX_INLINE_BODY_BYTES:
            return decode_request(body, content_type, name)
        return await asyncio.to_thread(decode_request, body, content_type, name)

    async def _health(self, _request: Request, _name: str) -> Response:
        return await health_response(self._models)

    async def _describe(self, _request: Request, _name: str) -> Response:
        content = Path(__file__).with_name("openapi.json").read_bytes()
        return Response(content, media_type="application/json")

    async def _list_models(self, _request: Request, _name: str) -> Response:
        return await self._about_model(lambda model: {"models": [model.release.name]})

    async def _server_metadata(self, _request: Request, _name: str) -> Response:
        return json_response(SERVER_METADATA)

    async def _server_live(self, _request: Request, _name: str) -> Response:
        return json_response({"live": True})

    async def _server_ready(self, _request: Request, _name: str) -> Response:
        return await self._about_model(lambda _: {"ready": True})

    async def _model_ready(self, _request: Request, name: str) -> Response:
        return await self._about_model(lambda _: {"name": name, "ready": True})

    async def _model_metadata(self, _request: Request, name: str) -> Response:
        return await self._about_model(lambda model: model_metadata(name, model.version, model.target.target))

    async def _about_model(self, describe: Callable[[Model], dict[str, Any]]) -> Response:
        """A response about the model in service, or a 503 if there is none yet."""
        try:
            return json_response(describe(await self._models.model()))
        except ModelUnavailable as error:
            return unavailable_response(error)
