"""A benchmark run: in every round each server is started, checked and loaded, one at a time."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec

from benchmarks import batch, emulator, servers
from benchmarks.batch import BatchProgram, BatchScoring
from benchmarks.bench import Bench, RunningServer, check, post
from benchmarks.champion import Champion
from benchmarks.events import check_predictions, new_topics, topic_environment
from benchmarks.memory import pss_mb
from benchmarks.processes import run_to_end
from benchmarks.results import Results, Row, Sample
from benchmarks.servers import Server
from benchmarks.workload import EVENT, RIDE, Workload, WorkloadWriter
from benchmarks.wrk import Wrk
from functions.errors import RidecastError
from functions.model import PROBE_RIDES
from jobs.local.emulators import last_line
from jobs.local.processes import ServiceFailed
from jobs.local.topics import Topics

CONNECTIONS = (1, 8, 32)
CHECKED = 100
"""Requests whose responses are checked before a load; memory is read after them."""
EVENT_COUNT = 20_000
"""Different events in a load, which is more than a server handles in its time."""
MESSAGES_PER_CALL = (1, 100)
"""In a publish call, for the emulator's limits."""


class Plan(NamedTuple):
    """The extent of a run."""

    rounds: int
    seconds: int
    """Duration of each load."""
    peers: bool
    """Whether other tools are measured."""
    rows: int
    """Length of the table for batch scoring."""
    documents: bool
    """Whether docs/performance.md and the figures quoted elsewhere are written."""


FULL = Plan(rounds=5, seconds=3, peers=True, rows=1_000_000, documents=True)
SHORT = Plan(rounds=1, seconds=1, peers=False, rows=100_000, documents=False)


@dataclass
class MeasuredServer:
    """A server, its row of results and its requests."""

    server: Server
    row: Row
    workload: Workload

    @property
    def handles_events(self) -> bool:
        """Whether it receives ride events and publishes predictions."""
        return self.server.format is EVENT


class BenchmarkRun:
    """Measures everything that the plan includes.

    Args:
        pointer: `gs://` URI of the champion's release pointer.
    """

    def __init__(self, bench: Bench, wrk: Wrk, plan: Plan, champion: Champion, pointer: str) -> None:
        self._bench = bench
        self._screen = bench.screen
        self._wrk = wrk
        self._plan = plan
        self._champion = champion
        self._workloads = WorkloadWriter(champion, bench.folder)
        models = bench.folder / "models"
        models.mkdir()
        selected = [servers.ridecast(pointer), *servers.limits()]
        if plan.peers:
            selected += servers.peers(champion, models)
        self._emulator_rows = []
        if bench.addresses.emulator:
            selected += [servers.ridecast_events(pointer)]
            selected += servers.plain_events(champion) if plan.peers else []
            self._emulator_rows = [Row(f"emulator only, {count} per call") for count in MESSAGES_PER_CALL]
        self._batch = BatchScoring(bench, champion, plan.rows)
        programs = batch.batch_programs(champion, peers=plan.peers)
        self._batch_programs = [(program, Row(program.name)) for program in programs]
        self._entries = [self._entry(server) for server in selected]

    def _entry(self, server: Server) -> MeasuredServer:
        count = EVENT_COUNT if server.format is EVENT else CHECKED
        return MeasuredServer(server, Row(server.name), self._workloads.write(server.format, count))

    def measure(self) -> Results:
        """Runs all rounds; what fails is skipped from then on, and its row has the reason."""
        for entry in self._entries:
            self._try(entry.row, partial(self._prepare, entry))
        for program, row in self._batch_programs:
            if program.peer:
                self._try(row, partial(self._bench.install, program.peer))
        batch_rows = [row for _, row in self._batch_programs]
        results = Results([entry.row for entry in self._entries], self._emulator_rows, batch_rows)
        for number in range(self._plan.rounds):
            with self._screen.step(f"round {number + 1} of {self._plan.rounds}") as step:
                for entry in self._entries:
                    step.detail = entry.server.name
                    self._try(entry.row, partial(self._sample, entry))
                for program, row in self._batch_programs:
                    step.detail = program.name
                    self._try(row, partial(self._sample_batch, program, row))
                if self._emulator_rows:
                    step.detail = "emulator only"
                    self._sample_emulator()
                step.detail = "one ride in process"
                results.in_process.append(self._in_process())
                step.detail = "stages of batch scoring"
                results.stages.append(self._batch.stages())
                step.detail = "all started, checked and loaded"
        return results

    def _try(self, row: Row, measure: Callable[[], object]) -> None:
        if row.failure:
            return
        try:
            measure()
        except RidecastError as error:
            detail = f" ({last_line(error.log)})" if isinstance(error, ServiceFailed) else ""
            row.failure = f"{error}{detail}"
            self._screen.print(f"  {row.name}: {row.failure}")

    def _prepare(self, entry: MeasuredServer) -> None:
        """Installs the server and starts it once, so that bytecode is compiled before the measured starts."""
        if entry.server.peer:
            self._bench.install(entry.server.peer)
        with self._started(entry):
            pass

    def _sample(self, entry: MeasuredServer) -> None:
        with self._started(entry) as (running, topics):
            for case in entry.workload.cases[:CHECKED]:
                check(entry.server, case, post(running.port, entry.server.format.path, case.body))
            memory = pss_mb(running.program.pid)
            if topics:
                check_predictions(topics, entry.workload.cases[:CHECKED], entry.server.tolerance)
            loads = {
                connections: self._wrk.load(
                    self._bench.processes,
                    f"http://127.0.0.1:{running.port}{entry.server.format.path}",
                    entry.workload.file,
                    connections,
                    self._plan.seconds,
                )
                for connections in CONNECTIONS
            }
        entry.row.samples.append(Sample(loads, running.startup_seconds, memory))

    def _sample_batch(self, program: BatchProgram, row: Row) -> None:
        row.samples.append(self._batch.sample(program))

    @contextlib.contextmanager
    def _started(self, entry: MeasuredServer) -> Iterator[tuple[RunningServer, Topics | None]]:
        """The running server, and its topics if it handles events."""
        with contextlib.ExitStack() as stack:
            topics, environment = None, {}
            if entry.handles_events:
                topics = stack.enter_context(new_topics(self._bench.addresses.emulator))
                environment = topic_environment(topics)
            serving = self._bench.serving(entry.server, entry.workload.cases[0], environment)
            yield stack.enter_context(serving), topics

    def _sample_emulator(self) -> None:
        (prediction,) = self._champion.model.predict_rides(PROBE_RIDES[:1])
        message = msgspec.json.encode(prediction.event(0))
        with new_topics(self._bench.addresses.emulator) as topics:
            for row, messages in zip(self._emulator_rows, MESSAGES_PER_CALL, strict=True):
                call = emulator.PublishCall.of(topics.predictions, message, messages)
                loads = {
                    connections: emulator.load(topics.emulator, call, connections, self._plan.seconds)
                    for connections in CONNECTIONS
                }
                row.samples.append(Sample(loads))

    def _in_process(self) -> dict[str, dict[str, float]]:
        """One round of `benchmarks.in_process`, in a new process like a function's."""
        rides = self._workloads.write(RIDE, CHECKED).file
        argv = [sys.executable, "-m", "benchmarks.in_process", self._champion.release.location, str(rides)]
        log = run_to_end(self._bench.processes, "in process", argv, self._bench.server_environment())
        return msgspec.json.decode(last_line(log), type=dict[str, dict[str, float]])
