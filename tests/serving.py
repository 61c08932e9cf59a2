"""The two functions as functions-framework serves them, called without a socket."""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
import pytest
from functions_framework.aio import create_asgi_app

from functions import app

T = TypeVar("T")


@contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Exactly these settings for a function made anew."""
    with pytest.MonkeyPatch.context() as patch:
        foreign = ("MODEL_", "AIP_", "LOG_", "MLFLOW_", "PUSH_", "PUBSUB_")
        for name in list(os.environ):
            if name.startswith(foreign) or name.endswith("_TOPIC"):
                patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        importlib.reload(app)
        yield
    importlib.reload(app)


def call(target: str, settings: dict[str, str], story: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """Runs `story` with a client of the function `target` under these settings."""

    async def run() -> T:
        transport = httpx.ASGITransport(create_asgi_app(target, "main.py"))
        async with httpx.AsyncClient(transport=transport, base_url="http://function") as client:
            return await story(client)

    with environment(settings):
        return asyncio.run(run())


def post(target: str, settings: dict[str, str], path: str, **request: Any) -> httpx.Response:
    """One POST to the function `target` under these settings."""
    return call(target, settings, lambda client: client.post(path, **request))
