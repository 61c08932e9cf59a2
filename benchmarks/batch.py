"""Batch scoring of a month: `score`, `beam`, the course's script and a limit, each as a whole process."""

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
from benchmarks.processes import run_to_end
from benchmarks.results import Sample
from benchmarks.servers import LIMITS, PEERS, model_environment, program
from benchmarks.workload import TOLERANCE_MINUTES, WrongResponse
from jobs.local.emulators import last_line
from jobs.trips.cleaning import clean_trips, read_trips
from jobs.trips.records import to_ride_columns

RIDECAST_SCORE = "**Ridecast** `score`"
RIDECAST_BEAM = "**Ridecast** `beam`, two processes"
RIDECAST_BEAM_START = "the same with one trip: Beam's start-up"
READ_WRITE = "reading and writing only"
COURSE_BATCH = "course: pandas script, scikit-learn"
COURSE_BATCH_ONNX = "course: pandas script, ONNX"
BATCH_PEERS = (COURSE_BATCH, COURSE_BATCH_ONNX)

Command = Callable[[Path, Path], Sequence[str]]
"""Trips and output file → the command line that scores one into the other."""


@dataclass(frozen=True)
class BatchProgram:
    """A program that scores a month."""

    name: str
    command: Command
    environment: dict[str, str] = field(default_factory=dict)
    tolerance: float | None = TOLERANCE_MINUTES
    """Minutes by which its predictions may differ from the model's; None if it makes none."""
    peer: str = ""
    one_trip: bool = False
    """Whether it scores the first trip only, which measures its start-up."""


def batch_programs(champion: Champion, *, peers: bool) -> list[BatchProgram]:
    """Ridecast, its limit, and the course's script."""
    model = champion.release.location

    def beam(trips: Path, output: Path) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "jobs", "beam", f"--trips={trips}", f"--output={output.with_suffix('')}"),
            *(f"--model={model}", "--direct_num_workers=2", "--direct_running_mode=multi_processing"),
        ]

    programs = [
        BatchProgram(
            RIDECAST_SCORE,
            lambda trips, output: [
                *(sys.executable, "-m", "jobs", "score", f"--trips={trips}", f"--output={output}"),
                f"--model={model}",
            ],
            tolerance=0,
        ),
        BatchProgram(RIDECAST_BEAM, beam, tolerance=0),
        BatchProgram(RIDECAST_BEAM_START, beam, tolerance=None, one_trip=True),
        BatchProgram(
            READ_WRITE,
            lambda trips, output: [sys.executable, f"{LIMITS}/read_write.py", str(trips), str(output)],
            tolerance=None,
        ),
    ]
    course = {COURSE_BATCH: champion.scikit_learn, COURSE_BATCH_ONNX: model}
    for name, folder in course.items() if peers else ():
        programs.append(
            BatchProgram(
                name,
                lambda trips, output: [
                    *(str(program("course_batch", "python")), f"{PEERS}/course_batch/score.py"),
                    *(str(trips), str(output)),
                ],
                model_environment(folder, champion),
                peer="course_batch",
            )
        )
    return programs


class BatchScoring:
    """Runs programs over one table of trips and checks their predictions.

    Args:
        rows: length of the table, which repeats the champion's last month.
    """

    def __init__(self, bench: Bench, champion: Champion, rows: int) -> None:
        self._bench = bench
        self._champion = champion
        self._trips = bench.folder / "green_tripdata_2021-03.parquet"
        month = pq.read_table(champion.month)
        pq.write_table(month.take(pa.array(np.arange(rows) % month.num_rows)), self._trips)
        self._one_trip = bench.folder / "one" / self._trips.name
        self._one_trip.parent.mkdir()
        pq.write_table(month.slice(0, 1), self._one_trip)
        trips = clean_trips(read_trips([str(self._trips)])).trips
        self._expected = champion.model.predict(to_ride_columns(trips))

    def sample(self, program: BatchProgram) -> Sample:
        """Runs a program once.

        Raises:
            ServiceFailed: it exited with an error.
            WrongResponse: its predictions are not the model's.
        """
        output = self._bench.folder / "scored.parquet"
        shutil.rmtree(output.with_suffix(""), ignore_errors=True)  # shards of the previous run
        trips = self._one_trip if program.one_trip else self._trips
        argv = [sys.executable, "-m", "benchmarks.timed", *program.command(trips, output)]
        measured = self._run(program.name, argv, program.environment)
        if program.tolerance is not None:
            self._check(output, program.tolerance)
        return Sample(
            {},
            total_seconds=measured["seconds"],
            cpu_seconds=measured["cpu_seconds"],
            peak_mb=measured["peak_mb"],
        )

    def stages(self) -> dict[str, float]:
        """CPU seconds of one run by stage, see `benchmarks.stages`."""
        folder, output = self._champion.release.location, self._bench.folder / "stages.parquet"
        argv = [sys.executable, "-m", "benchmarks.stages", folder, str(self._trips), str(output)]
        return self._run("stages", argv, {})

    def _run(self, name: str, argv: list[str], environment: dict[str, str]) -> dict[str, float]:
        variables = self._bench.server_environment() | environment
        log = run_to_end(self._bench.processes, f"batch {name}", argv, variables)
        return msgspec.json.decode(last_line(log), type=dict[str, float])

    def _check(self, output: Path, tolerance: float) -> None:
        # `score` writes one file, `beam` one for each shard.
        files = sorted(output.with_suffix("").glob("taxi_type=*/*/*/*.parquet")) or [output]
        column = pa.concat_tables(
            pq.read_table(file, columns=["predicted_duration"], partitioning=None) for file in files
        )
        minutes = column["predicted_duration"].to_numpy()
        if len(minutes) != len(self._expected):
            raise WrongResponse(f"it predicts {len(minutes):,} of {len(self._expected):,} rides")
        error = np.abs(minutes - self._expected).max()
        if not error <= tolerance:
            raise WrongResponse(f"its predictions are off by {error} minutes")
