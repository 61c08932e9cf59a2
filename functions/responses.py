"""What both functions answer: JSON, problem+json (RFC 9457), health."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from functions.errors import ModelUnavailable, Problem, SettingsError, Unavailable
from functions.model_manager import Predictor

HEALTH_PATHS = frozenset({"/health", "/ping"})
"""Not /healthz, which Cloud Run answers itself."""

_encode = msgspec.json.Encoder().encode


def json_response(document: Any) -> Response:
    """200 with a document."""
    return Response(_encode(document), media_type="application/json")


async def health_response(predictor: Predictor) -> Response:
    """200 and the version in service, or 503 where there is none yet."""
    try:
        model = await predictor.model()
    except ModelUnavailable as error:
        return unavailable_response(error)
    return json_response({"status": "ok", "model": model.release.name, "model_version": model.version})


def problem_response(status: int, detail: str, problems: tuple[Problem, ...] = ()) -> Response:
    """An error in the form of RFC 9457.

    `error` and `errorMessage` repeat it for KServe's and BigQuery's clients, which show only those.
    """
    sentence = "; ".join(f"{problem.pointer} {problem.detail}" for problem in problems) or detail
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [{"pointer": p.pointer, "detail": p.detail} for p in problems],
        "error": sentence,
        "errorMessage": sentence,
    }
    return Response(_encode(document), status, media_type="application/problem+json")


def unavailable_response(error: Unavailable) -> Response:
    """A 503. What it says of buckets and topics is for the log; which setting is missing, for everybody."""
    detail = str(error) if isinstance(error, SettingsError) else "no prediction can be made now; try again"
    response = problem_response(503, detail)
    response.headers["retry-after"] = "1"
    return response


def unauthenticated_response() -> Response:
    """A 401: the same to all, whatever was wrong, so that nothing can be learned from it."""
    response = problem_response(401, "only the push subscription's own service account delivers here")
    response.headers["www-authenticate"] = "Bearer"
    return response


def wrong_method_response(allowed: str, detail: str) -> Response:
    """A 405 that says what is right."""
    response = problem_response(405, detail)
    response.headers["allow"] = allowed
    return response
