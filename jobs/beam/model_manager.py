"""The model in service in a worker, as in the functions: looked after, swapped, the last good one kept."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache, partial
from typing import Any, TypeVar

from functions.model import Model, load_model
from functions.model_manager import Predictor
from functions.releases import Release
from functions.resolver import resolve
from functions.settings import Settings

Result = TypeVar("Result")


def find(settings: Settings) -> Release:
    """The release that a function with these settings would serve now.

    Raises:
        ModelUnavailable: there is none.
    """
    return resolve(settings.model_uri, settings.tracking_uri, settings.tracking_token, settings.model_places)


class Service:
    """Gives the model in service to any thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self._predictor = Predictor(
            partial(find, settings),
            partial(load_model, allow_pickle=settings.allow_pickle),
            settings.refresh_seconds,
        )

    def model(self) -> Model:
        """The model in service; newer ones are looked for beside.

        Raises:
            ModelUnavailable: there is none yet.
        """
        return in_loop(self._predictor.model())


def in_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Does work on this process's one event loop, and waits for it."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ridecast", daemon=True).start()
    return loop
