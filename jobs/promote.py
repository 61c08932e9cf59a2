"""python -m jobs promote: a registered version becomes the champion that the functions serve."""

from datetime import UTC, datetime

import click
import numpy as np
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console
from rich.table import Table

from functions.errors import RidecastError
from functions.model import load_model
from jobs.gates import TOLERANCE_MINUTES, Gate, judge, measure
from jobs.reachable import reachable
from jobs.registered import PROMOTED_AT, Registry, point_at
from jobs.settings import ALIAS, MODEL_NAME, Settings
from jobs.trips import columns_of


@click.command()
@click.option("--version", type=int, help="The version to promote; the newest if not given.")
@click.option("--name", default=MODEL_NAME, show_default=True, help="Registered model.")
@click.option(
    "--tolerance",
    default=TOLERANCE_MINUTES,
    show_default=True,
    help="Minutes by which the RMSE may exceed the champion's.",
)
@click.option("--force", is_flag=True, help="Promote whatever the gates say; it is recorded.")
def command(version: int | None, name: str, tolerance: float, force: bool) -> None:
    """Judge a version beside the champion on the same held-out rides, and put it in service.

    A version that was champion before comes back as a roll-back: its error is shown but not gated.
    """
    settings = Settings.read()
    try:
        with reachable(settings):
            promote(settings, name, version, tolerance, force=force)
    except RidecastError as error:
        raise click.ClickException(str(error)) from error


def promote(settings: Settings, name: str, version: int | None, tolerance: float, *, force: bool) -> None:
    """Gates, then the alias, and last the release pointer, so that functions never see half of it.

    Raises:
        click.ClickException: a gate is closed and nobody forced it; nothing was changed.
        RidecastError: the version cannot be read or judged; nothing was changed.
    """
    registry = Registry(settings.tracking_uri, name)
    version = version or registry.newest()
    champion = registry.aliased(ALIAS)
    release = registry.release(version)
    model = load_model(release)
    held_out = registry.held_out(release)
    rides, minutes = columns_of(held_out), held_out.duration.to_numpy(np.float64)

    difference = np.abs(model.predict(rides) - registry.scikit_learn(release).predict(rides)).max()
    beside, broken = None, ""
    if champion is not None and champion != version:
        try:
            beside = measure(load_model(registry.release(champion)), rides, minutes)
        except RidecastError as error:
            broken = str(error)
    rolls_back = version != champion and registry.was_champion(version)
    gates = judge(
        measure(model, rides, minutes), beside, float(difference), tolerance, gate_error=not rolls_back
    )
    if broken:
        gates.append(Gate("champion can be judged", "–", "no", "yes", passed=False))
        click.echo(f"version {champion} cannot be judged: {broken}", err=True)
    _print(gates, release.version, champion, len(minutes), rolls_back=rolls_back)

    closed = [gate.name for gate in gates if not gate.passed]
    if closed and not force:
        raise click.ClickException(
            f"version {version} stays out: {', '.join(closed)}. --force overrides, and is recorded"
        )
    tags = {PROMOTED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
    if closed:
        tags["promotion_forced"] = ", ".join(closed)
    registry.crown(release, ALIAS, tags)
    pointer = settings.pointer(name)
    try:
        point_at(pointer, release)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise click.ClickException(
            f"version {version} has the alias {ALIAS}, but {pointer} cannot be written ({error}); "
            "when it can, `python -m jobs sync` makes it follow"
        ) from error
    forced = " (forced)" if closed else ""
    click.echo(f"{name} version {version} is the {ALIAS}{forced}; the functions follow {pointer}")


def _print(gates: list[Gate], version: str, champion: int | None, rides: int, *, rolls_back: bool) -> None:
    title = f"version {version} on {rides:,} held-out rides" + (" (roll-back)" if rolls_back else "")
    table = Table(title=title, title_justify="left")
    table.add_column("gate")
    table.add_column(f"version {version}", justify="right")
    table.add_column(f"champion {champion or '–'}", justify="right")
    table.add_column("asked", justify="right")
    table.add_column("")
    for gate in gates:
        mark = "[green]✓[/]" if gate.passed else "[red]✗[/]"
        table.add_row(gate.name, gate.candidate, gate.champion, gate.asked, mark)
    Console().print(table)
