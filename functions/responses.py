"""HTTP responses of both functions: JSON, problem+json (RFC 9457), health."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from functions import __version__
from functions.errors import ModelUnavailable, Problem, Unavailable
from functions.model_manager import ModelManager

HEALTH_PATHS = frozenset({"/health", "/ping"})
"""Without /healthz, which Cloud Run answers itself."""

_encode = msgspec.json.Encoder().encode


def json_response(document: Any) -> Response:
    """A 200 with a JSON body."""
    return Response(_encode(document), media_type="application/json")


async def health_response(models: ModelManager) -> Response:
    """A 200 with the release in service and the one refused, if any, or a 503 if no model is loaded yet.

    Nothing in it names a bucket, a server or a file.
    """
    try:
        model = await models.model()
    except ModelUnavailable as error:
        return unavailable_response(error)
    document: dict[str, Any] = {
        "status": "ok",
        "model": model.release.name,
        "model_version": model.version,
        "ridecast": __version__,
        "in_service_since": _timestamp(models.status.in_service_since),
        "last_check_age_seconds": round(models.status.check_age(), 1),
    }
    if refused := models.status.refused:
        document["refused"] = {
            "model_version": refused.version or None,
            "reason": refused.reason,
            "since": _timestamp(refused.since),
        }
    return json_response(document)


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


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
    response = problem_response(503, error.public)
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
