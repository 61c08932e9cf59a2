"""Compares the simulation with the real function: one instance, Poisson arrivals.

Client and function share the machine. Lists of rides make the function's work large compared to the client's.
The simulation is given the times at which requests were really sent, and the service times that this run
measures back to back and after a pause, which makes them longer (cold caches, a sleeping CPU).
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.discrete_event import replay
from jobs.capacity_study.document import DOCUMENT
from jobs.capacity_study.report_tables import ReportTable
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.capacity_study.traffic import Floats, TrafficProfile
from jobs.ui.markdown import fill_placeholders
from tests.cloud import Starter
from tests.faults.traffic import Client, post, saturate

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
REQUEST = post("/predict", json.dumps([RIDE] * 1000).encode())
CONNECTIONS = 200
TIMESERS = 4
"""Concurrent clients of the closed loop that measures the function's throughput."""
SHARES = (0.3, 0.5, 0.7)
"""Loads, as shares of that throughput."""
QUANTILES = (0.5, 0.99)
ALONE = ServiceConfig(concurrency=1000, min_instances=1, max_instances=1)
FACTORS = (3.0, 8.0)
"""Tolerated ratios of p50 and p99: a busy machine explains no more than that."""
ROUNDS = 3
"""On a busy machine only one round may agree. With `--full` all are run, and the median one counts."""

Ask = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class LoadResult:
    """Results of one load; p50 and p99 in seconds."""

    share: float
    rate: float
    measured: Floats
    simulated: Floats


@pytest.fixture(scope="module")
def port(start_function: Starter, onnx_folder: Path) -> int:
    return int(start_function("predict", MODEL_URI=str(onnx_folder)).rpartition(":")[2])


@pytest.mark.alone
def test_waits_are_as_simulated(port: int, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--full"):
        rounds = [asyncio.run(run_round(port, 10.0, seed)) for seed in range(ROUNDS)]
        runs = [median_run(column) for column in zip(*rounds, strict=True)]
        fill_placeholders(Path("docs") / DOCUMENT, {"measured": results_table(runs).markdown()})
        assert agree(runs), runs
    else:
        assert any(agree(asyncio.run(run_round(port, 1.2, seed))) for seed in range(ROUNDS))


async def run_round(port: int, seconds: float, seed: int) -> list[LoadResult]:
    """Runs each load for so many seconds, between two measurements of the throughput."""
    async with Client(port, CONNECTIONS) as client:

        async def ask(_due: float) -> None:
            assert (await client.ask(REQUEST)).status == 200

        runs = []
        before = await saturate(TIMESERS, seconds / 4, ask)
        for share in SHARES:
            in_a_row = await timed(ask, seconds / 8, pause=0.0)
            after_pause = await timed(ask, seconds / 4, pause=1 / before)
            traffic = TrafficProfile("", "", seconds, np.array([share * before]))
            sent, latencies = await send(ask, traffic.arrivals(seed))
            after = await saturate(TIMESERS, seconds / 4, ask)
            service = 2 / (before + after)
            wait = max(in_a_row.mean() - service, 0.0)  # the client's share and the network
            rested = np.maximum(after_pause - wait, service)
            services = draw_service_times(
                in_a_row * service / in_a_row.mean(), rested, share, len(sent), seed
            )
            profile = ServiceProfile(service_ms=1000 * service, wait_ms=1000 * wait, event_bytes=0)
            result = replay(sent, services, traffic, profile, ALONE, seed)
            simulated = np.array([result.latencies.quantile(each) for each in QUANTILES])
            runs.append(LoadResult(share, len(sent) / seconds, np.quantile(latencies, QUANTILES), simulated))
            before = after
    return runs


async def timed(ask: Ask, seconds: float, pause: float) -> Floats:
    """Returns latencies of sequential requests, each sent so many seconds after the last answer."""
    latencies: list[float] = []

    async def one(_due: float) -> None:
        await asyncio.sleep(pause)
        started = time.perf_counter()
        await ask(started)
        latencies.append(time.perf_counter() - started)

    await saturate(1, seconds, one)
    return np.array(latencies)


def draw_service_times(in_a_row: Floats, after_pause: Floats, share: float, count: int, seed: int) -> Floats:
    """Draws service times: this share of the requests finds the instance busy, the others find it idle."""
    generator = np.random.default_rng(seed)
    busy = generator.random(count) < share
    return np.where(busy, generator.choice(in_a_row, count), generator.choice(after_pause, count))


async def send(ask: Ask, arrivals: Floats) -> tuple[Floats, Floats]:
    """Sends at these times without waiting for answers; returns the real times and the latencies."""
    started = time.perf_counter()
    sent: list[float] = []
    latencies: list[float] = []

    async def one(now: float) -> None:
        await ask(now)
        latencies.append(time.perf_counter() - started - now)

    async with asyncio.TaskGroup() as group:
        for arrival in arrivals.tolist():
            await asyncio.sleep(max(arrival - (time.perf_counter() - started), 0))
            sent.append(time.perf_counter() - started)
            group.create_task(one(sent[-1]))
    return np.array(sent), np.array(latencies)


def agree(runs: Sequence[LoadResult]) -> bool:
    """Whether the medians over all loads of measured and simulated latencies are close."""
    ratios = np.median([run.measured / run.simulated for run in runs], axis=0)
    return bool(np.all(np.maximum(ratios, 1 / ratios) <= FACTORS))


def median_run(runs: Sequence[LoadResult]) -> LoadResult:
    """Returns the run with the median p99."""
    return sorted(runs, key=lambda run: float(run.measured[1]))[len(runs) // 2]


def results_table(runs: Sequence[LoadResult]) -> ReportTable:
    return ReportTable(
        "",
        [
            {
                "load": f"{run.share:.0%}",
                "requests a second": f"{run.rate:,.0f}",
                "measured p50 ms": f"{1000 * run.measured[0]:.1f}",
                "simulated p50 ms": f"{1000 * run.simulated[0]:.1f}",
                "measured p99 ms": f"{1000 * run.measured[1]:.1f}",
                "simulated p99 ms": f"{1000 * run.simulated[1]:.1f}",
            }
            for run in runs
        ],
    )
