"""python -m benchmarks: every claim about speed, beside what it is compared with, in one command."""

import os
import sys
from collections.abc import Sequence

import click

from benchmarks.batch import PEERS_OVER_MONTHS
from benchmarks.bench import Bench
from benchmarks.champion import release_to_storage, train
from benchmarks.measure import FULL, SHORT, Plan, Run
from benchmarks.plot import picture
from benchmarks.report import Tables, document
from benchmarks.results import Results
from benchmarks.servers import PEERS_OVER_HTTP, PEERS_OVER_PUBSUB
from benchmarks.wrk import find_wrk
from jobs.commands.local import ending_well
from jobs.concurrency import in_background
from jobs.local.screen import Screen
from jobs.settings import PROJECT_ROOT

DOCUMENT = PROJECT_ROOT / "docs" / "performance.md"
PICTURE = DOCUMENT.with_suffix(".svg")
QUIET_LOAD = 0.5
"""Load average up to which a machine counts as idle."""
RIDES = 300
"""Taken from the last month; those whose features are all known are asked about."""


@click.command()
@click.option(
    "--trips",
    "wanted",
    envvar="TRIPS",
    multiple=True,
    help="A month of trips; may be repeated, the last one is asked about.  [env var: TRIPS]",
)
@click.option("--short", is_flag=True, help="One short round without other tools; writes no document.")
def command(wanted: tuple[str, ...], short: bool) -> None:
    """Measure Ridecast, its limits and other tools side by side; write docs/performance.md.

    Ends with exit code 1 if Ridecast or one of its limits did not answer, or answered wrongly. A target that
    is missed is no failure: the table says so.
    """
    with ending_well(), Bench(Screen()) as bench:
        # A signal can then fall nowhere but here, where the bench ends all that was started.
        good = in_background(lambda: run(bench, wanted, SHORT if short else FULL)).result()
    sys.exit(0 if good else 1)


def run(bench: Bench, wanted: Sequence[str], plan: Plan) -> bool:
    """Trains, measures, shows and writes; whether Ridecast and its limits answered as they must.

    Raises:
        RidecastError: a part that all need is not to be had.
    """
    screen = bench.screen
    busy = os.getloadavg()[0]
    if busy > QUIET_LOAD:
        screen.say(
            f"! the load average is {busy:.1f}: other programs will be measured, too; wait until it is quiet"
        )
    wrk = find_wrk(PROJECT_ROOT / ".cache" / "wrk")
    with screen.step("model") as step:
        champion = train(bench.programs, bench.folder, bench.surroundings(), wanted, RIDES)
        step.detail = f"version {champion.release.version}, trained and promoted; {champion.source}"
    bench.start_storage()
    bench.start_pubsub()
    # This process writes the release there, too.
    told = bench.surroundings()
    os.environ.update({name: told[name] for name in ("STORAGE_EMULATOR_HOST", "NO_PROXY", "no_proxy")})
    pointer = release_to_storage(champion.release)
    results = Run(bench, wrk, plan, champion, pointer).measure()
    for name, table in Tables(results).all().items():
        screen.say(f"\n{name}\n\n{table}")
    if plan.documents:
        DOCUMENT.write_text(document(results, plan, champion.source, wrk.version, busy))
        picture(results).savefig(PICTURE, metadata={"Date": None})
        screen.say(f"written: {DOCUMENT.relative_to(PROJECT_ROOT)}, {PICTURE.relative_to(PROJECT_ROOT)}")
    return answered(results)


def answered(results: Results) -> bool:
    """Whether every server that is not another tool answered as it must."""
    others = (*PEERS_OVER_HTTP, *PEERS_OVER_PUBSUB, *PEERS_OVER_MONTHS)
    rows = (*results.servers, *results.batch)
    return not [row for row in rows if row.failure and row.name not in others]


if __name__ == "__main__":
    command()
