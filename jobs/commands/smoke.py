"""python -m jobs smoke: checks a deployment end to end."""

import click

from jobs.commands.error_boundary import JobCommand

TIMEOUT_SECONDS = 60.0
"""For the whole check; a cold start with its model takes a few seconds."""


@click.command(cls=JobCommand)
@click.option(
    "--predict-url",
    envvar="PREDICT_URL",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="The URL of the HTTP function, without a path.",
)
@click.option(
    "--ride-events-topic",
    envvar="RIDE_EVENTS_TOPIC",
    show_envvar=True,
    required=True,
    metavar="TOPIC",
    help="projects/P/topics/T, or the http:// URL of the predict_event function.",
)
@click.option(
    "--smoke-subscription",
    envvar="SMOKE_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    metavar="SUBSCRIPTION",
    help="projects/P/subscriptions/S of the predictions' topic, used by nothing else: all its messages are "
    "acknowledged. Or the file that the function writes.",
)
@click.option(
    "--dead-letter-subscription",
    metavar="SUBSCRIPTION",
    default="",
    help="Also publish a ride that cannot be predicted, and wait for it in this subscription; other messages "
    "stay.",
)
@click.option(
    "--identity-token",
    envvar="PREDICT_TOKEN",
    show_envvar=True,
    help="The token for an https:// URL.  [default: from this machine's service account]",
)
@click.option(
    "--timeout",
    default=TIMEOUT_SECONDS,
    show_default=True,
    type=click.FloatRange(1),
    help="Seconds for the whole check.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    predict_url: str,
    ride_events_topic: str,
    smoke_subscription: str,
    dead_letter_subscription: str,
    identity_token: str | None,
    timeout: float,
) -> None:
    """Check a deployment: a ride gets the same prediction as an event and over HTTP.

    Exits with 0 if model, version and prediction are identical, bit for bit; otherwise with 1 and a message
    that names what failed. PUBSUB_EMULATOR_HOST selects an emulator instead of Google's Pub/Sub.
    """
    # Google's clients take half a second to import, which `--help` avoids.
    from jobs.events.smoke_test import Deployment, run_smoke_test
    from jobs.identity_token import TokenUnavailable, fetch_identity_token

    url = predict_url.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(
            f"{predict_url!r} is not an http:// or https:// URL", param_hint="--predict-url"
        )
    try:
        token = identity_token or fetch_identity_token(url)
    except TokenUnavailable as error:
        hint = "to use your own account, set PREDICT_TOKEN=$(gcloud auth print-identity-token)"
        raise TokenUnavailable(f"{error}\n{hint}") from error
    deployment = Deployment(url, token, ride_events_topic, smoke_subscription, dead_letter_subscription)
    run_smoke_test(deployment, timeout, click.echo)
