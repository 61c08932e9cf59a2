"""Rows 25 to 28: the model's store is down, releases are bad or move, the model fails in service."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from functions.artifacts import storage_client
from functions.model import load_model
from functions.releases import Release
from functions.rides import parse_ride_event
from jobs.local.emulators import BUCKET
from jobs.registry.model_store import atomic_write_bytes
from tests.faults.models import BREAKING_ZONE, Pointer, save_nan, save_raising, save_twice
from tests.faults.oracle import Event
from tests.faults.proxy import Proxy, between
from tests.faults.stage import Stage, good_events

Row = Callable[..., None]
LOOK_SECONDS = 1.5
"""Longer than the stage's functions take to see a release that has moved."""


@pytest.fixture
def bucket(storage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A folder of this test's own in the Cloud Storage emulator."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    storage_client.cache_clear()
    yield f"gs://{BUCKET}/{tmp_path.name}"
    storage_client.cache_clear()


@pytest.fixture
def store(storage: str) -> Iterator[Proxy]:
    """A proxy between the function and Cloud Storage."""
    host, _, port = storage.removeprefix("http://").partition(":")
    with between((host, int(port))) as proxy:
        yield proxy


def upload(folder: Path, place: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            atomic_write_bytes(f"{place}/{path.relative_to(folder)}", path.read_bytes())
    return place


def break_store(store: Proxy, how: str) -> Callable[[], None]:
    """Makes the store refuse or swallow everything; returns what mends it."""
    if how == "silent":
        store.silent = True
    upstream = store.upstream
    if how == "refusing":
        store.upstream = None

    def mend() -> None:
        store.upstream, store.silent = upstream, False

    return mend


@pytest.mark.parametrize("how", ["refusing", pytest.param("silent", marks=pytest.mark.long)])
def test_row_25_the_models_store_is_down_at_the_start(
    stage: Stage, row: Row, bucket: str, store: Proxy, onnx_folder: Path, how: str
) -> None:
    pointer = Pointer(f"{bucket}/champion.json")
    pointer.move("1", upload(onnx_folder, f"{bucket}/1"))
    mend = break_store(store, how)
    stage.start(ready=False, MODEL_URI=pointer.place, STORAGE_EMULATOR_HOST=f"http://{store.address}")
    stage.push()
    with stage.stream(good_events(60)), stage.fault():
        health = httpx.get(f"{stage.url}/health", timeout=20, trust_env=False)
        assert health.status_code == 503
        assert health.json()["detail"].startswith("no model is in service: ")
        assert not stage.predictions
        time.sleep(3)
        mend()
    row(25, f"the model's store is {how} at a cold start", stage)
    assert httpx.get(f"{stage.url}/health", timeout=20, trust_env=False).status_code == 200
    assert float(stage.recovery()) < 10


@pytest.mark.long
def test_row_26_bad_releases(stage: Stage, row: Row, onnx_folder: Path, tmp_path: Path) -> None:
    pointer = Pointer(str(tmp_path / "champion.json"))
    pointer.move("1", onnx_folder)
    stage.start(MODEL_URI=pointer.place)
    stage.push()
    for number, spoil in enumerate((corrupt, truncated, foreign, another_model, half_a_pointer, no_pointer)):
        bad = tmp_path / spoil.__name__
        shutil.copytree(onnx_folder, bad)
        spoil(pointer, bad)
        time.sleep(LOOK_SECONDS)
        stage.publish(good_events(10, first=10 * number))
        health = httpx.get(f"{stage.url}/health", timeout=20, trust_env=False).json()
        assert (health["model_version"], bool(health["refused"]["reason"])) == ("1", True)
    row(26, "releases that are corrupt, truncated, of foreign columns, swapped, or no releases", stage)
    assert {each.attributes["version"] for each in stage.predictions} == {"1"}
    assert stage.function.log.read_text().count('"release refused"') >= 6


def corrupt(pointer: Pointer, bad: Path) -> None:
    pointer.move("2", bad)
    graph = bytearray((bad / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (bad / "model.onnx").write_bytes(graph)


def truncated(pointer: Pointer, bad: Path) -> None:
    (bad / "model.onnx").write_bytes((bad / "model.onnx").read_bytes()[:-100])
    pointer.move("3", bad)


def foreign(pointer: Pointer, bad: Path) -> None:
    description = (bad / "MLmodel").read_text()
    (bad / "MLmodel").write_text(description.replace("zone_pair", "horoscope"))
    pointer.move("4", bad)


def another_model(pointer: Pointer, bad: Path) -> None:
    pointer.move("5", bad)
    save_twice(bad / "swapped")
    shutil.copy(bad / "swapped" / "model.onnx", bad / "model.onnx")


def half_a_pointer(pointer: Pointer, bad: Path) -> None:
    pointer.move("6", bad)
    pointer.write(Path(pointer.place).read_bytes()[:100])


def no_pointer(pointer: Pointer, bad: Path) -> None:
    Path(pointer.place).unlink()


def test_row_27_the_release_moves_in_mid_stream(
    stage: Stage,
    row: Row,
    bucket: str,
    storage: str,
    onnx_folder: Path,
    other_onnx_folder: Path,
    tmp_path: Path,
) -> None:
    pointer = Pointer(f"{bucket}/champion.json")
    bad = save_twice(tmp_path / "bad")
    folders = {"1": onnx_folder, "2": other_onnx_folder, "3": bad}
    places = {version: upload(folder, f"{bucket}/{version}") for version, folder in folders.items()}
    pointer.move("1", places["1"])
    stage.start(MODEL_URI=pointer.place, STORAGE_EMULATOR_HOST=storage)
    stage.push()
    events = good_events(300)
    with stage.stream(events, rate=30), stage.fault():
        for version in "2312":
            pointer.move(version, places[version])
            time.sleep(LOOK_SECONDS)
    row(27, "the release moves every 1.5 s, once to a bad model", stage)
    truth = {version: predicted(folders[version], events) for version in "12"}
    for each in stage.predictions:
        said = json.loads(each.data)
        assert each.attributes["version"] == said["version"]
        number = said["prediction"]["ride_duration"]
        assert number == truth[said["version"]][said["prediction"]["ride_id"]], "the number of its version"
    assert {each.attributes["version"] for each in stage.predictions} == {"1", "2"}


def predicted(folder: Path, events: list[Event]) -> list[float]:
    """What the model in a folder says of each event."""
    model = load_model(Release(name="ride-duration", version="", location=str(folder)))
    rides = [parse_ride_event(json.loads(event.data)).ride for event in events]
    return [each.value for each in model.predict_rides(rides)]


def breaking(event: Event) -> bool:
    """Whether its ride begins where the bad models fail."""
    zone: int = json.loads(event.data)["ride"]["PULocationID"]
    return zone >= BREAKING_ZONE


@pytest.mark.long
def test_row_28_the_model_raises_until_another_one_is_released(
    stage: Stage, row: Row, onnx_folder: Path, tmp_path: Path
) -> None:
    pointer = Pointer(str(tmp_path / "champion.json"))
    pointer.move("raises", save_raising(tmp_path / "raises"))
    stage.start(MODEL_URI=pointer.place)
    stage.push()
    events = good_events(40)
    stage.publish(events)
    with stage.fault():
        time.sleep(3)
        waiting = set(stage.verdict().lost)
        assert waiting == {str(event.ride_id) for event in events if breaking(event)}
        pointer.move("good", onnx_folder)
    row(28, "the model raises for some rides, until another is released", stage)


@pytest.mark.long
def test_row_28_the_model_gives_nan(stage: Stage, row: Row, tmp_path: Path) -> None:
    stage.start(MODEL_URI=str(save_nan(tmp_path / "nan")))
    stage.push()
    beyond = [
        event for event in good_events(60) if json.loads(event.data)["ride"]["PULocationID"] != BREAKING_ZONE
    ]
    stage.publish([event._replace(good=not breaking(event)) for event in beyond])
    row(28, "the model gives NaN for some rides", stage)
    assert {each.attributes["dead_letter_reason"] for each in stage.letters} == {"implausible_prediction"}


@pytest.mark.long
def test_row_28_the_model_gives_two_numbers_a_ride(
    stage: Stage, row: Row, onnx_folder: Path, tmp_path: Path
) -> None:
    pointer = Pointer(str(tmp_path / "champion.json"))
    pointer.move("1", onnx_folder)
    stage.start(MODEL_URI=pointer.place)
    stage.push()
    pointer.move("2", save_twice(tmp_path / "twice"))
    time.sleep(LOOK_SECONDS)
    stage.publish(good_events(20))
    row(28, "the model gives two numbers a ride: refused at its trial", stage)
    assert {each.attributes["version"] for each in stage.predictions} == {"1"}
