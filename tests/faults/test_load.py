"""Minutes of mixed traffic while releases move, then more than can be answered.

The client, both functions and the emulator share one machine's cores, so every bound is relative to what the
same run has measured.
"""

import asyncio
import itertools
import math
import resource
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.events.subscribers import ReceivedMessage, open_subscriber
from jobs.local.emulators import PubSubEmulator
from jobs.local.processes import ManagedProcess, ProcessGroup, free_port, responds
from jobs.local.topics import Topics
from tests.faults.figures import Figures
from tests.faults.mix import Mix
from tests.faults.models import Pointer
from tests.faults.oracle import Event, Verdict, judge
from tests.faults.traffic import Client, offer, saturate

pytestmark = [pytest.mark.alone, pytest.mark.load, pytest.mark.timeout(900)]

START_SECONDS = 180.0
CONNECTIONS = 100
"""At most, to one function, as a platform's own limit would be; what waits for one waits in the figures."""
SHARE = 0.7
"""Of the capacity, for a steady load."""
SWAP_SECONDS = 5.0
"""From a move of the pointer to the last answer by the old model."""
OVERLOAD = 4
OVERLOAD_SECONDS = 2.5
"""So long would all that is asked at once take at full capacity: there are as many connections."""
MOST_CONNECTIONS = 4000
"""Of an overload. The kernel keeps 2,048 that are not accepted yet; when 9,000 came at once, some were open
on one side only, and their requests never answered. A platform gives one process 1,000 at most."""
CONNECTION_KIB = 32
"""Of memory for each connection of an overload, with its request; 18 to 21 were measured."""
TRICKLE = 40.0
"""Requests a second before and after an overload."""
RECOVERY_SECONDS = 5.0
SLOWER = 5
"""Times the usual latency, and still as before: the machine has other work."""
MOST_SECONDS = 4 * OVERLOAD_SECONDS
"""For 99 of 100 answers under overload."""
OPEN_FILES = 8192


class Lengths(NamedTuple):
    """Of the parts of a run, in seconds."""

    measure: float
    steady: float
    minute: float
    """What the figures call a minute."""
    move: float
    """Between two moves of the release pointer."""
    overload: float
    trickle: float


FULL = Lengths(measure=8, steady=600, minute=60, move=30, overload=60, trickle=8)
SHORT = Lengths(measure=0.5, steady=6, minute=2, move=3, overload=1, trickle=1.5)


class Refused(Exception):
    """The function says that it has too much to do."""


class Service:
    """Both functions on one machine, their releases, and the books of what goes in and comes out."""

    def __init__(
        self,
        programs: ProcessGroup,
        environment: Mapping[str, str],
        topics: Topics,
        pointer: Pointer,
        models: Mapping[str, Path],
    ) -> None:
        self.pointer = pointer
        self.models = models
        self._mix = Mix(models)
        pointer.move("1", models["1"])
        topics.create()
        self._topics = topics
        self._events: list[Event] = []
        self._acknowledged: list[Event] = []
        self._predictions: list[ReceivedMessage] = []
        self._letters: list[ReceivedMessage] = []
        self._subscribers = [
            open_subscriber(topics.predictions_pull, self._predictions.append, topics.emulator),
            open_subscriber(topics.dead_letters_pull, self._letters.append, topics.emulator),
        ]
        settings = {
            "MODEL_URI": pointer.place,
            "MODEL_REFRESH_SECONDS": "0.5",
            "PUBSUB_EMULATOR_HOST": topics.emulator,
            "PREDICTIONS_TOPIC": topics.predictions,
            "DEAD_LETTER_TOPIC": topics.dead_letters,
        }
        self.ports: dict[str, int] = {}
        self.programs: dict[str, ManagedProcess] = {}
        framework = str(Path(sys.executable).with_name("functions-framework"))
        for target in ("predict", "predict_event"):
            port = self.ports[target] = free_port()
            self.programs[target] = programs.start(
                f"{target} under load",
                [framework, f"--target={target}", "--host=127.0.0.1", f"--port={port}"],
                dict(environment) | settings,
            )
        for target, port in self.ports.items():
            url = f"http://127.0.0.1:{port}/health"
            self.programs[target].wait_until(lambda url=url: responds(url), START_SECONDS)  # type: ignore[misc]

    def close(self) -> None:
        for subscriber in self._subscribers:
            subscriber.close()
        for program in self.programs.values():
            program.signal(signal.SIGKILL)
        self._topics.delete()

    def client(self, target: str, connections: int = CONNECTIONS) -> Client:
        return Client(self.ports[target], connections)

    async def send(self, target: str, client: Client) -> str:
        """Sends a request or an event, whichever the function takes.

        Returns:
            The model's version that was answered, where an answer tells.

        Raises:
            Refused: the function has too much to do.
            AssertionError: the answer is wrong.
            ConnectionError: there was none.
        """
        if target == "predict":
            question = self._mix.question()
            answer = await client.ask(question.request)
        else:
            event, request = self._mix.event()
            self._events.append(event)
            answer = await client.ask(request)
        if answer.status in (429, 503):
            assert b"\r\nretry-after: " in answer.head
            raise Refused(answer.body.decode())
        if target == "predict":
            return question.version(answer)
        assert answer.status == 200, answer
        self._acknowledged.append(event)
        return ""

    def settle(self) -> tuple[Verdict, list[tuple[float, str]]]:
        """Waits for what must come out, judges it, and begins the books anew.

        Lost is what was acknowledged and did not come out.

        Returns:
            The verdict, and when each prediction was published by which version.
        """
        deadline = time.monotonic() + 180
        while len(self._predictions) + len(self._letters) < len(self._acknowledged):
            assert time.monotonic() < deadline, "acknowledged, and not published"
            time.sleep(0.1)
        time.sleep(1.5)  # the emulator delivers again after one second
        books = (self._events, self._acknowledged, self._predictions, self._letters)
        events, acknowledged, predictions, letters = (list(each) for each in books)
        for each in books:
            each.clear()
        verdict = judge(events, predictions, letters)
        lost = judge(acknowledged, predictions, letters).lost
        versions = [(each.published, self._mix.event_version(each)) for each in predictions]
        return verdict._replace(lost=lost), versions

    def memory(self, target: str) -> float:
        """MiB of a function's processes: what they share counts once; where that is not told, more often."""
        table = subprocess.run(
            ["ps", "-A", "-o", "pid=,pgid=,rss="], capture_output=True, text=True, check=True
        ).stdout
        rows = [[int(cell) for cell in line.split()] for line in table.splitlines()]
        group = self.programs[target].pid
        return sum(_proportional(pid) or rss for pid, pgid, rss in rows if pgid == group) / 1024


def _proportional(pid: int) -> int:
    """KiB of a process; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@pytest.fixture(scope="module")
def lengths(full: bool) -> Lengths:
    return FULL if full else SHORT


@pytest.fixture(scope="module")
def service(
    programs: ProcessGroup,
    plain_environment: dict[str, str],
    pubsub: PubSubEmulator,
    onnx_folder: Path,
    other_onnx_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < OPEN_FILES:  # for the functions too, which inherit it
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, most))
    service = Service(
        programs,
        plain_environment,
        Topics(pubsub.host, f"ridecast-{uuid.uuid4().hex[:8]}"),
        Pointer(str(tmp_path_factory.mktemp("load") / "champion.json")),
        {"1": onnx_folder, "2": other_onnx_folder},
    )
    yield service
    service.close()


@pytest.fixture(scope="module")
def capacity(service: Service, lengths: Lengths, figures: Figures) -> dict[str, float]:
    """Answers a second of each function alone, and of both in the mix."""
    found = asyncio.run(measure(service, lengths.measure))
    verdict, _ = service.settle()
    assert verdict.kept, verdict
    rate = "{predict:.0f} requests, {predict_event:.0f} events a second alone; {mix:.0f} mixed"
    figures.add(
        "load",
        promise="what it can do, client and emulator on the same cores",
        traffic=f"a closed loop for {lengths.measure:g} s each",
        figure=rate.format(**found),
    )
    return found


async def measure(service: Service, seconds: float) -> dict[str, float]:
    async with service.client("predict") as web, service.client("predict_event") as push:

        async def ask(_: float) -> None:
            await service.send("predict", web)

        async def deliver(_: float) -> None:
            await service.send("predict_event", push)

        mix = by_turns(ask, ask, deliver)
        await saturate(16, seconds / 2, mix)
        return {
            "predict": await saturate(32, seconds, ask),
            "predict_event": await saturate(32, seconds, deliver),
            "mix": await saturate(32, seconds, mix),
        }


def by_turns(*ways: Callable[[float], Awaitable[None]]) -> Callable[[float], Awaitable[None]]:
    turns = itertools.cycle(ways)

    def work(due: float) -> Awaitable[None]:
        return next(turns)(due)

    return work


class Log:
    """What was seen of one function under a steady load."""

    def __init__(self, minute: float) -> None:
        self._began = time.time()
        self._minute = minute
        self.latencies: dict[int, list[float]] = {}
        """Milliseconds by minute, from when the request should have been sent."""
        self.memory: dict[int, list[float]] = {}
        """MiB by minute."""
        self.versions: list[tuple[float, str]] = []

    def took(self, due: float) -> None:
        self._at(due, self.latencies).append(1000 * (time.time() - due))

    def weighed(self, memory: float) -> None:
        self._at(time.time(), self.memory).append(memory)

    def _at(self, when: float, minutes: dict[int, list[float]]) -> list[float]:
        return minutes.setdefault(int((when - self._began) / self._minute), [])


def test_a_steady_load_while_releases_move(
    service: Service, capacity: dict[str, float], lengths: Lengths, full: bool, figures: Figures
) -> None:
    rate = SHARE * capacity["mix"]
    logs = {target: Log(lengths.minute) for target in service.ports}
    moves: list[tuple[float, str]] = []
    wrong = asyncio.run(steady(service, rate, lengths, logs, moves))
    until = time.time()
    verdict, logs["predict_event"].versions = service.settle()
    assert not wrong, f"{len(wrong)}, the first: {wrong[0]}"
    assert verdict.kept, verdict
    assert not verdict.duplicates
    swaps = [slowest_swap(moves, log.versions, until) for log in logs.values()]
    if full:
        assert max(swaps) <= SWAP_SECONDS, swaps

    def add(promise: str, figure: str) -> None:
        traffic = f"{rate:.0f} a second ({SHARE:.0%} of the capacity) for {lengths.steady:g} s"
        figures.add("load", promise=promise, traffic=traffic, figure=figure)

    asked = sum(len(each) for log in logs.values() for each in log.latencies.values())
    add("every answer is right, every event answered at once", f"0 of {asked:,} wrong")
    add(
        "an event, a prediction or a dead letter",
        f"{verdict.predicted:,} predicted, {verdict.dead_letters:,} dead letters, none twice",
    )
    add("a release in service, in every answer", f"{len(moves)} moves, the slowest {max(swaps):.1f} s")
    last = int(lengths.steady / lengths.minute) - 1
    growths: dict[str, float] = {}
    drifts: dict[str, float] = {}
    """Of the p99, from the first three minutes to the last: one busy minute of the machine says nothing."""
    for target, log in logs.items():
        minutes = [log.latencies[minute] for minute in range(last + 1)]
        p50s, p99s = ([percentile(each, percent) for each in minutes] for percent in (50, 99))
        early, late = (statistics.median(log.memory[minute]) for minute in (1, last))
        ends = (f"{p50s[end]:.1f} and {p99s[end]:.0f} ms" for end in (0, -1))
        add(f"`{target}`: p50 and p99 stay, first to last minute", " → ".join(ends))
        add(f"`{target}`: memory stays, second to last minute", f"{early:.1f} → {late:.1f} MiB")
        drifts[target] = statistics.median(p99s[-3:]) / statistics.median(p99s[:3])
        growths[target] = late / early
    assert max(growths.values()) < (1.05 if full else 1.25), growths
    if full:
        assert max(drifts.values()) <= 2, drifts


async def steady(
    service: Service, rate: float, lengths: Lengths, logs: Mapping[str, Log], moves: list[tuple[float, str]]
) -> list[str]:
    """Fills the logs and the list of moves; returns what was wrong."""
    wrong: list[str] = []

    def sender(target: str, client: Client) -> Callable[[float], Awaitable[None]]:
        async def send(due: float) -> None:
            try:
                version = await service.send(target, client)
            except (Refused, AssertionError, ConnectionError) as error:
                wrong.append(f"{target}: {error!r}")
                return
            logs[target].took(due)
            if version:
                logs[target].versions.append((time.time(), version))

        return send

    async def move() -> None:
        for number in range(int(lengths.steady / lengths.move)):
            version = "21"[number % 2]
            moves.append((time.time(), version))
            await asyncio.to_thread(service.pointer.move, version, service.models[version])
            await asyncio.sleep(lengths.move)

    async def weigh() -> None:
        while True:
            for target, log in logs.items():
                log.weighed(await asyncio.to_thread(service.memory, target))
            await asyncio.sleep(lengths.minute / 12)

    async with service.client("predict") as web, service.client("predict_event") as push:
        ask, deliver = sender("predict", web), sender("predict_event", push)
        moving, weighing = (asyncio.create_task(work()) for work in (move, weigh))
        await offer(rate, lengths.steady, by_turns(ask, ask, deliver))
        await moving
        weighing.cancel()
    return wrong


def slowest_swap(
    moves: Sequence[tuple[float, str]], versions: Sequence[tuple[float, str]], until: float
) -> float:
    """Seconds from a move until the new version was there and the old one had gone."""
    slowest = 0.0
    for (moved, version), (end, _) in itertools.pairwise([*moves, (until, "")]):
        after = [(when - moved, each) for when, each in versions if moved <= when < end]
        first = min((when for when, each in after if each == version), default=math.inf)
        last = max((when for when, each in after if each != version), default=0.0)
        slowest = max(slowest, first, last)
    return slowest


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


class Overload:
    """What came of offering more than can be answered."""

    def __init__(self) -> None:
        self.offered = 0
        self.outcomes: Counter[str] = Counter()
        self.seconds = 0.0
        """Until the last answer."""
        self.latencies: list[float] = []
        """Seconds until each answer that was no refusal."""
        self.memory: list[float] = []
        """MiB."""
        self.wrong: list[str] = []
        self.recovery = math.inf
        """Seconds until a trickle was answered as before."""


@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_more_than_can_be_answered(
    service: Service,
    capacity: dict[str, float],
    lengths: Lengths,
    full: bool,
    figures: Figures,
    target: str,
) -> None:
    connections = min(round(OVERLOAD_SECONDS * capacity[target]), MOST_CONNECTIONS)
    seen = asyncio.run(overload(service, target, OVERLOAD * capacity[target], connections, lengths))
    verdict, _ = service.settle()
    assert not seen.wrong, f"{len(seen.wrong)}, the first: {seen.wrong[0]}"
    assert verdict.kept, verdict
    p50, p99 = (percentile(seen.latencies, percent) for percent in (50, 99))
    answered, refused = (round(seen.outcomes[each] / seen.seconds) for each in ("answered", "refused"))
    before, *_, after = seen.memory
    figures.add(
        "load",
        promise=f"`{target}`: overload breaks nothing and leaves nothing behind",
        traffic=f"{seen.offered / lengths.overload:.0f} a second offered ({OVERLOAD} × its capacity) for "
        f"{lengths.overload:g} s, {connections} at once",
        figure=f"{answered} a second answered (p50 {p50:.1f} s, p99 {p99:.1f} s), {refused} refused; "
        f"as before {seen.recovery:.1f} s later; memory {before:.0f} → {max(seen.memory):.0f} → "
        f"{after:.0f} MiB",
    )
    assert max(seen.memory) <= before + connections * CONNECTION_KIB / 1024
    if full:  # seconds are too few to say how it feels
        assert seen.outcomes["refused"]
        assert p99 <= MOST_SECONDS
        assert seen.recovery <= RECOVERY_SECONDS


async def overload(
    service: Service, target: str, rate: float, connections: int, lengths: Lengths
) -> Overload:
    seen = Overload()

    async def send(due: float) -> None:
        try:
            await service.send(target, client)
        except (Refused, ConnectionRefusedError):
            seen.outcomes["refused"] += 1
        except (AssertionError, ConnectionError) as error:
            seen.wrong.append(repr(error))
        else:
            seen.outcomes["answered"] += 1
            seen.latencies.append(time.time() - due)

    def send_if_free(due: float) -> Awaitable[None] | None:
        seen.offered += 1
        return None if client.busy else send(due)

    async def weigh() -> None:
        while True:
            seen.memory.append(await asyncio.to_thread(service.memory, target))
            await asyncio.sleep(lengths.overload / 12)

    usual = statistics.median((await trickle(service, target, lengths.trickle / 5)).values())
    weighing = asyncio.create_task(weigh())
    async with service.client(target, connections) as client:
        began = time.time()
        offering = asyncio.create_task(offer(rate, lengths.overload, send_if_free))
        await asyncio.sleep(lengths.overload)
        after = await trickle(service, target, lengths.trickle)
        await offering
        seen.seconds = time.time() - began
    weighing.cancel()
    seen.recovery = recovery(after, SLOWER * usual)
    return seen


async def trickle(service: Service, target: str, seconds: float) -> dict[float, float]:
    """A few requests: seconds from the beginning → seconds until the answer, without end for a refusal."""
    latencies: dict[float, float] = {}
    began = time.time()

    async with service.client(target) as client:

        async def send(due: float) -> None:
            try:
                await service.send(target, client)
                latencies[due - began] = time.time() - due
            except Refused:
                latencies[due - began] = math.inf

        await offer(TRICKLE, seconds, send)
    return dict(sorted(latencies.items()))


def recovery(latencies: Mapping[float, float], usual: float) -> float:
    """Seconds until the median of every half second is as usual: a single request says nothing."""
    halves = itertools.groupby(latencies, lambda when: int(2 * when))
    slow = [half for half, some in halves if statistics.median(latencies[each] for each in some) > usual]
    if not slow:
        return 0.0
    return math.inf if slow[-1] == int(2 * max(latencies)) else (slow[-1] + 1) / 2
