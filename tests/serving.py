"""Runs the two functions in functions-framework's ASGI app, without a socket."""

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
    """Sets exactly these settings for a newly built function."""
    with pytest.MonkeyPatch.context() as patch:
        prefixes = ("MODEL_", "AIP_", "LOG_", "MLFLOW_", "PUSH_", "PUBSUB_")
        for name in list(os.environ):
            if name.startswith(prefixes) or name.endswith("_TOPIC"):
                patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        importlib.reload(app)
        yield
    importlib.reload(app)


def call(target: str, settings: dict[str, str], scenario: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """Runs `scenario` with a client of the function `target` configured with `settings`."""

    async def run() -> T:
        transport = httpx.ASGITransport(create_asgi_app(target, "main.py"))
        async with httpx.AsyncClient(transport=transport, base_url="http://function") as client:
            return await scenario(client)

    with environment(settings):
        return asyncio.run(run())


def post(target: str, settings: dict[str, str], path: str, **request: Any) -> httpx.Response:
    """Sends one POST request to the function `target` configured with `settings`."""
    return call(target, settings, lambda client: client.post(path, **request))
