"""python -m jobs capacity: instances, latency, cost and limits of the functions on Cloud Run, simulated."""

from pathlib import Path

import click

from jobs.capacity_study.service_profile import FUNCTIONS
from jobs.commands.error_boundary import JobCommand

SEED = 2021
RATE = 100.0
"""Requests a second: easy for one instance, and more than it can do in a burst of twenty times as many."""
OTHER_RATES = (1 / 600, 1.0, 5_000.0)
"""For which a choice is recommended too: rarely, always somebody, and many."""
FILE_COLUMNS = 140
"""Of output that goes elsewhere than to a terminal: it has no width of its own."""
QUICK_MS = 100.0
"""A person notices no shorter wait."""


@click.command(cls=JobCommand)
@click.option(
    "--function",
    type=click.Choice(list(FUNCTIONS)),
    default=next(iter(FUNCTIONS)),
    show_default=True,
    help="Whose choices are compared, and whose measured figures the next options replace.",
)
@click.option("--service-ms", type=click.FloatRange(0, min_open=True), help="CPU time of a request or event.")
@click.option("--wait-ms", type=click.FloatRange(0), help="Its waiting for others, without CPU.")
@click.option("--start-s", type=click.FloatRange(0), help="From a container's start to its first answer.")
@click.option("--memory-mb", type=click.FloatRange(0, min_open=True), help="Of a process under load.")
@click.option("--event-bytes", type=click.FloatRange(0), help="Of an event, as Pub/Sub counts them.")
@click.option(
    "--rate",
    default=RATE,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Requests or events a second for the choices: constant, a day's average, before a burst.",
)
@click.option(
    "--trips",
    help="A month of trips (path, gs:// or https://) that gives the day its shape; else taxis of March 2021.",
)
@click.option("--concurrency", "-c", multiple=True, default=(1, 8, 80, 1000), show_default=True, type=int)
@click.option("--min-instances", multiple=True, default=(0, 1, 3), show_default=True, type=click.IntRange(0))
@click.option("--max-instances", default=100, show_default=True, type=click.IntRange(1))
@click.option(
    "--vcpu",
    multiple=True,
    default=(0.5, 1.0, 2.0),
    show_default=True,
    type=click.FloatRange(0.08, 8),
    help="Less than one takes one request at a time.",
)
@click.option(
    "--quick-ms",
    default=QUICK_MS,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Quick enough for 99 of 100 answers.",
)
@click.option("--seed", default=SEED, show_default=True, help="Of arrivals and of the router.")
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder whose scaling.md and scaling.svg are brought up to date.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    function: str,
    service_ms: float | None,
    wait_ms: float | None,
    start_s: float | None,
    memory_mb: float | None,
    event_bytes: float | None,
    rate: float,
    trips: str | None,
    concurrency: tuple[int, ...],
    min_instances: tuple[int, ...],
    max_instances: int,
    vcpu: tuple[float, ...],
    quick_ms: float,
    seed: int,
    docs: Path | None,
) -> None:
    """Simulate the functions on Cloud Run: instances, waits, cost, and what breaks first.

    The simulation knows what was measured of one process, and Cloud Run's documented rules. Latencies are
    the function's own: without the network, and without Pub/Sub's way to it.
    """
    replaced = {
        "service_ms": service_ms,
        "wait_ms": wait_ms,
        "start_s": start_s,
        "memory_mb": memory_mb,
        "event_bytes": event_bytes,
    }
    # SciPy and the simulation take a second to import: `--help` does without.
    from dataclasses import replace

    from rich.console import Console

    from jobs.capacity_study.scenarios import choices
    from jobs.capacity_study.study import Study

    measured = replace(FUNCTIONS[function], **{k: v for k, v in replaced.items() if v is not None})
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    possible = choices(concurrency, min_instances, max_instances, vcpu)
    if docs:
        # A wrong folder should not cost a minute.
        from jobs.capacity_study.document import DOCUMENT
        from jobs.ui.markdown import fill_tables

        fill_tables(docs / DOCUMENT, {})
    study = Study(FUNCTIONS | {function: measured}, function, possible, seed, trips)
    with console.status("simulating"):
        reports = study.reports(rate, OTHER_RATES, quick_ms)
    for report in reports.values():
        console.print(report.rich())
    if docs:
        for path in study.write(docs, reports):
            console.print(f"written: {path}")
