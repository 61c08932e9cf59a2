"""python -m jobs capacity: simulates the functions on Cloud Run."""

from pathlib import Path

import click

from jobs.capacity_study.service_profile import FUNCTIONS
from jobs.commands.error_boundary import JobCommand

SEED = 2021
RATE = 100.0
"""Requests per second: easy for one instance, but not in a burst of twenty times as many."""
OTHER_RATES = (1 / 600, 1.0, 5_000.0)
"""Requests per second of further recommendations: rare, steady and heavy traffic."""
FILE_WIDTH = 140
"""Line width where there is no terminal."""
QUICK_MS = 100.0
"""People do not notice a shorter delay."""


@click.command(cls=JobCommand)
@click.option(
    "--function",
    type=click.Choice(list(FUNCTIONS)),
    default=next(iter(FUNCTIONS)),
    show_default=True,
    help="The function to compare configurations of; the next options replace its measured figures.",
)
@click.option("--service-ms", type=click.FloatRange(0, min_open=True), help="CPU time per request or event.")
@click.option("--wait-ms", type=click.FloatRange(0), help="Time per request spent waiting, without CPU.")
@click.option("--start-s", type=click.FloatRange(0), help="Time from container start to first response.")
@click.option("--memory-mb", type=click.FloatRange(0, min_open=True), help="Memory of a process under load.")
@click.option("--event-bytes", type=click.FloatRange(0), help="Size of an event, as Pub/Sub bills it.")
@click.option(
    "--rate",
    default=RATE,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Requests or events per second: constant, on average over a day, and before a burst.",
)
@click.option(
    "--trips",
    metavar="URI",
    help="A month of trips (path, gs:// or https://) whose rides shape the day.  [default: March 2021]",
)
@click.option(
    "--concurrency",
    "-c",
    multiple=True,
    default=(1, 8, 80, 1000),
    show_default=True,
    type=int,
    help="Concurrent requests per instance; may be repeated.",
)
@click.option(
    "--min-instances",
    multiple=True,
    default=(0, 1, 3),
    show_default=True,
    type=click.IntRange(0),
    help="Minimum number of instances; may be repeated.",
)
@click.option(
    "--max-instances",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum number of instances.",
)
@click.option(
    "--vcpu",
    multiple=True,
    default=(0.5, 1.0, 2.0),
    show_default=True,
    type=click.FloatRange(0.08, 8),
    help="CPUs per instance; may be repeated. Less than one requires a concurrency of 1.",
)
@click.option(
    "--quick-ms",
    default=QUICK_MS,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Latency that 99% of the responses must not exceed, in milliseconds.",
)
@click.option("--seed", default=SEED, show_default=True, help="Random seed of arrivals and routing.")
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder whose scaling.md and scaling.svg are updated.",
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
    """Simulate the functions on Cloud Run: instances, latency, cost, and first bottleneck.

    The simulation combines measurements of one process with Cloud Run's documented rules. Latencies exclude
    the network and Pub/Sub.
    """
    replaced = {
        "service_ms": service_ms,
        "wait_ms": wait_ms,
        "start_s": start_s,
        "memory_mb": memory_mb,
        "event_bytes": event_bytes,
    }
    # SciPy and the simulation take a second to import, which `--help` avoids.
    from dataclasses import replace

    from rich.console import Console

    from jobs.capacity_study.scenarios import service_configs
    from jobs.capacity_study.study import CapacityStudy

    profile = replace(FUNCTIONS[function], **{k: v for k, v in replaced.items() if v is not None})
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    configs = service_configs(concurrency, min_instances, max_instances, vcpu)
    if docs:
        # Fail before the simulation, which takes a minute, if the folder is wrong.
        from jobs.capacity_study.document import DOCUMENT
        from jobs.ui.markdown import fill_placeholders

        fill_placeholders(docs / DOCUMENT, {})
    study = CapacityStudy(FUNCTIONS | {function: profile}, function, configs, seed, trips)
    with console.status("simulating"):
        reports = study.reports(rate, OTHER_RATES, quick_ms)
    for report in reports.values():
        console.print(report.rich())
    if docs:
        for path in study.write(docs, reports):
            console.print(f"written: {path}")
