import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.errors import ModelUnavailable
from functions.features import ride_columns
from functions.model import Model, load_model
from functions.model_manager import RETRY_SECONDS, Predictor
from functions.releases import Release, encode_release
from functions.resolver import resolve
from functions.rides import Ride
from functions.telemetry import logger
from jobs.registry.model_store import take_stock

RIDE = ride_columns([Ride(130, 205, 3.66)])


class Pointer:
    """A release pointer that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.looks = 0

    def resolve(self) -> Release:
        self.looks += 1
        return resolve(str(self.folder))


async def settled(predictor: Predictor) -> Model:
    """Asks until no look is under way, as later requests would."""
    model = await predictor.model()
    await asyncio.sleep(0.3)
    return await predictor.model() or model


def test_the_first_request_waits_for_the_model(onnx_folder: Path) -> None:
    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load_model, refresh_seconds=0)
        assert predictor.version == ""
        models = await asyncio.gather(*(predictor.model() for _ in range(20)))
        assert {id(model) for model in models} == {id(models[0])}
        assert pointer.looks == 1
        assert predictor.version == "onnx"

    asyncio.run(story())


def test_a_moved_release_is_swapped_in(onnx_folder: Path, other_onnx_folder: Path) -> None:
    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load_model, refresh_seconds=0.01)
        before = (await predictor.model()).predict(RIDE).item()
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        after = (await settled(predictor)).predict(RIDE).item()
        assert after == pytest.approx(before + 5, abs=0.5)
        assert predictor.version == "other"

    asyncio.run(story())


def test_a_refresh_delays_no_request(onnx_folder: Path, other_onnx_folder: Path) -> None:
    release_it = threading.Event()

    def load(release: Release) -> Model:
        if release.name == "other":
            release_it.wait(10)
        return load_model(release)

    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load, refresh_seconds=0.01)
        await predictor.model()
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        began = time.monotonic()
        versions = {(await predictor.model()).version for _ in range(50)}
        assert time.monotonic() - began < 0.1
        assert versions == {"onnx"}
        release_it.set()
        assert (await settled(predictor)).version == "other"

    asyncio.run(story())


def test_what_else_is_needed_is_begun_while_the_model_is_being_loaded(onnx_folder: Path) -> None:
    begun = threading.Event()

    def load(release: Release) -> Model:
        assert begun.wait(10)
        return load_model(release)

    async def begin() -> None:
        begun.set()

    async def story() -> None:
        predictor = Predictor(Pointer(onnx_folder).resolve, load, 0, begin)
        assert (await predictor.model()).version == "onnx"

    asyncio.run(story())


def test_a_model_comes_into_service_though_nothing_else_gets_ready(
    onnx_folder: Path,
    other_onnx_folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Another test's function may have configured the log.
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)

    async def fail() -> None:
        raise RuntimeError("no client")

    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load_model, 0.01, fail)
        assert (await predictor.model()).version == "onnx"
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        assert (await settled(predictor)).version == "other"

    asyncio.run(story())
    reasons = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert reasons == ["no client"] * 2, "it is begun with each model, and each failure is told"


def test_what_is_getting_ready_is_not_begun_again(onnx_folder: Path, other_onnx_folder: Path) -> None:
    begun = 0

    async def hang() -> None:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()

    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load_model, 0.01, hang)
        assert (await predictor.model()).version == "onnx"
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        assert (await settled(predictor)).version == "other"

    asyncio.run(story())
    assert begun == 1


def test_a_bad_release_is_refused_and_the_last_good_one_stays(
    onnx_folder: Path, other_onnx_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load_model, refresh_seconds=0.01)
        await predictor.model()
        pointer.folder = tmp_path
        await asyncio.sleep(0.02)
        assert (await settled(predictor)).version == "onnx"
        pointer.folder = other_onnx_folder
        await asyncio.sleep(0.02)
        assert (await settled(predictor)).version == "other"

    asyncio.run(story())


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


def _describe_otherwise(folder: Path) -> None:
    described = folder / "MLmodel"
    described.write_bytes(described.read_bytes().replace(b"maximum: 180.0", b"maximum: 999.0"))


@pytest.mark.parametrize(
    ("tamper", "repoint"),
    [
        (_cut, None),
        (_flip_a_bit, None),
        (_swap_model_and_example, None),
        (_describe_otherwise, None),
        (None, lambda pointer: pointer[: len(pointer) // 2]),
        (None, lambda pointer: pointer[: pointer.index(b'"files"')] + b'"files": []}'),
        (None, lambda pointer: pointer.replace(b'"model.onnx"', b'"../onnx/model.onnx"')),
        (None, lambda pointer: pointer.replace(b'"location": "', b'"location": "http://example.com')),
        (None, lambda _: b""),
    ],
)
def test_a_release_that_is_not_as_promoted_never_comes_into_service(
    onnx_folder: Path,
    other_onnx_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tamper: Callable[[Path], None] | None,
    repoint: Callable[[bytes], bytes] | None,
) -> None:
    """Each damage alone; and the release comes into service as soon as it is as promoted."""
    first, second = (
        shutil.copytree(onnx_folder, tmp_path / "1"),
        shutil.copytree(other_onnx_folder, tmp_path / "2"),
    )
    promoted = {
        folder.name: encode_release(
            Release(name="m", version=folder.name, location=str(folder), files=take_stock(str(folder)))
        )
        for folder in (first, second)
    }
    pointer = Pointer(tmp_path / "champion.json")
    pointer.folder.write_bytes(promoted["1"])

    async def story() -> None:
        predictor = Predictor(pointer.resolve, load_model, refresh_seconds=0.01)
        before = (await predictor.model()).predict(RIDE)
        if tamper:
            tamper(second)
        pointer.folder.write_bytes(repoint(promoted["2"]) if repoint else promoted["2"])
        await asyncio.sleep(0.02)
        looks = pointer.looks
        kept = await settled(predictor)
        assert pointer.looks > looks
        assert kept.version == "1"
        assert kept.predict(RIDE) == before
        shutil.copytree(other_onnx_folder, second, dirs_exist_ok=True)
        pointer.folder.write_bytes(promoted["2"])
        await settled(predictor)
        assert (await settled(predictor)).version == "2"

    asyncio.run(story())


def test_without_a_model_the_reason_is_given_and_the_next_try_may_succeed(
    onnx_folder: Path, tmp_path: Path
) -> None:
    async def story() -> None:
        pointer = Pointer(tmp_path)
        predictor = Predictor(pointer.resolve, load_model, refresh_seconds=60)
        for _ in range(5):
            with pytest.raises(ModelUnavailable, match="MLmodel"):
                await predictor.model()
        assert pointer.looks == 1, "a missing model is not asked for at every request"
        pointer.folder = onnx_folder
        await asyncio.sleep(RETRY_SECONDS)
        assert (await predictor.model()).version == "onnx"

    asyncio.run(story())


def test_whatever_a_model_throws_while_loading_is_survived(onnx_folder: Path) -> None:
    tries: Iterator[int] = iter(range(10))

    def load(release: Release) -> Model:
        if next(tries):
            raise RuntimeError("a bug in a foreign library")
        return load_model(release)

    async def story() -> None:
        pointer = Pointer(onnx_folder)
        predictor = Predictor(pointer.resolve, load, refresh_seconds=0.01)
        await predictor.model()
        pointer.folder = onnx_folder / ".." / "onnx"
        await asyncio.sleep(0.02)
        assert (await settled(predictor)).version == "onnx"

    asyncio.run(story())
