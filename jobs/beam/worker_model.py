"""The model that a worker process serves, kept current in the background as in the functions."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache, partial
from typing import Any, TypeVar

from functions.model import load_model
from functions.model_manager import ModelManager
from functions.releases import Release
from functions.resolver import resolve
from functions.settings import FunctionSettings

Result = TypeVar("Result")


def find_current_release(settings: FunctionSettings) -> Release:
    """The release that a function with these settings would serve now; ModelUnavailable if there is none."""
    return resolve(settings.model_uri, settings.tracking, settings.allowed_prefixes)


def create_model_manager(settings: FunctionSettings) -> ModelManager:
    """A model manager for the event loop of `run_in_event_loop`."""
    load = partial(load_model, allow_pickle=settings.allow_pickle, server=settings.tracking)
    return ModelManager(partial(find_current_release, settings), load, settings.refresh_seconds)


def run_in_event_loop(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine on the one event loop of this process, and waits for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ridecast", daemon=True).start()
    return loop
