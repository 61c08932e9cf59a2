"""A month at once: `score`, the course's way and the limit, each as a whole process."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bench import Bench
from benchmarks.champion import Champion
from benchmarks.questions import SAME_MINUTES, WrongAnswer
from benchmarks.results import Sample
from benchmarks.servers import LIMITS, PEERS, model_settings, program
from jobs.local.emulators import last_line
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import columns_of

RIDECAST_SCORE = "**Ridecast** `score`"
RIDECAST_BEAM = "**Ridecast** `beam`, two processes"
RIDECAST_BEAM_START = "the same with one trip: Beam's start"
READ_WRITE = "reading and writing alone"
COURSE_BATCH = "the course's way, scikit-learn"
COURSE_BATCH_ONNX = "the course's way, ONNX"
PEERS_OVER_MONTHS = (COURSE_BATCH, COURSE_BATCH_ONNX)

Command = Callable[[Path, Path], Sequence[str]]
"""The words that score a month into a file."""


@dataclass(frozen=True)
class Way:
    """A program that scores a month."""

    name: str
    command: Command
    environment: dict[str, str] = field(default_factory=dict)
    most: float | None = SAME_MINUTES
    """Minutes by which its predictions may differ from the model's; None where it makes none."""
    peer: str = ""
    one_trip: bool = False
    """Whether it is given the first trip alone, to tell what its start takes."""


def ways(champion: Champion, *, peers: bool) -> list[Way]:
    """Ridecast, the limit, and what the course does."""
    model = champion.release.location

    def beam(trips: Path, output: Path) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "jobs", "beam", f"--trips={trips}", f"--output={output.with_suffix('')}"),
            *(f"--model={model}", "--direct_num_workers=2", "--direct_running_mode=multi_processing"),
        ]

    chosen = [
        Way(
            RIDECAST_SCORE,
            lambda trips, output: [
                *(sys.executable, "-m", "jobs", "score", f"--trips={trips}", f"--output={output}"),
                f"--model={model}",
            ],
            most=0,
        ),
        Way(RIDECAST_BEAM, beam, most=0),
        Way(RIDECAST_BEAM_START, beam, most=None, one_trip=True),
        Way(
            READ_WRITE,
            lambda trips, output: [sys.executable, f"{LIMITS}/read_write.py", str(trips), str(output)],
            most=None,
        ),
    ]
    course = {COURSE_BATCH: champion.scikit_learn, COURSE_BATCH_ONNX: model}
    for name, folder in course.items() if peers else ():
        chosen.append(
            Way(
                name,
                lambda trips, output: [
                    *(str(program("course_batch", "python")), f"{PEERS}/course_batch/score.py"),
                    *(str(trips), str(output)),
                ],
                model_settings(folder, champion),
                peer="course_batch",
            )
        )
    return chosen


class Months:
    """A table of trips, and what every way makes of it.

    Args:
        rows: of the table, which repeats the champion's last month.
    """

    def __init__(self, bench: Bench, champion: Champion, rows: int) -> None:
        self._bench = bench
        self._champion = champion
        self.rows = rows
        self._trips = bench.folder / "green_tripdata_2021-03.parquet"
        month = pq.read_table(champion.month)
        pq.write_table(month.take(pa.array(np.arange(rows) % month.num_rows)), self._trips)
        self._one_trip = bench.folder / "one" / self._trips.name
        self._one_trip.parent.mkdir()
        pq.write_table(month.slice(0, 1), self._one_trip)
        kept = clean_trips(read_trips([str(self._trips)])).trips
        self._expected = champion.model.predict(columns_of(kept))

    def sample(self, way: Way) -> Sample:
        """One run.

        Raises:
            PartFailed: it ended with an error.
            WrongAnswer: its predictions are not the model's.
        """
        output = self._bench.folder / "scored.parquet"
        shutil.rmtree(output.with_suffix(""), ignore_errors=True)  # the shards of a run before
        trips = self._one_trip if way.one_trip else self._trips
        words = [sys.executable, "-m", "benchmarks.timed", *way.command(trips, output)]
        took = msgspec.json.decode(self._run(way.name, words, way.environment), type=dict[str, float])
        if way.most is not None:
            self._check(output, way.most)
        return Sample(
            {},
            whole_seconds=took["seconds"],
            cpu_seconds=took["cpu_seconds"],
            peak_mb=took["peak_mb"],
        )

    def stages(self) -> dict[str, float]:
        """Processor time of one run, see `benchmarks.stages`."""
        folder, output = self._champion.release.location, self._bench.folder / "stages.parquet"
        words = [sys.executable, "-m", "benchmarks.stages", folder, str(self._trips), str(output)]
        return msgspec.json.decode(self._run("stages", words, {}), type=dict[str, float])

    def _run(self, name: str, words: list[str], environment: dict[str, str]) -> str:
        programs = self._bench.programs
        ran = programs.start(f"batch {name}", words, self._bench.surroundings() | environment)
        try:
            ran.finish()
        finally:
            programs.end(ran)
        return last_line(ran.log)

    def _check(self, output: Path, most: float) -> None:
        # One file, or in the layout's folders as many as there are shards.
        files = sorted(output.with_suffix("").glob("taxi_type=*/*/*/*.parquet")) or [output]
        column = pa.concat_tables(
            pq.read_table(file, columns=["predicted_duration"], partitioning=None) for file in files
        )
        numbers = column["predicted_duration"].to_numpy()
        if len(numbers) != len(self._expected):
            raise WrongAnswer(f"it predicts {len(numbers):,} of {len(self._expected):,} rides")
        off = np.abs(numbers - self._expected).max()
        if not off <= most:
            raise WrongAnswer(f"its predictions are off by {off} minutes")
