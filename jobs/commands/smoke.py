"""python -m jobs smoke: does a deployment do what it is there for?"""

import click

from jobs.commands.error_boundary import JobCommand

SECONDS = 60.0
"""For everything together; a function that starts and loads its model takes a few."""


@click.command(cls=JobCommand)
@click.option(
    "--predict-url",
    envvar="PREDICT_URL",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="The HTTP function's address, without a path.",
)
@click.option(
    "--ride-events-topic",
    envvar="RIDE_EVENTS_TOPIC",
    show_envvar=True,
    required=True,
    metavar="TOPIC",
    help="projects/P/topics/T, or the predict_event function's http:// address.",
)
@click.option(
    "--smoke-subscription",
    envvar="SMOKE_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    metavar="SUBSCRIPTION",
    help="projects/P/subscriptions/S of the predictions' topic, for this command alone: all that is in it is "
    "acknowledged. Or the file that the function writes.",
)
@click.option(
    "--dead-letter-subscription",
    metavar="SUBSCRIPTION",
    default="",
    help="Also publish a ride that cannot be predicted, and wait for it here; what others left there stays.",
)
@click.option(
    "--identity-token",
    envvar="PREDICT_TOKEN",
    show_envvar=True,
    help="For an https:// address; this machine's service account is asked for one if it is not given.",
)
@click.option(
    "--timeout",
    default=SECONDS,
    show_default=True,
    type=click.FloatRange(1),
    help="Seconds for everything together.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    predict_url: str,
    ride_events_topic: str,
    smoke_subscription: str,
    dead_letter_subscription: str,
    identity_token: str | None,
    timeout: float,
) -> None:
    """Publish a ride, wait for its prediction, ask over HTTP, and compare.

    Ends with 0 if model, version and number are the same to the last bit, else with 1 and what failed.
    PUBSUB_EMULATOR_HOST names an emulator instead of Google's Pub/Sub.
    """
    # Google's clients take half a second to import: `--help` does without.
    from jobs.events.smoke_test import Deployment, try_out
    from jobs.identity_token import NoToken, fetch_identity_token

    url = predict_url.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(
            f"{predict_url!r} is no http:// or https:// address", param_hint="--predict-url"
        )
    try:
        token = identity_token or fetch_identity_token(url)
    except NoToken as error:
        hint = "with an account of your own: PREDICT_TOKEN=$(gcloud auth print-identity-token)"
        raise click.ClickException(f"{error}\n{hint}") from error
    deployment = Deployment(url, token, ride_events_topic, smoke_subscription, dead_letter_subscription)
    try_out(deployment, timeout, click.echo)
