"""Behaviour of functions-framework that the design depends on; an upgrade could change it."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import functions_framework
import httpx
import pytest
from functions_framework import aio

PUSH = {"content-type": "application/json"}


async def send(app: Any, method: str, path: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://function") as client:
        return await client.request(method, path, **request)


@pytest.fixture
def cloud_event_function(tmp_path: Path) -> Any:
    """A function with the framework's own CloudEvent signature, which ours deliberately do not use."""
    source = tmp_path / "main.py"
    source.write_text(
        "import functions_framework.aio\n"
        "@functions_framework.aio.cloud_event\n"
        "async def handle(event):\n"
        "    pass\n"
    )
    return aio.create_asgi_app("handle", str(source))


@pytest.mark.parametrize(
    "body", [b'{"message": {"attributes": {}}, "subscription": "s"}', b"nope", b"\xff"], ids=repr
)
def test_the_frameworks_event_signature_rejects_malformed_events_before_our_code_runs(
    cloud_event_function: Any, body: bytes
) -> None:
    """This is why `predict_event` is an HTTP function: rejected events would be redelivered forever."""
    response = asyncio.run(send(cloud_event_function, "POST", "/", content=body, headers=PUSH))
    assert response.status_code >= 400


@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_both_targets_are_found_as_async_functions_without_a_flag(target: str) -> None:
    app = functions_framework.create_app(target, "main.py")
    assert type(app).__module__.startswith("starlette"), "Flask handles a fifth of the requests"


@pytest.mark.parametrize("signature", ["http", "cloudevent", "event"])
def test_the_decorator_overrides_the_signature_type_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    monkeypatch.setenv("FUNCTION_SIGNATURE_TYPE", signature)
    app = aio.create_asgi_app("predict_event", "main.py", signature)
    assert asyncio.run(send(app, "POST", "/", content=b"nope")).status_code == 503, (
        "answered by our code: settings are missing"
    )


@pytest.mark.parametrize("path", ["/robots.txt", "/favicon.ico"])
def test_the_framework_answers_two_paths_itself(path: str) -> None:
    app = aio.create_asgi_app("predict", "main.py")
    assert asyncio.run(send(app, "GET", path)).status_code == 404


def test_a_bug_gives_a_500_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "main.py"
    source.write_text(
        "import functions_framework.aio\n"
        "@functions_framework.aio.http\n"
        "async def handle(request):\n"
        "    raise RuntimeError('a bug')\n"
    )
    response = asyncio.run(send(aio.create_asgi_app("handle", str(source)), "GET", "/"))
    assert response.status_code == 500
    assert "a bug" in caplog.text


def test_importing_main_needs_no_environment_model_or_cloud() -> None:
    script = "import main, sys; print(main.predict.__name__, main.predict_event.__name__)"
    run = subprocess.run([sys.executable, "-c", script], env={}, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["predict", "predict_event"]


def test_no_installed_package_shadows_ours() -> None:
    """The framework appends the source folder to sys.path, so an installed `functions` would win."""
    script = "import importlib.util as u; print([n for n in ('functions', 'jobs') if u.find_spec(n)])"
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
