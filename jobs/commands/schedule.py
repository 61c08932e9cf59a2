"""python -m jobs schedule: months predicted by the clock, with Prefect."""

import signal
from typing import cast

import click

from functions.rides import NEW_YORK
from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import model_option
from jobs.storage.files import FileAccessError

SECOND_OF_MONTH = "0 3 2 * *"
"""At three in the morning of each month's second day: the month before has ended everywhere."""


@click.command(cls=JobCommand)
@click.option("--taxi", type=click.Choice(["green", "yellow"]), default="green", show_default=True)
@click.option(
    "--trips",
    metavar="PLACE",
    help="A path, gs://… or https://…; {taxi_type}, {year:04d} and {month:02d} are filled in. "
    "TLC's own address if not given.",
)
@click.option(
    "--output",
    required=True,
    metavar="PLACE",
    help="A folder, local or gs://…, for the layout taxi_type=…/year=…/month=….",
)
@model_option
@click.option("--cron", default=SECOND_OF_MONTH, show_default=True, help="When, on New York's clock.")
@click.option(
    "--every", type=click.FloatRange(min=1), metavar="SECONDS", help="Instead of --cron, to see it work."
)
@click.option(
    "--months-back",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Which month: so many before the run's. TLC publishes one about two months late: 3 for its address.",
)
@click.option(
    "--retry-delay",
    "retry_delays",
    type=click.FloatRange(0),
    multiple=True,
    metavar="SECONDS",
    help="Before a further try of a month that failed; once for each try.  [default: 60, 300, 1500]",
)
@click.option(
    "--retrain",
    is_flag=True,
    help="By the same clock, learn and promote anew where a month has drifted.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    taxi: str,
    trips: str | None,
    output: str,
    model: str,
    cron: str,
    every: float | None,
    months_back: int,
    retry_delays: tuple[float, ...],
    retrain: bool,
) -> None:
    """Predict a month by the clock, and past months when asked to, with Prefect.

    Serves three deployments to the server at PREFECT_API_URL, until it is stopped: ride-duration-prediction,
    by the clock; ride-duration-backfill; and ride-duration-retraining, by the clock with --retrain.
    """
    try:
        from jobs.flows import retraining, scoring
        from jobs.flows.tasks import RETRY_DELAYS, refuse_file
    except ModuleNotFoundError as error:
        if error.name != "prefect":
            raise
        raise click.ClickException(
            "Prefect is not installed: install the dependency group flows with `pip install --group flows`"
        ) from error
    from prefect import serve
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron, Interval
    from prefect.types.entrypoint import EntrypointType

    try:
        schedule = Interval(every) if every else Cron(cron, timezone=NEW_YORK.key)
    except ValueError as error:
        raise click.BadParameter(
            f"{error}: write it like {SECOND_OF_MONTH!r}", param_hint="--cron"
        ) from error
    try:
        refuse_file(output)
    except FileAccessError as error:
        raise click.BadParameter(str(error), param_hint="--output") from error
    _ask_server()
    of_all = {
        "taxi_type": taxi,
        "trips": trips or scoring.TRIPS,
        "retry_delays": retry_delays or RETRY_DELAYS,
    }
    places = {"output": output, "model": model}
    back = {"months_back": months_back}
    served = [
        flow.to_deployment(
            taxi, schedule=when, parameters=of_all | its_own, entrypoint_type=EntrypointType.MODULE_PATH
        )
        for flow, when, its_own in (
            (scoring.ride_duration_prediction, schedule, places | back),
            (retraining.ride_duration_retraining, schedule if retrain else None, back),
            (scoring.ride_duration_backfill, None, places),
        )
    ]
    # What a shell starts in the background ignores Ctrl-C; but only that leaves the deployments paused.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(*cast(list[RunnerDeployment], served))


def _ask_server() -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    start = "start one with `prefect server start` and set PREFECT_API_URL to its address, http://127.0.0.1:4200/api"
    address = PREFECT_API_URL.value()
    if not address:
        raise click.ClickException(f"PREFECT_API_URL is not set, so no Prefect server is known: {start}")
    with get_client(sync_client=True) as client:
        if trouble := client.api_healthcheck():
            raise click.ClickException(f"no Prefect server answers at {address} ({trouble}): {start}")
