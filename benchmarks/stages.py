"""CPU time of scoring a month, of all threads: the model, and everything else.

    python -m benchmarks.stages MODEL_FOLDER TRIPS OUTPUT

Runs the code of `score` with a timed session, and prints the seconds as JSON.
"""

import sys
import threading
import time
from datetime import date
from typing import Any

import msgspec
import onnxruntime

from functions.artifacts import ModelFolder
from functions.mlmodel import read_description
from functions.model import Model
from functions.onnx_model import OnnxScorer, open_session
from functions.resolver import resolve
from jobs.scoring.engine import score_rows
from jobs.scoring.layout import OutputFiles
from jobs.scoring.trip_source import TripSource
from jobs.trips.records import open_trips

MODEL, REST = "the model", "everything else"


class TimedSession:
    """An inference session that adds up the CPU time of its calls."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self.seconds = 0.0
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *arguments: Any) -> Any:
        """Calls the session, which computes in the calling thread."""
        start = time.thread_time()
        outputs = self._session.run(*arguments)
        with self._lock:
            self.seconds += time.thread_time() - start
        return outputs


def measure(folder: str, trips: str, output: str) -> dict[str, float]:
    """CPU seconds by stage: `MODEL` and `REST`."""
    release = resolve(folder)
    files = ModelFolder(release)
    description = read_description(files)
    session = TimedSession(open_session(files.read(str(description.flavors["onnx"]["data"]))))
    columns = tuple(column.name for column in description.columns)
    model = Model(release, description.target, OnnxScorer(session, columns))
    start = time.process_time()
    with open_trips(trips) as file:
        source = TripSource(file, model, "green", date(2021, 3, 1))
        score_rows(source, model, OutputFiles(output, f"{output}.rejected"), lambda _: None)
    return {MODEL: session.seconds, REST: time.process_time() - start - session.seconds}


if __name__ == "__main__":
    print(msgspec.json.encode(measure(*sys.argv[1:])).decode())
