"""The model that every server of a run serves: trained and promoted as a person would do it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from functions.artifacts import LARGEST_FILE, ModelFolder, read_file
from functions.mlmodel import describe
from functions.model import Model, load_model
from functions.releases import Release, encode_release
from functions.resolver import resolve
from jobs.events.replay import RecordedRide, sample_rides
from jobs.local.bootstrap import CACHE
from jobs.local.cloud import POINTER
from jobs.local.emulators import BUCKET
from jobs.local.processes import Programs
from jobs.registry.model_store import write_whole
from jobs.settings import MODEL_NAME, Settings
from jobs.trips.download import find_trips


class Champion(NamedTuple):
    """A promoted model in both its formats, and rides to ask it about."""

    release: Release
    """With the folder of the MLflow model in ONNX."""
    scikit_learn: str
    """Folder of the MLflow model that the one in ONNX was made from."""
    model: Model
    """Loaded here: what it says is what every server must say."""
    columns: tuple[str, ...]
    """What it takes, by name."""
    rides: list[RecordedRide]
    month: str
    """The file of the last month, which they are from."""
    source: str
    """Whose rides they are."""


def train(
    programs: Programs, folder: Path, environment: dict[str, str], wanted: Sequence[str], rides: int
) -> Champion:
    """Trains on all months but the last, promotes, and takes rides from the last; without any server.

    Args:
        folder: existing; takes the tracking database and the bucket.
        wanted: places of trips, see `find_trips`.

    Raises:
        FileAccessError: the wanted trips are not to be had.
        PartFailed: the training or the promotion failed.
    """
    trips = find_trips(wanted, CACHE, folder)
    settings = Settings(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "bucket"))
    environment = environment | {
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "MODEL_BUCKET": settings.bucket,
    }
    *months, last = trips.files
    words = [f"--trips={month}" for month in months or [last]]
    for command in (["train", *words, *([f"--validate={last}"] if months else [])], ["promote"]):
        program = programs.start(command[0], [sys.executable, "-m", "jobs", *command], environment)
        try:
            program.finish()
        finally:
            programs.end(program)
    release = resolve(settings.pointer(MODEL_NAME))
    (pipeline,) = Path(settings.bucket).rglob("*.skops")
    columns = tuple(column.name for column in describe(ModelFolder(release)).columns)
    sample = sample_rides(trips.files, rides)
    return Champion(release, str(pipeline.parent), load_model(release), columns, sample, last, trips.source)


def release_to_storage(release: Release) -> str:
    """Copies a release into the Cloud Storage of STORAGE_EMULATOR_HOST; the address of its pointer there."""
    location = f"gs://{BUCKET}/{release.name}/{release.version}"
    for file in release.files:
        write_whole(f"{location}/{file.path}", read_file(release.location, file.path, LARGEST_FILE))
    write_whole(POINTER, encode_release(msgspec.structs.replace(release, location=location)))
    return POINTER
