"""python -m jobs local: Ridecast's whole cloud on this machine."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from jobs.commands.error_boundary import JobCommand

Command = TypeVar("Command", bound=Callable[..., object])

LOG_LINES = 40
"""Lines shown from the end of a failed service's log."""


class InOrder(click.Group):
    """Lists its commands in the order in which they are defined."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder)
def command() -> None:
    """Run Pub/Sub, Cloud Storage, MLflow and both functions on this machine.

    Everything that is started ends with the command. Without --trips, months are downloaded from TLC, and
    without a network generated.
    """


_trips = click.option(
    "--trips",
    envvar="TRIPS",
    multiple=True,
    metavar="URI",
    help="A month of trips; may be repeated. The last one is used for testing.  [env var: TRIPS]",
)


def _rate(default: float) -> Callable[[Command], Command]:
    return click.option(
        "--rate",
        envvar="RATE",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        show_envvar=True,
        help="Ride events per second.",
    )


def _picture(text: str) -> Callable[[Command], Command]:
    return click.option(
        "--picture", envvar="PICTURE", type=click.Path(dir_okay=False, path_type=Path), help=text
    )


@command.command("run", cls=JobCommand)
@_trips
@click.option(
    "--rides",
    envvar="RIDES",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    show_envvar=True,
    help="How many rides to replay.",
)
@_rate(50)
@_picture("Save the screen as an SVG file.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that the model and a report on it are left in.  [default: .cache/run]",
)
def run_command(
    trips: tuple[str, ...], rides: int, rate: float, picture: Path | None, output: Path | None
) -> None:
    """Run everything once; leave a model and a report.

    Trains, promotes, serves, replays rides, collects and compares their predictions, and reports on the last
    month.
    """
    with exit_cleanly():
        from jobs.local.run import run
        from jobs.local.screen import Screen

        sys.exit(0 if run(Screen(), trips, rides, rate, picture, output) else 1)


@command.command("up", cls=JobCommand)
@_trips
def up_command(trips: tuple[str, ...]) -> None:
    """Start everything and keep it running until Ctrl-C.

    Trains, promotes and serves; then prints pages to open and commands to try.
    """
    with exit_cleanly(ctrl_c_code=0):
        from jobs.local.screen import Screen
        from jobs.local.up import up

        up(Screen(), trips)


@command.command("retrain", cls=JobCommand)
@_rate(25)
@_picture("Save a chart of the retraining as a PNG file.")
def retrain_command(rate: float, picture: Path | None) -> None:
    """Show drift, and how a retrained model takes over.

    The traffic of a generated city slows down. A flow reports on it, retrains and promotes while rides
    stream.
    """
    with exit_cleanly():
        from jobs.local.retrain import retrain
        from jobs.local.screen import Screen

        sys.exit(0 if retrain(Screen(), rate, picture) else 1)


@contextlib.contextmanager
def exit_cleanly(ctrl_c_code: int = 130) -> Iterator[None]:
    """Ends the process with an exit code after a signal, and after a failed service with its log as well.

    Args:
        ctrl_c_code: the exit code after a SIGINT.
    """
    from jobs.local.processes import ServiceFailed
    from jobs.local.shutdown import SignalReceived, raise_on_signal, stop_with_make

    try:
        with raise_on_signal():
            stop_with_make()
            yield
    except SignalReceived as received:
        click.echo(f"Stopped by {received}; everything that was started has ended.", err=True)
        sys.exit(ctrl_c_code if str(received) == "SIGINT" else received.exit_code)
    except ServiceFailed as error:
        log = error.log
        if log:
            click.echo(f"\nThe end of {log}:", err=True)
            click.echo("\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]), err=True)
        click.secho(f"\nFailed: {error}" + (f". Its log: {log}" if log else ""), fg="red", err=True)
        sys.exit(1)
