"""python -m jobs schedule: months predicted by the clock, with Prefect."""

import signal

import click

from functions.rides import NEW_YORK
from jobs.options import model_option
from jobs.places import NoPlace

SECOND_OF_MONTH = "0 3 2 * *"
"""At three in the morning of each month's second day: the month before has ended everywhere."""


@click.command()
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
def command(  # noqa: PLR0913, PLR0917  # one for each option
    taxi: str,
    trips: str | None,
    output: str,
    model: str,
    cron: str,
    every: float | None,
    months_back: int,
    retry_delays: tuple[float, ...],
) -> None:
    """Predict a month by the clock, and past months when asked to, with Prefect.

    Serves two deployments to the server at PREFECT_API_URL, until it is stopped: ride-duration-prediction,
    by the clock, and ride-duration-backfill.
    """
    try:
        from jobs.flows import rides
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
    except NoPlace as error:
        raise click.BadParameter(str(error), param_hint="--output") from error
    _ask_server()
    parameters = {
        "taxi_type": taxi,
        "output": output,
        "trips": trips or rides.TRIPS,
        "model": model,
        "retry_delays": retry_delays or RETRY_DELAYS,
    }
    by_name = EntrypointType.MODULE_PATH
    by_the_clock = rides.ride_duration_prediction.to_deployment(
        taxi,
        schedule=schedule,
        parameters=parameters | {"months_back": months_back},
        entrypoint_type=by_name,
    )
    when_asked_to = rides.ride_duration_backfill.to_deployment(
        taxi, parameters=parameters, entrypoint_type=by_name
    )
    assert isinstance(by_the_clock, RunnerDeployment)
    assert isinstance(when_asked_to, RunnerDeployment)
    # What a shell starts in the background ignores Ctrl-C; but only that leaves the deployments paused.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(by_the_clock, when_asked_to)


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
