"""python -m jobs redrive: publishes dead letters back to their topic."""

import contextlib
import shlex
import signal

import click
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console

from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import SUBSCRIPTION, TOPIC, require_resource_name
from jobs.commands.signals import graceful_shutdown
from jobs.events.dead_letters import MAX_DELIVERIES_EXCEEDED
from jobs.events.redrive import Redrive
from jobs.events.redrive_stats import redrive_progress
from jobs.events.republisher import describe_error
from jobs.ui.text import count


def _check_name(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Requires the form of the option's metavar."""
    form = str(parameter.metavar)
    if value and "://" in value:
        raise click.BadParameter(
            f"{value} is a function's URL: without Pub/Sub there are no dead letters to redrive; with it, "
            f"write {form}"
        )
    if value:
        require_resource_name(value, form)
    return value


@click.command(cls=JobCommand)
@click.option(
    "--from",
    "subscription",
    envvar="DEAD_LETTER_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    callback=_check_name,
    metavar=SUBSCRIPTION,
    help="The subscription with the dead letters.",
)
@click.option(
    "--to",
    "topic",
    envvar="RIDE_EVENTS_TOPIC",
    show_envvar=True,
    callback=_check_name,
    metavar=TOPIC,
    help="The topic to publish to.  [default: the topic of the subscription that delivered the event]",
)
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    metavar="REASON",
    help="Only letters with this reason, such as invalid_ride, or "
    f"{MAX_DELIVERIES_EXCEEDED} for those that Pub/Sub itself published; may be repeated.",
)
@click.option("--send", is_flag=True, help="Send the events; otherwise they are only counted.")
@click.pass_context
def command(
    context: click.Context, subscription: str, topic: str | None, reasons: tuple[str, ...], send: bool
) -> None:
    """Publish dead letters back to their topic.

    Use it after a bad model or deployment was fixed. Without --send nothing is changed: a table shows what
    there is and what would be sent. An event that is dead-lettered again stays in the subscription. If the
    command is interrupted, no event is lost; at worst one is sent twice, and its prediction has the same
    event_id.

    PUBSUB_EMULATOR_HOST selects an emulator instead of Google's Pub/Sub.
    """
    console = Console(highlight=False)
    failure = ""
    redrive = Redrive(subscription, topic, reasons, send=send)
    if topic and redrive.topic_of(subscription)[0] == topic:
        raise click.UsageError(f"--to is the topic of {subscription} itself")
    stats = redrive.stats
    with graceful_shutdown() as signals:
        try:
            with redrive_progress(stats, console) as show, contextlib.closing(redrive):
                redrive.run(lambda: show(stats.letters), signals)
        except (GoogleAPIError, GoogleAuthError) as error:
            failure = describe_error(subscription, error)
    if stats.letters or not failure:
        stats.report(console)
    if failure:
        raise click.ClickException(failure)
    if signals:
        click.echo(f"Stopped by {signal.Signals(signals[0]).name}: there may be more dead letters", err=True)
        context.exit(128 + signals[0])
    if send and stats.failed:
        raise click.ClickException(f"{count(stats.failed.total(), 'dead letter')} could not be sent")
    if not send and stats.sent:
        arguments = ["--from", subscription, *(["--to", topic] if topic else [])]
        arguments += [argument for reason in reasons for argument in ("--reason", reason)]
        click.echo(f"Nothing was changed. To send:\n\n{context.command_path} {shlex.join(arguments)} --send")
