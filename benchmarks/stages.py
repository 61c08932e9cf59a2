"""What of a month's scoring the model takes, and what everything else: processor time of all threads.

    python -m benchmarks.stages MODEL_FOLDER TRIPS OUTPUT

Runs `score` itself, with a session whose calls are timed, and prints the seconds as JSON.
"""

import sys
import threading
import time
from datetime import date
from typing import Any

import msgspec
import onnxruntime

from functions.artifacts import ModelFolder
from functions.mlmodel import describe
from functions.model import Model
from functions.onnx_model import OnnxScorer, open_session
from functions.resolver import resolve
from jobs.scoring.engine import score
from jobs.scoring.layout import Output
from jobs.scoring.trip_source import ScoredTrips
from jobs.trips.records import open_trips

MODEL, REST = "the model", "everything else"


class TimedSession:
    """A session that adds up the processor time of its calls."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self.seconds = 0.0
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *asked: Any) -> Any:
        """As the session's own, which works in the thread that calls it."""
        began = time.thread_time()
        answer = self._session.run(*asked)
        with self._lock:
            self.seconds += time.thread_time() - began
        return answer


def measure(folder: str, trips: str, output: str) -> dict[str, float]:
    """Seconds of `MODEL` and of `REST`."""
    release = resolve(folder)
    files = ModelFolder(release)
    description = describe(files)
    session = TimedSession(open_session(files.read(str(description.flavors["onnx"]["data"]))))
    columns = tuple(column.name for column in description.columns)
    model = Model(release, description.target, OnnxScorer(session, columns))
    began = time.process_time()
    with open_trips(trips) as file:
        subject = ScoredTrips(file, model, "green", date(2021, 3, 1))
        score(subject, model, Output(output, f"{output}.rejected"), lambda _: None)
    return {MODEL: session.seconds, REST: time.process_time() - began - session.seconds}


if __name__ == "__main__":
    print(msgspec.json.encode(measure(*sys.argv[1:])).decode())
