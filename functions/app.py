"""The one place where objects are made: the environment's settings become the two functions' parts.

Nothing is made before the first request, in the process that answers it: importing needs no environment,
and no client or thread has to survive the fork with which gunicorn starts its worker.
"""

import os
from collections.abc import Callable
from functools import cache, partial

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.authentication import TokenVerifier
from functions.errors import SettingsError
from functions.event_handler import Stream
from functions.model import load_model
from functions.model_manager import Begin, Predictor, nothing
from functions.predict_endpoint import Web
from functions.publisher import connect
from functions.push_endpoint import Push
from functions.resolver import resolve
from functions.responses import unavailable_response
from functions.settings import Settings
from functions.telemetry import logger


async def answer(request: Request) -> Response:
    """The HTTP function."""
    return await _answer(_web, request)


async def deliver(request: Request) -> Response:
    """The Pub/Sub function."""
    return await _answer(_push, request)


async def _answer(make: Callable[[], Web | Push], request: Request) -> Response:
    try:
        parts = make()
    except SettingsError as error:
        logger.critical(str(error))
        return unavailable_response(error)
    return await parts.answer(request)


@cache
def _web() -> Web:
    settings = _settings(streaming=False)
    return Web(_predictor(settings), settings.predict_route, settings.health_route, settings.largest_body)


@cache
def _push() -> Push:
    settings = _settings(streaming=True)
    predictions = connect(settings.predictions_topic, settings.pubsub_emulator)
    predictor = _predictor(settings, predictions.open)
    dead_letters = connect(settings.dead_letter_topic, settings.pubsub_emulator)
    verifier = (
        TokenVerifier(settings.push_audience, settings.push_service_account)
        if settings.push_audience
        else None
    )
    return Push(predictor, Stream(predictor, predictions, dead_letters), verifier)


def _settings(*, streaming: bool) -> Settings:
    telemetry.configure()
    settings = Settings.read(os.environ, streaming=streaming)
    telemetry.configure(settings.log_level, settings.project)
    return settings


def _predictor(settings: Settings, meanwhile: Begin = nothing) -> Predictor:
    return Predictor(
        partial(
            resolve,
            settings.model_uri,
            settings.tracking_uri,
            settings.tracking_token,
            settings.model_places,
        ),
        partial(load_model, allow_pickle=settings.allow_pickle),
        settings.refresh_seconds,
        meanwhile,
    )
