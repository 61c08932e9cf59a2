"""A month without a second core: what reading, features, the model and writing take of the time.

    python -m benchmarks.stages MODEL_FOLDER TRIPS OUTPUT

Prints the seconds of each as JSON. The steps are those of `jobs.scoring.run`, one after the other; the
features and the model are timed apart, as in `benchmarks.in_process`.
"""

import sys
import time
from datetime import date

import msgspec
import numpy as np

from functions.artifacts import ModelFolder
from functions.features import FeatureMatrix, Features
from functions.mlmodel import describe
from functions.model import load_model
from functions.onnx_model import open_session
from functions.registry import resolve
from jobs.scoring.run import BATCH_ROWS, writing_parquet
from jobs.scoring.trips import ScoredTrips
from jobs.trips import open_trips

STAGES = ("read", "features", "model", "write")


def measure(folder: str, trips: str, output: str) -> dict[str, float]:
    """Seconds of each of `STAGES`."""
    release = resolve(folder)
    model = load_model(release)
    files = ModelFolder(release)
    description = describe(files)
    session = open_session(files.read(str(description.flavors["onnx"]["data"])))
    name = session.get_inputs()[0].name
    matrix = FeatureMatrix([column.name for column in description.columns])
    seconds = dict.fromkeys(STAGES, 0.0)
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage] += now - clock
        clock = now

    with open_trips(trips) as file, writing_parquet(output) as predictions:
        subject = ScoredTrips(file, model, "green", date(2021, 3, 1))
        first = 0
        for batch in subject.batches(BATCH_ROWS):
            judged = subject.judge(batch, first)
            first += batch.num_rows
            places = np.flatnonzero(~np.logical_or.reduce(list(judged.faults.values())))
            table = judged.table(places)
            lap("read")
            assert isinstance(table, Features)
            features = matrix(table)
            lap("features")
            numbers = session.run(None, {name: features})[0].reshape(-1).astype(np.float64)
            lap("model")
            predictions.write(judged.predicted(places, numbers))
            lap("write")
    lap("write")
    return seconds


if __name__ == "__main__":
    print(msgspec.json.encode(measure(*sys.argv[1:])).decode())
