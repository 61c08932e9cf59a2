"""python -m jobs local: Ridecast's whole cloud on this machine."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from functions.errors import RidecastError

Command = TypeVar("Command", bound=Callable[..., object])

LOG_LINES = 40
"""Of the log of a part that failed, its end."""


@click.group()
def command() -> None:
    """Pub/Sub, Cloud Storage, MLflow and both functions on this machine, trained and connected.

    TRIPS names months of trips (paths, gs:// or https://, with spaces between); without it they are
    TLC's, and without a network those of a generated city.
    """


_trips = click.option(
    "--trips",
    "wanted",
    envvar="TRIPS",
    multiple=True,
    help="A month of trips; may be repeated. The last one tests the model.  [env var: TRIPS]",
)


def _rate(usual: float) -> Callable[[Command], Command]:
    return click.option(
        "--rate",
        envvar="RATE",
        type=click.FloatRange(min=0, min_open=True),
        default=usual,
        show_default=True,
        show_envvar=True,
        help="Ride events a second.",
    )


def _picture(what: str) -> Callable[[Command], Command]:
    return click.option(
        "--picture", envvar="PICTURE", type=click.Path(dir_okay=False, path_type=Path), help=what
    )


@command.command("run")
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
@_picture("Save what was shown as an SVG file.")
def run_command(wanted: tuple[str, ...], rides: int, rate: float, picture: Path | None) -> None:
    """Train, promote, serve, replay rides, collect predictions, compare, and clean up."""
    with ending_well():
        from jobs.local.run import run
        from jobs.local.screen import Screen

        sys.exit(0 if run(Screen(), wanted, rides, rate, picture) else 1)


@command.command("retrain")
@_rate(25)
@_picture("Save what happened as a PNG file.")
def retrain_command(rate: float, picture: Path | None) -> None:
    """A generated city's traffic slows down: report, train and promote anew, while rides stream on."""
    with ending_well():
        from jobs.local.retrain import retrain
        from jobs.local.screen import Screen

        sys.exit(0 if retrain(Screen(), rate, picture) else 1)


@command.command("up")
@_trips
def up_command(wanted: tuple[str, ...]) -> None:
    """Train, promote and serve, and stay until Ctrl-C."""
    with ending_well(at_ctrl_c=0):
        from jobs.local.screen import Screen
        from jobs.local.up import up

        up(Screen(), wanted)


@contextlib.contextmanager
def ending_well(at_ctrl_c: int | None = None) -> Iterator[None]:
    """Turns signals and failures into a sentence, the end of a log, and an exit code.

    Args:
        at_ctrl_c: exit code after a SIGINT, if that is the usual way to end.
    """
    from jobs.local.processes import PartFailed
    from jobs.local.shutdown import Stopped, stoppable

    try:
        with stoppable():
            yield
    except Stopped as stopped:
        click.echo(f"Stopped by {stopped}; everything that was started has ended.", err=True)
        ctrl_c = str(stopped) == "SIGINT" and at_ctrl_c is not None
        sys.exit(at_ctrl_c if ctrl_c else stopped.exit_code)
    except RidecastError as error:
        log = error.log if isinstance(error, PartFailed) else None
        if log:
            click.echo(f"\nThe end of {log}:", err=True)
            click.echo("\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]), err=True)
        click.secho(f"\nFailed: {error}" + (f". Its log: {log}" if log else ""), fg="red", err=True)
        sys.exit(1)
