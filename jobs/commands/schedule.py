"""python -m jobs schedule: predicts months on a schedule, with Prefect."""

import signal
from typing import TYPE_CHECKING, Any, cast

import click

from functions.rides import NEW_YORK
from jobs.commands.error_boundary import JobCommand, blame_option
from jobs.commands.options import model_option

if TYPE_CHECKING:
    from prefect import Flow

ARGUMENTS = "\n\nArgs:"
"""Begins the part of a docstring that documents the parameters."""
MONTHLY = "0 3 2 * *"
"""At 3 a.m. on the second day of each month, when the previous month has ended everywhere."""


@click.command(cls=JobCommand)
@click.option(
    "--taxi",
    type=click.Choice(["green", "yellow"]),
    default="green",
    show_default=True,
    help="The kind of taxi.",
)
@click.option(
    "--trips",
    metavar="URI",
    help="A path, gs://… or https://…; {taxi_type}, {year:04d} and {month:02d} are replaced.  "
    "[default: TLC's address]",
)
@click.option(
    "--output",
    required=True,
    metavar="FOLDER",
    help="A folder, local or gs://…, for the layout taxi_type=…/year=…/month=….",
)
@model_option
@click.option("--cron", default=MONTHLY, show_default=True, help="When to run, in New York time.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Instead of --cron, for a trial.",
)
@click.option(
    "--months-back",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="How many months before the run's month to predict. TLC publishes a month about two months late, "
    "so its address needs 3.",
)
@click.option(
    "--retry-delay",
    "retry_delays",
    type=click.FloatRange(0),
    multiple=True,
    metavar="SECONDS",
    help="Delay before a failed month is retried; once for each retry.  [default: 60, 300, 1500]",
)
@click.option(
    "--retrain",
    is_flag=True,
    help="On the same schedule, train and promote a new model if a month has drifted.",
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
    """Predict a month on a schedule, and past months on demand, with Prefect.

    Serves three deployments to the server at PREFECT_API_URL until it is stopped: ride-duration-prediction,
    on the schedule; ride-duration-backfill; and ride-duration-retraining, on the schedule with --retrain.
    """
    try:
        from jobs.flows import retraining, scoring
        from jobs.flows.tasks import RETRY_DELAYS, require_folder
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
        raise click.BadParameter(f"{error}: write it like {MONTHLY!r}", param_hint="--cron") from error
    with blame_option("--output"):
        require_folder(output)
    _require_server()
    common = {
        "taxi_type": taxi,
        "trips": trips or scoring.TRIPS,
        "retry_delays": retry_delays or RETRY_DELAYS,
    }
    output_and_model = {"output": output, "model": model}
    back = {"months_back": months_back}
    deployments = [
        flow.to_deployment(
            taxi,
            schedule=when,
            parameters=common | own,
            description=_describe(flow, taxi),
            tags=["ridecast", taxi],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, when, own in (
            (scoring.ride_duration_prediction, schedule, output_and_model | back),
            (retraining.ride_duration_retraining, schedule if retrain else None, back),
            (scoring.ride_duration_backfill, None, output_and_model),
        )
    ]
    # A shell makes background jobs ignore SIGINT, but only SIGINT makes Prefect pause the deployments.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(*cast(list[RunnerDeployment], deployments))


def _describe(flow: "Flow[..., Any]", taxi: str) -> str:
    """The description in Prefect's UI: the flow's docstring without its parameters, which have fields."""
    return f"{taxi.capitalize()} taxis. {(flow.description or '').partition(ARGUMENTS)[0]}"


def _require_server() -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    advice = "start one with `prefect server start` and set PREFECT_API_URL to its address, http://127.0.0.1:4200/api"
    url = PREFECT_API_URL.value()
    if not url:
        raise click.ClickException(f"PREFECT_API_URL is not set: {advice}")
    with get_client(sync_client=True) as client:
        if failure := client.api_healthcheck():
            raise click.ClickException(f"no Prefect server answers at {url} ({failure}): {advice}")
