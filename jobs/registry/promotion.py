"""Promotes a registered version to champion, the version that the functions serve."""

from datetime import UTC, datetime

import numpy as np
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console
from rich.table import Table

from functions.errors import RidecastError
from functions.model import load_model
from functions.releases import Release
from jobs.registry.gates import RMSE_TOLERANCE_MINUTES, Gate, evaluate_gates, measure
from jobs.registry.model_versions import PROMOTED_AT, ModelRegistry
from jobs.registry.release_pointer import write_pointer
from jobs.settings import ALIAS, Settings
from jobs.trips.records import to_ride_columns


class PromotionRejected(RidecastError):
    """A version failed some gates, which the message names, and did not become champion."""


class PointerNotWritten(RidecastError):
    """A version has the alias, but the release pointer could not be written."""


def promote(  # noqa: PLR0913  # each is an option of the command
    settings: Settings,
    name: str,
    version: int | None,
    console: Console,
    tolerance: float = RMSE_TOLERANCE_MINUTES,
    *,
    force: bool = False,
) -> None:
    """Evaluates the gates, then moves the alias, then the release pointer.

    The pointer comes last, so that functions never see half of a promotion.

    Args:
        version: the version to promote; None for the latest.
        tolerance: minutes by which the RMSE may exceed the champion's.
        force: promote even if gates fail; this is recorded in a tag.

    Raises:
        PromotionRejected: a gate failed and `force` is not set; nothing was changed.
        PointerNotWritten: only the pointer is missing; `sync` writes it.
        RidecastError: the version cannot be read or evaluated; nothing was changed.
    """
    registry = ModelRegistry(settings.tracking_uri, name)
    version = version or registry.latest_version()
    release = registry.release(version)
    failed = [gate.name for gate in _evaluate(registry, release, console, tolerance) if not gate.passed]
    if failed and not force:
        raise PromotionRejected(
            f"version {version} is not promoted, because these gates failed: {', '.join(failed)}. "
            "--force promotes it anyway, and records that"
        )
    tags = {PROMOTED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
    if failed:
        tags["promotion_forced"] = ", ".join(failed)
    registry.set_champion(release, ALIAS, tags)
    pointer = settings.pointer(name)
    try:
        write_pointer(pointer, release)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise PointerNotWritten(
            f"version {version} has the alias {ALIAS}, but {pointer} could not be written ({error}): "
            "run `python -m jobs sync` once it can"
        ) from error
    forced = " (forced)" if failed else ""
    console.print(
        f"{name} version {version} is the {ALIAS}{forced}; the functions follow {pointer}", markup=False
    )


def _evaluate(registry: ModelRegistry, release: Release, console: Console, tolerance: float) -> list[Gate]:
    """Evaluates all gates on the version's held-out rides and prints them."""
    version, champion = int(release.version), registry.version_by_alias(ALIAS)
    model = load_model(release)
    held_out = registry.held_out(release)
    rides, minutes = to_ride_columns(held_out), held_out.duration.to_numpy(np.float64)
    parity_difference = np.abs(model.predict(rides) - registry.scikit_learn(release).predict(rides)).max()

    reference, reference_error = None, ""
    if champion is not None and champion != version:
        try:
            reference = measure(load_model(registry.release(champion)), rides, minutes)
        except RidecastError as error:
            reference_error = str(error)
    is_rollback = version != champion and registry.was_promoted(version)
    gates = evaluate_gates(
        measure(model, rides, minutes),
        reference,
        float(parity_difference),
        tolerance,
        gate_error=not is_rollback,
    )
    if reference_error:
        gates.append(Gate("champion can be judged", "–", "no", "yes", passed=False))
        console.print(f"version {champion} cannot be evaluated: {reference_error}", markup=False)

    rollback = " (roll-back)" if is_rollback else ""
    table = Table(
        title=f"version {version} on {len(minutes):,} held-out rides{rollback}", title_justify="left"
    )
    table.add_column("gate")
    for heading in (f"version {version}", f"champion {champion or '–'}", "threshold"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for gate in gates:
        mark = "[green]✓[/]" if gate.passed else "[red]✗[/]"
        table.add_row(gate.name, gate.candidate, gate.champion, gate.threshold, mark)
    console.print(table)
    return gates
