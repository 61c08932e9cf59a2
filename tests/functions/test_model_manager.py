import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from functions import model_manager
from functions.errors import ModelDamaged, ModelNotFound, ModelUnavailable
from functions.features import ride_columns
from functions.model import Model, load_model
from functions.model_manager import RETRY_SECONDS, ModelManager
from functions.releases import Release, encode_release
from functions.resolver import resolve
from functions.rides import Ride
from functions.telemetry import logger
from jobs.registry.model_store import build_manifest

RIDE = ride_columns([Ride(130, 205, 3.66)])


class MutableSource:
    """A source of releases that a test can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = 0

    def resolve(self) -> Release:
        self.calls += 1
        return resolve(str(self.folder))


async def refreshed(models: ModelManager) -> Model:
    """The model after the current refresh, as later requests get it."""
    model = await models.model()
    await asyncio.sleep(0.3)
    return await models.model() or model


def test_the_first_request_waits_for_the_model(onnx_folder: Path) -> None:
    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load_model, refresh_seconds=0)
        assert models.version == ""
        loaded = await asyncio.gather(*(models.model() for _ in range(20)))
        assert {id(model) for model in loaded} == {id(loaded[0])}
        assert pointer.calls == 1
        assert models.version == "onnx"

    asyncio.run(scenario())


def test_a_model_that_takes_long_is_said_to_be_loading(
    onnx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_manager, "FIRST_LOAD_SECONDS", 0.05)
    may_load = threading.Event()

    def load(release: Release) -> Model:
        may_load.wait(10)
        return load_model(release)

    async def scenario() -> None:
        models = ModelManager(MutableSource(onnx_folder).resolve, load, refresh_seconds=0)
        with pytest.raises(ModelUnavailable) as caught:
            await models.model()
        assert caught.value.public == "no model is in service: it is still being loaded; the log says more"
        may_load.set()
        await refreshed(models)

    asyncio.run(scenario())


def test_a_new_release_is_swapped_in(onnx_folder: Path, other_onnx_folder: Path) -> None:
    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load_model, refresh_seconds=0.01)
        before = (await models.model()).predict(RIDE).item()
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        after = (await refreshed(models)).predict(RIDE).item()
        assert after == pytest.approx(before + 5, abs=0.5)
        assert models.version == "other"

    asyncio.run(scenario())


@pytest.mark.alone
def test_a_refresh_delays_no_request(onnx_folder: Path, other_onnx_folder: Path) -> None:
    may_load = threading.Event()

    def load(release: Release) -> Model:
        if release.name == "other":
            may_load.wait(10)
        return load_model(release)

    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load, refresh_seconds=0.01)
        await models.model()
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        began = time.monotonic()
        versions = {(await models.model()).version for _ in range(50)}
        assert time.monotonic() - began < 0.1
        assert versions == {"onnx"}
        may_load.set()
        assert (await refreshed(models)).version == "other"

    asyncio.run(scenario())


def test_the_warm_up_runs_while_the_model_loads(onnx_folder: Path) -> None:
    started = threading.Event()

    def load(release: Release) -> Model:
        assert started.wait(10)
        return load_model(release)

    async def warm_up() -> None:
        started.set()

    async def scenario() -> None:
        models = ModelManager(MutableSource(onnx_folder).resolve, load, 0, warm_up)
        assert (await models.model()).version == "onnx"

    asyncio.run(scenario())


def test_a_failing_warm_up_is_logged_and_does_not_stop_a_model(
    onnx_folder: Path,
    other_onnx_folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A function in another test may have configured logging.
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)

    async def fail() -> None:
        raise RuntimeError("no client")

    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load_model, 0.01, fail)
        assert (await models.model()).version == "onnx"
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        assert (await refreshed(models)).version == "other"

    asyncio.run(scenario())
    reasons = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert reasons == ["no client"] * 2, "it is started with each model, and each failure is logged"


def test_a_running_warm_up_is_not_started_again(onnx_folder: Path, other_onnx_folder: Path) -> None:
    started = 0

    async def hang() -> None:
        nonlocal started
        started += 1
        await asyncio.Event().wait()

    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load_model, 0.01, hang)
        assert (await models.model()).version == "onnx"
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        assert (await refreshed(models)).version == "other"

    asyncio.run(scenario())
    assert started == 1


def test_an_invalid_release_is_rejected_and_the_current_model_stays(
    onnx_folder: Path, other_onnx_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load_model, refresh_seconds=0.01)
        await models.model()
        pointer.folder = tmp_path
        await asyncio.sleep(0.02)
        assert (await refreshed(models)).version == "onnx"
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        assert (await refreshed(models)).version == "other"

    asyncio.run(scenario())


def _cut(folder: Path) -> None:
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])


def _flip_a_bit(folder: Path) -> None:
    model = folder / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)


def _swap_model_and_example(folder: Path) -> None:
    (folder / "model.onnx").write_bytes((folder / "input_example.json").read_bytes())


def _change_description(folder: Path) -> None:
    mlmodel = folder / "MLmodel"
    mlmodel.write_bytes(mlmodel.read_bytes().replace(b"maximum: 180.0", b"maximum: 999.0"))


@pytest.mark.parametrize(
    ("tamper", "change_pointer"),
    [
        (_cut, None),
        (_flip_a_bit, None),
        (_swap_model_and_example, None),
        (_change_description, None),
        (None, lambda pointer: pointer[: len(pointer) // 2]),
        (None, lambda pointer: pointer[: pointer.index(b'"files"')] + b'"files": []}'),
        (None, lambda pointer: pointer.replace(b'"model.onnx"', b'"../onnx/model.onnx"')),
        (None, lambda pointer: pointer.replace(b'"location": "', b'"location": "http://example.com')),
        (None, lambda _: b""),
    ],
)
def test_a_tampered_release_is_never_served(
    onnx_folder: Path,
    other_onnx_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tamper: Callable[[Path], None] | None,
    change_pointer: Callable[[bytes], bytes] | None,
) -> None:
    """A tampered release is not served, but is as soon as it is restored."""
    first, second = (
        shutil.copytree(onnx_folder, tmp_path / "1"),
        shutil.copytree(other_onnx_folder, tmp_path / "2"),
    )
    pointers = {
        folder.name: encode_release(
            Release(name="m", version=folder.name, location=str(folder), files=build_manifest(str(folder)))
        )
        for folder in (first, second)
    }
    pointer = MutableSource(tmp_path / "champion.json")
    pointer.folder.write_bytes(pointers["1"])

    async def scenario() -> None:
        models = ModelManager(pointer.resolve, load_model, refresh_seconds=0.01)
        before = (await models.model()).predict(RIDE)
        if tamper:
            tamper(second)
        pointer.folder.write_bytes(change_pointer(pointers["2"]) if change_pointer else pointers["2"])
        await asyncio.sleep(0.02)
        calls = pointer.calls
        kept = await refreshed(models)
        assert pointer.calls > calls
        assert kept.version == "1"
        assert kept.predict(RIDE) == before
        shutil.copytree(other_onnx_folder, second, dirs_exist_ok=True)
        pointer.folder.write_bytes(pointers["2"])
        await refreshed(models)
        assert (await refreshed(models)).version == "2"

    asyncio.run(scenario())


def test_a_missing_model_is_reported_and_retried_once_a_second(onnx_folder: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        pointer = MutableSource(tmp_path)
        models = ModelManager(pointer.resolve, load_model, refresh_seconds=60)
        for _ in range(5):
            with pytest.raises(ModelUnavailable, match="MLmodel"):
                await models.model()
        assert pointer.calls == 1, "a missing model is not resolved again for each request"
        pointer.folder = onnx_folder
        await asyncio.sleep(RETRY_SECONDS)
        assert (await models.model()).version == "onnx"

    asyncio.run(scenario())


def test_the_status_says_which_release_was_refused_and_since_when(
    onnx_folder: Path, other_onnx_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        first = Release(name="m", version="1", location=str(onnx_folder))
        second = Release(
            name="m", version="2", location=str(other_onnx_folder), files=build_manifest(str(onnx_folder))
        )
        current: list[Release | Exception] = [first]

        def resolve() -> Release:
            if isinstance(current[-1], Exception):
                raise current[-1]
            return current[-1]

        models = ModelManager(resolve, load_model, refresh_seconds=0.01)
        began = datetime.now(UTC)
        await models.model()
        assert models.status.refused is None
        in_service_since = models.status.in_service_since
        assert began <= in_service_since <= datetime.now(UTC)

        current.append(second)
        refused = None
        for _ in range(3):
            await asyncio.sleep(0.02)
            await refreshed(models)
            refused = refused or models.status.refused
        assert refused
        assert (refused.version, refused.reason) == ("2", ModelDamaged.cause)
        assert models.status.refused == refused, (
            "since the first time, although it is refused again and again"
        )
        assert models.status.in_service_since == in_service_since
        assert models.status.check_age() > 0.9

        for failure, reason in (
            (ModelNotFound("gs://secret"), ModelNotFound.cause),
            (RuntimeError("secret"), "loading it failed"),
        ):
            current.append(failure)
            await asyncio.sleep(0.02)
            await refreshed(models)
            assert models.status.refused
            assert (models.status.refused.version, models.status.refused.reason) == ("", reason)
            assert models.status.refused.since > refused.since

        current.append(first)
        await asyncio.sleep(0.02)
        await refreshed(models)
        assert models.status.refused is None
        assert models.status.check_age() < 0.9
        assert models.status.in_service_since == in_service_since

    asyncio.run(scenario())


def test_any_exception_while_loading_keeps_the_current_model(onnx_folder: Path) -> None:
    tries: Iterator[int] = iter(range(10))

    def load(release: Release) -> Model:
        if next(tries):
            raise RuntimeError("a bug in a third-party library")
        return load_model(release)

    async def scenario() -> None:
        pointer = MutableSource(onnx_folder)
        models = ModelManager(pointer.resolve, load, refresh_seconds=0.01)
        await models.model()
        pointer.folder = onnx_folder / ".." / "onnx"
        await asyncio.sleep(0.02)
        assert (await refreshed(models)).version == "onnx"

    asyncio.run(scenario())
