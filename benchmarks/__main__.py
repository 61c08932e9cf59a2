"""python -m benchmarks: measures every speed claim beside what it is compared with."""

import os
import sys
from collections.abc import Sequence

import click

from benchmarks.batch import BATCH_PEERS
from benchmarks.bench import Bench
from benchmarks.champion import copy_release_to_storage, train
from benchmarks.figures import DOCUMENTS, write_figures
from benchmarks.measure import FULL, SHORT, BenchmarkRun, Plan
from benchmarks.plot import plot
from benchmarks.report import Tables, performance_page
from benchmarks.results import Results
from benchmarks.servers import HTTP_PEERS, PUBSUB_PEERS
from benchmarks.wrk import find_wrk
from jobs.commands.local import exit_cleanly
from jobs.concurrency import run_in_background
from jobs.local.screen import Screen
from jobs.settings import PROJECT_ROOT

PERFORMANCE_PAGE = PROJECT_ROOT / "docs" / "performance.md"
PLOT = PERFORMANCE_PAGE.with_suffix(".svg")
IDLE_LOAD = 0.5
"""Load average up to which a machine counts as idle."""
RIDES = 300
"""Rides sampled from the last month for requests."""


@click.command()
@click.option(
    "--trips",
    envvar="TRIPS",
    multiple=True,
    help="A month of trips; may be repeated, requests are made from the last one.  [env var: TRIPS]",
)
@click.option("--short", is_flag=True, help="One short round without other tools; writes no document.")
def command(trips: tuple[str, ...], short: bool) -> None:
    """Measure Ridecast, its limits and other tools; write docs/performance.md.

    The exit code is 1 if Ridecast or one of its limits failed or returned a wrong prediction. A missed
    target is not a failure; the table of targets reports it.
    """
    with exit_cleanly(), Bench(Screen()) as bench:
        # Signals reach the main thread only; it waits here, so that the bench stops all it has started.
        succeeded = run_in_background(lambda: run(bench, trips, SHORT if short else FULL)).result()
    sys.exit(0 if succeeded else 1)


def run(bench: Bench, trips: Sequence[str], plan: Plan) -> bool:
    """Trains, measures, prints and writes; returns whether Ridecast and its limits answered correctly.

    Raises:
        RidecastError: something that every measurement needs is not available.
    """
    screen = bench.screen
    load_average = os.getloadavg()[0]
    if load_average > IDLE_LOAD:
        screen.print(f"! the load average is {load_average:.1f}: other programs distort the figures")
    wrk = find_wrk(PROJECT_ROOT / ".cache" / "wrk")
    with screen.step("model") as step:
        champion = train(bench.processes, bench.folder, bench.server_environment(), trips, RIDES)
        step.detail = f"version {champion.release.version}, trained and promoted; {champion.source}"
    bench.start_storage()
    bench.start_pubsub()
    # This process writes the release to the emulator, too.
    environment = bench.server_environment()
    os.environ.update({name: environment[name] for name in ("STORAGE_EMULATOR_HOST", "NO_PROXY", "no_proxy")})
    pointer = copy_release_to_storage(champion.release)
    results = BenchmarkRun(bench, wrk, plan, champion, pointer).measure()
    for name, table in Tables(results).all().items():
        screen.print(f"\n{name}\n\n{table}")
    if plan.documents:
        PERFORMANCE_PAGE.write_text(
            performance_page(results, plan, champion.source, wrk.version, load_average)
        )
        plot(results).savefig(PLOT, metadata={"Date": None})
        write_figures(results)
        for path in (PERFORMANCE_PAGE, PLOT, *DOCUMENTS):
            screen.print(f"written: {path.relative_to(PROJECT_ROOT)}")
    return all_answered(results)


def all_answered(results: Results) -> bool:
    """Whether every row that is not another tool's has its figures."""
    peers = (*HTTP_PEERS, *PUBSUB_PEERS, *BATCH_PEERS)
    return not [row for row in (*results.servers, *results.batch) if row.failure and row.name not in peers]


if __name__ == "__main__":
    command()
