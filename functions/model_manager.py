"""The model in service: loaded at first need, looked after, swapped whole, the last good one kept."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from functions.errors import ModelUnavailable
from functions.gc_tuning import settle
from functions.model import Model
from functions.releases import Release
from functions.telemetry import fields, logger

FIRST_LOAD_SECONDS = 7.0
"""How long a request waits for the first model; Cloud Run ends an instance 10 s after it says so."""
RETRY_SECONDS = 1.0
"""Between two tries for a first model: a missing one is asked for once a second, not once a request."""

Begin = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """All that there is to get ready beside the model."""


class Predictor:
    """Gives the model in service to requests of one event loop; never makes them wait for a newer one.

    Args:
        resolve: which release is current; may block and raise ModelUnavailable.
        load: a release's model, loaded and tried; may block and raise ModelUnavailable.
        refresh_seconds: between two looks for a newer release; 0 never looks.
        meanwhile: what else should be ready soon; begun while a model is being loaded, unless it is under
            way still. No model waits for it or fails with it.
    """

    def __init__(
        self,
        resolve: Callable[[], Release],
        load: Callable[[Release], Model],
        refresh_seconds: float,
        meanwhile: Begin = nothing,
    ) -> None:
        self._resolve = resolve
        self._load = load
        self._refresh_seconds = refresh_seconds
        self._meanwhile = meanwhile
        self._model: Model | None = None
        self._release: Release | None = None
        self._next_look = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._failure: Exception = ModelUnavailable("the model is still being loaded")

    @property
    def version(self) -> str:
        """Version in service; empty while there is none."""
        return self._model.version if self._model else ""

    async def model(self) -> Model:
        """The model in service.

        Raises:
            ModelUnavailable: there is none yet; the error says why.
        """
        if self._is_due():
            self._looking = asyncio.create_task(self._look())
        if self._model is None and self._looking:
            # asyncio.wait leaves the task running for the requests to come.
            await asyncio.wait([self._looking], timeout=FIRST_LOAD_SECONDS)
        if self._model is None:
            raise ModelUnavailable(str(self._failure))
        return self._model

    def _is_due(self) -> bool:
        if self._looking and not self._looking.done():
            return False
        if self._model and not self._refresh_seconds:
            return False
        return time.monotonic() >= self._next_look

    async def _look(self) -> None:
        """Looks for a newer release, loads it aside and swaps it in; whatever fails leaves all as it was."""
        began = time.monotonic()
        try:
            release = await asyncio.to_thread(self._resolve)
            if release != self._release:
                if self._preparing is None or self._preparing.done():
                    self._preparing = asyncio.create_task(self._prepare())
                model = await asyncio.to_thread(self._load, release)
                self._model, self._release = model, release
                settle()
                logger.info(
                    "model in service",
                    extra=fields(
                        model=release.name,
                        model_version=model.version,
                        location=release.location,
                        load_ms=round((time.monotonic() - began) * 1000),
                    ),
                )
        except Exception as error:  # a foreign model may raise anything; the one in service goes on
            self._failure = error
            logger.error(
                "release refused",
                extra=fields(reason=str(error), kept_version=self.version),
                exc_info=not isinstance(error, ModelUnavailable),
            )
        finally:
            pause = self._refresh_seconds if self._model else RETRY_SECONDS
            self._next_look = time.monotonic() + pause

    async def _prepare(self) -> None:
        try:
            await self._meanwhile()
        except Exception:  # whoever needs what did not get ready says so again
            logger.exception("not ready ahead of the first request")
