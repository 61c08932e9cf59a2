"""The composition root: builds both functions' objects from the environment's settings.

Nothing is built before the first request, in the process that answers it: importing needs no environment, and
no client or thread has to survive the fork with which gunicorn starts its worker.
"""

import os
from collections.abc import Callable
from functools import cache, partial

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.authentication import TokenVerifier
from functions.errors import SettingsError
from functions.event_handler import EventHandler
from functions.model import load_model
from functions.model_manager import ModelManager, WarmUp
from functions.predict_endpoint import PredictEndpoint
from functions.publisher import MessagePublisher, create_publisher
from functions.push_endpoint import PushEndpoint
from functions.resolver import resolve
from functions.responses import unavailable_response
from functions.settings import FunctionSettings


async def handle_predict(request: Request) -> Response:
    """Answers one request to the HTTP function."""
    return await _handle(_predict_endpoint, request)


async def handle_push(request: Request) -> Response:
    """Answers one request to the Pub/Sub function."""
    return await _handle(_push_endpoint, request)


async def _handle(build: Callable[[], PredictEndpoint | PushEndpoint], request: Request) -> Response:
    try:
        endpoint = build()
    except SettingsError as error:
        telemetry.logger.critical(str(error))
        return unavailable_response(error)
    return await endpoint.handle(request)


@cache
def _predict_endpoint() -> PredictEndpoint:
    settings = _read_settings(streaming=False)
    models = _model_manager(settings)
    return PredictEndpoint(models, settings.predict_route, settings.health_route, settings.max_body_bytes)


@cache
def _push_endpoint() -> PushEndpoint:
    settings = _read_settings(streaming=True)
    predictions = _publisher("PREDICTIONS_TOPIC", settings.predictions_topic, settings)
    models = _model_manager(settings, predictions.open)
    dead_letters = _publisher("DEAD_LETTER_TOPIC", settings.dead_letter_topic, settings)
    audience, account = settings.push_audience, settings.push_service_account
    verifier = TokenVerifier(audience, account) if audience else None
    return PushEndpoint(models, EventHandler(models, predictions, dead_letters), verifier)


def _publisher(name: str, topic: str, settings: FunctionSettings) -> MessagePublisher:
    try:
        return create_publisher(topic, settings.pubsub_emulator)
    except SettingsError as error:
        raise SettingsError(f"{name}={error}") from error


def _read_settings(*, streaming: bool) -> FunctionSettings:
    telemetry.configure()
    settings = FunctionSettings.read(os.environ, streaming=streaming)
    telemetry.configure(settings.log_level, settings.project)
    return settings


def _model_manager(settings: FunctionSettings, warm_up: WarmUp | None = None) -> ModelManager:
    find_release = partial(resolve, settings.model_uri, settings.tracking, settings.allowed_prefixes)
    load = partial(load_model, allow_pickle=settings.allow_pickle, server=settings.tracking)
    return ModelManager(find_release, load, settings.refresh_seconds, warm_up)
