"""python -m jobs redrive: publish dead letters back to their topic."""

import contextlib
import re
import shlex
import signal

import click
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console

from jobs.commands.error_boundary import JobCommand
from jobs.commands.signals import stopping
from jobs.events.dead_letters import GIVEN_UP
from jobs.events.redrive import Redrive, sentence
from jobs.events.redrive_stats import showing


def _check(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A full name has the form of its option's metavar."""
    form = str(parameter.metavar)
    if value and "://" in value:
        raise click.BadParameter(
            f"{value} is a function's own address: without Pub/Sub there is no subscription to redrive from, "
            f"with it write {form}"
        )
    if value and not re.fullmatch(re.sub("[A-Z]+", "[^/]+", form), value):
        raise click.BadParameter(f"{value!r} must look like {form}")
    return value


@click.command(cls=JobCommand)
@click.option(
    "--from",
    "subscription",
    envvar="DEAD_LETTER_SUBSCRIPTION",
    show_envvar=True,
    required=True,
    callback=_check,
    metavar="projects/PROJECT/subscriptions/SUBSCRIPTION",
    help="Where the dead letters are.",
)
@click.option(
    "--to",
    "topic",
    envvar="RIDE_EVENTS_TOPIC",
    show_envvar=True,
    callback=_check,
    metavar="projects/PROJECT/topics/TOPIC",
    help="If not given, each event goes back to the topic of the subscription that delivered it.",
)
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    metavar="REASON",
    help=f"Only letters with this reason, such as invalid_ride, or {GIVEN_UP} for those that Pub/Sub itself "
    "wrote; may be repeated.",
)
@click.option("--send", is_flag=True, help="Send them; otherwise they are only counted.")
@click.pass_context
def command(
    context: click.Context, subscription: str, topic: str | None, reasons: tuple[str, ...], send: bool
) -> None:
    """Publish dead letters back to their topic.

    For events that can be predicted after all, when a bad model or deployment was put right. Without --send
    nothing is changed: a table shows what there is and what would be sent. An event that is dead-lettered
    again stays in the subscription. Interrupted at any moment, no event is lost; at worst one is sent twice,
    and its prediction has the same event_id.

    PUBSUB_EMULATOR_HOST names an emulator instead of Google's Pub/Sub.
    """
    console = Console(highlight=False)
    trouble = ""
    redrive = Redrive(subscription, topic, reasons, send=send)
    if topic and redrive.topic_of(subscription)[0] == topic:
        raise click.UsageError(f"--to is the very topic of {subscription}")
    tally = redrive.tally
    with stopping() as stopped:
        try:
            with showing(tally, console) as show, contextlib.closing(redrive):
                redrive.run(show, stopped)
        except (GoogleAPIError, GoogleAuthError) as error:
            trouble = sentence(subscription, error)
    if tally.letters or not trouble:
        tally.report(console)
    if trouble:
        raise click.ClickException(trouble)
    if stopped:
        click.echo(f"Stopped by {signal.Signals(stopped[0]).name}: there may be more letters", err=True)
        context.exit(128 + stopped[0])
    if send and tally.failed:
        raise click.ClickException(f"{tally.failed.total():,} letters could not be sent")
    if not send and tally.going:
        words = ["--from", subscription, *(["--to", topic] if topic else [])]
        words += [word for reason in reasons for word in ("--reason", reason)]
        click.echo(f"Nothing was changed. To send:\n\n{context.command_path} {shlex.join(words)} --send")
