"""HTTP responses of both functions: JSON, problem+json (RFC 9457), health."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from functions import __version__
from functions.errors import ModelUnavailable, Problem, SettingsError, Unavailable
from functions.model_manager import ModelManager

HEALTH_PATHS = frozenset({"/health", "/ping"})
"""Without /healthz, which Cloud Run answers itself."""

_encode = msgspec.json.Encoder().encode


def json_response(document: Any) -> Response:
    """A 200 with a JSON body."""
    return Response(_encode(document), media_type="application/json")


async def health_response(models: ModelManager) -> Response:
    """A 200 with the versions of model and service, or a 503 if no model is loaded yet."""
    try:
        model = await models.model()
    except ModelUnavailable as error:
        return unavailable_response(error)
    versions = {"model_version": model.version, "ridecast": __version__}
    return json_response({"status": "ok", "model": model.release.name, **versions})


def problem_response(status: int, detail: str, problems: tuple[Problem, ...] = ()) -> Response:
    """An error in the format of RFC 9457.

    `error` and `errorMessage` repeat it for the clients of KServe and BigQuery, which show only those.
    """
    summary = "; ".join(f"{problem.pointer} {problem.detail}" for problem in problems) or detail
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [{"pointer": p.pointer, "detail": p.detail} for p in problems],
        "error": summary,
        "errorMessage": summary,
    }
    return Response(_encode(document), status, media_type="application/problem+json")


def unavailable_response(error: Unavailable) -> Response:
    """A 503. It names missing settings, but buckets and topics appear only in the log."""
    detail = str(error) if isinstance(error, SettingsError) else "temporarily unavailable; try again soon"
    response = problem_response(503, detail)
    response.headers["retry-after"] = "1"
    return response


def unauthenticated_response() -> Response:
    """A 401, identical whatever was wrong, so that it discloses nothing."""
    response = problem_response(401, "only the push subscription's service account may deliver events")
    response.headers["www-authenticate"] = "Bearer"
    return response


def method_not_allowed_response(allowed: str, detail: str) -> Response:
    """A 405 with the allowed methods."""
    response = problem_response(405, detail)
    response.headers["allow"] = allowed
    return response
