"""The model that every server of a run serves, trained and promoted with the project's own commands."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.processes import run_to_end
from functions.artifacts import MAX_FILE_BYTES, ModelFolder, read_file
from functions.mlmodel import read_description
from functions.model import Model, load_model
from functions.releases import Release, encode_release
from functions.resolver import resolve
from jobs.events.replay import RecordedRide, sample_rides
from jobs.local.bootstrap import CACHE
from jobs.local.emulators import BUCKET
from jobs.local.environment import POINTER
from jobs.local.processes import ProcessGroup
from jobs.registry.model_store import atomic_write_bytes
from jobs.settings import MODEL_NAME, Settings
from jobs.trips.download import find_trips


class Champion(NamedTuple):
    """A promoted model in both its formats, and rides for requests."""

    release: Release
    """Its location is the folder of the MLflow model in ONNX."""
    scikit_learn: str
    """Folder of the scikit-learn MLflow model that the ONNX model was exported from."""
    model: Model
    """Loaded in this process: every server must return its predictions."""
    columns: tuple[str, ...]
    """Names of its input columns."""
    rides: list[RecordedRide]
    month: str
    """Path of the last month, from which the rides are sampled."""
    source: str
    """Where the trips come from, in one line."""


def train(
    processes: ProcessGroup, folder: Path, environment: dict[str, str], trips: Sequence[str], rides: int
) -> Champion:
    """Trains on all months but the last, promotes, and samples rides from the last; needs no server.

    Args:
        folder: an existing folder for the tracking database and the bucket.
        trips: URIs of months, see `find_trips`.

    Raises:
        FileAccessError: the trips cannot be read.
        ServiceFailed: the training or the promotion failed.
    """
    files, source = find_trips(trips, CACHE)
    settings = Settings(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "bucket"))
    environment = environment | {
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "MODEL_BUCKET": settings.bucket,
    }
    *months, last = files
    options = [f"--trips={month}" for month in months or [last]]
    for command in (["train", *options, *([f"--validate={last}"] if months else [])], ["promote"]):
        run_to_end(processes, command[0], [sys.executable, "-m", "jobs", *command], environment)
    release = resolve(settings.pointer(MODEL_NAME))
    (pipeline,) = Path(settings.bucket).rglob("*.skops")
    columns = tuple(column.name for column in read_description(ModelFolder(release)).columns)
    sample = sample_rides(files, rides)
    return Champion(release, str(pipeline.parent), load_model(release), columns, sample, last, source)


def copy_release_to_storage(release: Release) -> str:
    """Copies a release to the emulator at STORAGE_EMULATOR_HOST, and returns the URI of its pointer there."""
    location = f"gs://{BUCKET}/{release.name}/{release.version}"
    for file in release.files:
        atomic_write_bytes(f"{location}/{file.path}", read_file(release.location, file.path, MAX_FILE_BYTES))
    atomic_write_bytes(POINTER, encode_release(msgspec.structs.replace(release, location=location)))
    return POINTER
