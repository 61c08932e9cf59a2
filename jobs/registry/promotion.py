"""python -m jobs promote: a registered version becomes the champion that the functions serve."""

from datetime import UTC, datetime

import numpy as np
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console
from rich.table import Table

from functions.errors import RidecastError
from functions.model import load_model
from jobs.registry.gates import TOLERANCE_MINUTES, Gate, judge, measure
from jobs.registry.model_versions import PROMOTED_AT, Registry
from jobs.registry.release_pointer import point_at
from jobs.settings import ALIAS, Settings
from jobs.trips.records import columns_of


class StaysOut(RidecastError):
    """A version did not become champion; the text says which gates are closed."""


class HalfPromoted(RidecastError):
    """A version has the alias, but the release pointer cannot be written."""


def promote(  # noqa: PLR0913  # one for each thing that a person may want otherwise
    settings: Settings,
    name: str,
    version: int | None,
    console: Console,
    tolerance: float = TOLERANCE_MINUTES,
    *,
    force: bool = False,
) -> None:
    """Gates, then the alias, and last the release pointer, so that functions never see half of it.

    Args:
        version: None is the newest.
        tolerance: minutes by which the RMSE may exceed the champion's.
        force: promotes whatever the gates say.

    Raises:
        StaysOut: a gate is closed and nobody forced it; nothing was changed.
        HalfPromoted: `sync` does the rest.
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
        console.print(f"version {champion} cannot be judged: {broken}", markup=False)
    _print(console, gates, release.version, champion, len(minutes), rolls_back=rolls_back)

    closed = [gate.name for gate in gates if not gate.passed]
    if closed and not force:
        raise StaysOut(
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
        raise HalfPromoted(
            f"version {version} has the alias {ALIAS}, but {pointer} cannot be written ({error}); "
            "when it can, `python -m jobs sync` makes it follow"
        ) from error
    forced = " (forced)" if closed else ""
    console.print(
        f"{name} version {version} is the {ALIAS}{forced}; the functions follow {pointer}", markup=False
    )


def _print(  # noqa: PLR0913  # what stands in the table and above it
    console: Console,
    gates: list[Gate],
    version: str,
    champion: int | None,
    rides: int,
    *,
    rolls_back: bool,
) -> None:
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
    console.print(table)
