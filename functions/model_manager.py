"""Loads the model at the first request, checks for new releases, and swaps them in without interruption."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from functions.errors import ModelUnavailable, NoModel
from functions.gc_tuning import freeze_heap
from functions.model import Model
from functions.releases import Release
from functions.telemetry import fields, logger

FIRST_LOAD_SECONDS = 7.0
"""How long a request waits for the first model; Cloud Run kills an instance 10 s after SIGTERM."""
RETRY_SECONDS = 1.0
"""Pause between attempts to load a first model: one per second, not one per request."""

WarmUp = Callable[[], Awaitable[None]]


class _StillLoading(ModelUnavailable):
    cause = "it is still being loaded"


@dataclass(frozen=True)
class RefusedRelease:
    """A release that is not served, or could not be looked up."""

    version: str
    """Empty if it is not known."""
    reason: str
    """In words that any client may read."""
    since: datetime
    """When it was refused for the first time, UTC."""


@dataclass
class ReleaseStatus:
    """Which release is in service and which was refused."""

    in_service_since: datetime = datetime.max
    """UTC."""
    checked: float = 0.0
    """Monotonic time of the last check that found the release in service, or took a new one into service."""
    refused: RefusedRelease | None = None
    """By the last check; None if that succeeded."""

    def check_age(self) -> float:
        """Seconds since the last successful check."""
        return time.monotonic() - self.checked


class ModelManager:
    """Provides the model in service to the requests of one event loop, which never wait for a newer one.

    Args:
        resolve: returns the current release; may block and raise ModelUnavailable.
        load: loads and tests a release's model; may block and raise ModelUnavailable.
        refresh_seconds: interval between checks for a newer release; 0 disables them.
        warm_up: prepares what else requests need; started with each load of a model, unless still running.
            No model waits for it or fails with it.
    """

    def __init__(
        self,
        resolve: Callable[[], Release],
        load: Callable[[Release], Model],
        refresh_seconds: float,
        warm_up: WarmUp | None = None,
    ) -> None:
        self._resolve = resolve
        self._load = load
        self._refresh_seconds = refresh_seconds
        self._warm_up = warm_up
        self._model: Model | None = None
        self._release: Release | None = None
        self._next_refresh = 0.0
        self._refresh_task: asyncio.Task[None] | None = None
        self._warm_up_task: asyncio.Task[None] | None = None
        self._failure: Exception = _StillLoading("the model is still being loaded")
        self.status = ReleaseStatus()

    @property
    def version(self) -> str:
        """Version in service; empty before the first model is loaded."""
        return self._model.version if self._model else ""

    async def model(self) -> Model:
        """The model in service; raises ModelUnavailable with the cause if none has been loaded yet."""
        if self._is_refresh_due():
            self._refresh_task = asyncio.create_task(self._refresh())
        if self._model is None and self._refresh_task:
            # Unlike wait_for, asyncio.wait does not cancel the task, which later requests need.
            await asyncio.wait([self._refresh_task], timeout=FIRST_LOAD_SECONDS)
        if self._model is None:
            raise NoModel(self._failure)
        return self._model

    def _is_refresh_due(self) -> bool:
        refreshing = self._refresh_task and not self._refresh_task.done()
        if refreshing or (self._model and not self._refresh_seconds):
            return False
        return time.monotonic() >= self._next_refresh

    async def _refresh(self) -> None:
        """Loads a newer release, if there is one, and swaps it in; a failure changes nothing."""
        began = time.monotonic()
        release = None
        try:
            release = await asyncio.to_thread(self._resolve)
            if release != self._release:
                await self._swap_in(release, began)
            self.status.checked, self.status.refused = time.monotonic(), None
        except Exception as error:  # third-party models may raise anything; the current one stays in service
            self._note_refusal(release, error)
        finally:
            pause = self._refresh_seconds if self._model else RETRY_SECONDS
            self._next_refresh = time.monotonic() + pause

    async def _swap_in(self, release: Release, began: float) -> None:
        if self._warm_up and (self._warm_up_task is None or self._warm_up_task.done()):
            self._warm_up_task = asyncio.create_task(_run_warm_up(self._warm_up))
        model = await asyncio.to_thread(self._load, release)
        self._model, self._release = model, release
        self.status.in_service_since = datetime.now(UTC)
        freeze_heap()
        details = {"model": release.name, "model_version": model.version, "location": release.location}
        load_ms = round((time.monotonic() - began) * 1000)
        logger.info("model in service", extra=fields(**details, load_ms=load_ms))

    def _note_refusal(self, release: Release | None, error: Exception) -> None:
        self._failure = error
        version = release.version if release else ""
        reason = NoModel(error).cause
        before = self.status.refused
        repeated = before and (before.version, before.reason) == (version, reason)
        self.status.refused = before if repeated else RefusedRelease(version, reason, datetime.now(UTC))
        logger.error(
            "release refused",
            extra=fields(reason=str(error), refused_version=version, kept_version=self.version),
            exc_info=not isinstance(error, ModelUnavailable),
        )


async def _run_warm_up(warm_up: WarmUp) -> None:
    try:
        await warm_up()
    except Exception:  # requests that depend on it will report the failure again
        logger.exception("warm-up before the first request failed")
