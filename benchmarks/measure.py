"""A run: rounds in which every server is started, checked and loaded, one after the other."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec

from benchmarks import batch, pipe, servers
from benchmarks.batch import Months, Way
from benchmarks.bench import Bench, Running, check, post
from benchmarks.champion import Champion
from benchmarks.events import check_predictions, new_topics, settings
from benchmarks.memory import pss_mb
from benchmarks.questions import EVENT, RIDE, Asker, Questions
from benchmarks.results import Results, Row, Sample
from benchmarks.servers import Server
from benchmarks.wrk import Wrk
from functions.errors import RidecastError
from functions.model import TRIAL_RIDES
from jobs.local.emulators import last_line
from jobs.local.processes import PartFailed
from jobs.local.topics import Topics

CONNECTIONS = (1, 8, 32)
CHECKED = 100
"""Questions whose answers are checked before a load; after them the memory is read."""
EVENTS = 20_000
"""Deliveries, each with an id of its own: more than a load takes."""
MESSAGES = (1, 100)
"""In a publish call, for the limits of the pipe."""


class Plan(NamedTuple):
    """How much a run does."""

    rounds: int
    seconds: int
    """Of each load."""
    peers: bool
    """Whether other tools stand beside."""
    rows: int
    """Of the table that is scored at once."""
    documents: bool
    """Whether docs/performance.md is written."""


FULL = Plan(rounds=5, seconds=3, peers=True, rows=1_000_000, documents=True)
SHORT = Plan(rounds=1, seconds=1, peers=False, rows=100_000, documents=False)


@dataclass
class Entry:
    """A server and the row it fills."""

    server: Server
    row: Row
    questions: Questions

    @property
    def takes_events(self) -> bool:
        """Whether what it is sent are ride events, and its predictions go to a topic."""
        return self.server.form is EVENT


class Run:
    """Measures everything on one bench.

    Args:
        pointer: `gs://` address of the champion's release pointer.
    """

    def __init__(self, bench: Bench, wrk: Wrk, plan: Plan, champion: Champion, pointer: str) -> None:
        self._bench = bench
        self._screen = bench.screen
        self._wrk = wrk
        self._plan = plan
        self._champion = champion
        self._asker = Asker(champion, bench.folder)
        models = bench.folder / "models"
        models.mkdir()
        chosen = [servers.ridecast(pointer), *servers.limits()]
        if plan.peers:
            chosen += servers.peers(champion, models)
        self._pipes = []
        if bench.emulator:
            chosen += [servers.ridecast_events(pointer)]
            chosen += servers.plain_events(champion) if plan.peers else []
            self._pipes = [Row(f"the emulator alone, {count} a call") for count in MESSAGES]
        self._months = Months(bench, champion, plan.rows)
        self._ways = [(way, Row(way.name)) for way in batch.ways(champion, peers=plan.peers)]
        self._entries = [self._entry(server) for server in chosen]

    def _entry(self, server: Server) -> Entry:
        count = EVENTS if server.form is EVENT else CHECKED
        return Entry(server, Row(server.name), self._asker.ask(server.form, count))

    def measure(self) -> Results:
        """All rounds. What fails is left out of the rounds that follow, and its row says why."""
        for entry in self._entries:
            self._try(entry.row, partial(self._prepare, entry))
        for way, row in self._ways:
            if way.peer:
                self._try(row, partial(self._bench.install, way.peer))
        results = Results([entry.row for entry in self._entries], self._pipes, [row for _, row in self._ways])
        for number in range(self._plan.rounds):
            with self._screen.step(f"round {number + 1} of {self._plan.rounds}") as step:
                for entry in self._entries:
                    step.detail = entry.server.name
                    self._try(entry.row, partial(self._sample, entry))
                for way, row in self._ways:
                    step.detail = way.name
                    self._try(row, partial(self._sample_month, way, row))
                if self._pipes:
                    step.detail = "the emulator alone"
                    self._sample_pipes()
                step.detail = "one ride in process"
                results.in_process.append(self._in_process())
                step.detail = "what a month goes into"
                results.stages.append(self._months.stages())
                step.detail = "all started, checked and loaded"
        return results

    def _try(self, row: Row, work: Callable[[], object]) -> None:
        if row.failure:
            return
        try:
            work()
        except RidecastError as error:
            why = f" ({last_line(error.log)})" if isinstance(error, PartFailed) else ""
            row.failure = f"{error}{why}"
            self._screen.say(f"  {row.name}: {row.failure}")

    def _prepare(self, entry: Entry) -> None:
        """What every measured start finds: an environment, and the bytecode that this start leaves."""
        if entry.server.peer:
            self._bench.install(entry.server.peer)
        with self._started(entry):
            pass

    def _sample(self, entry: Entry) -> None:
        with self._started(entry) as (running, topics):
            for question in entry.questions.each[:CHECKED]:
                check(entry.server, question, post(running.port, entry.server.form.path, question.body))
            memory = pss_mb(running.program.pid)
            if topics:
                check_predictions(topics, entry.questions.each[:CHECKED], entry.server.most)
            loads = {
                connections: self._wrk.load(
                    self._bench.programs,
                    f"http://127.0.0.1:{running.port}{entry.server.form.path}",
                    entry.questions.file,
                    connections,
                    self._plan.seconds,
                )
                for connections in CONNECTIONS
            }
        entry.row.samples.append(Sample(loads, running.first_seconds, memory))

    def _sample_month(self, way: Way, row: Row) -> None:
        row.samples.append(self._months.sample(way))

    @contextlib.contextmanager
    def _started(self, entry: Entry) -> Iterator[tuple[Running, Topics | None]]:
        """The server, answering, and the topics it has, if it takes events."""
        with contextlib.ExitStack() as stack:
            topics, told = None, {}
            if entry.takes_events:
                topics = stack.enter_context(new_topics(self._bench.emulator))
                told = settings(topics)
            serving = self._bench.serving(entry.server, entry.questions.each[0], told)
            yield stack.enter_context(serving), topics

    def _sample_pipes(self) -> None:
        (prediction,) = self._champion.model.predict_rides(TRIAL_RIDES[:1])
        message = msgspec.json.encode(prediction.event(0))
        with new_topics(self._bench.emulator) as topics:
            for row, messages in zip(self._pipes, MESSAGES, strict=True):
                call = pipe.Call.of(topics.predictions, message, messages)
                loads = {
                    at_once: pipe.load(topics.emulator, call, at_once, self._plan.seconds)
                    for at_once in CONNECTIONS
                }
                row.samples.append(Sample(loads))

    def _in_process(self) -> dict[str, dict[str, float]]:
        """A round of `benchmarks.in_process`, in a process as clean as a function's."""
        rides = self._asker.ask(RIDE, CHECKED).file
        words = [sys.executable, "-m", "benchmarks.in_process", self._champion.release.location, str(rides)]
        program = self._bench.programs.start("in process", words, self._bench.surroundings())
        try:
            program.finish()
        finally:
            self._bench.programs.end(program)
        measured = last_line(program.log)
        return msgspec.json.decode(measured, type=dict[str, dict[str, float]])
