"""Promotes a registered version to champion, the version that the functions serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console

from functions.errors import RidecastError
from functions.releases import Release
from jobs.registry.evaluation import HELD_OUT_GATE, Evaluator
from jobs.registry.gates import RMSE_TOLERANCE_MINUTES
from jobs.registry.model_versions import PROMOTED_AT, ModelRegistry
from jobs.registry.reachability import describe_location, require_reachable
from jobs.registry.release_pointer import find_release, write_pointer
from jobs.registry.ui_links import version_page
from jobs.settings import ALIAS, Settings
from jobs.ui.hints import job_command


class PromotionRejected(RidecastError):
    """A version failed some gates, which the message names, and did not become champion."""


class PointerNotWritten(RidecastError):
    """A version has the alias, but the release pointer could not be written."""


@dataclass(frozen=True)
class Candidate:
    """What to promote, and how to judge it."""

    version: int | None = None
    """The version; None for the latest."""
    model: str = ""
    """Instead of a version: URI of a model that was logged elsewhere, which is registered first."""
    held_out: Sequence[str] = ()
    """Files of trips to evaluate on; if empty, the rides that the version's training run held out."""
    tolerance: float = RMSE_TOLERANCE_MINUTES
    """Minutes by which the RMSE may exceed the champion's."""
    allow_pickle: bool = False
    """Whether a pickled model may run its code."""


def promote(
    settings: Settings, name: str, candidate: Candidate, console: Console, *, force: bool = False
) -> None:
    """Evaluates the gates, then moves the alias, then the release pointer.

    The pointer comes last, so that functions never see half of a promotion.

    Args:
        force: promote even if gates fail; this is recorded in a tag.

    Raises:
        PromotionRejected: a gate failed and `force` is not set; the champion is unchanged.
        PointerNotWritten: only the pointer is missing; `sync` writes it.
        RidecastError: the version cannot be read, or not by the pointer's readers; nothing was changed.
    """
    registry = ModelRegistry(settings.tracking_uri, name)
    version = _register(registry, candidate.model, settings.bucket) if candidate.model else candidate.version
    version = version or registry.latest_version()
    release = registry.release(version)
    require_reachable(release.location, settings.bucket)
    evaluator = Evaluator(registry, candidate.held_out, candidate.tolerance, candidate.allow_pickle)
    failed = [gate.name for gate in evaluator.evaluate(release, console) if not gate.passed]
    if failed and not force:
        raise PromotionRejected(_rejection(version, failed))
    tags = {PROMOTED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
    if failed:
        tags["promotion_forced"] = ", ".join(failed)
    registry.set_champion(release, ALIAS, tags)
    pointer = settings.pointer(name)
    _write(pointer, release)
    forced = " (forced)" if failed else ""
    console.print(
        f"{name} version {version} is the {ALIAS}{forced}; the functions follow {pointer}", markup=False
    )
    console.print(f"its files are in {describe_location(release.location, settings.bucket)}", markup=False)
    if page := version_page(settings.tracking_uri, name, version):
        console.print(f"  {page}", markup=False)


def _register(registry: ModelRegistry, uri: str, bucket: str) -> int:
    release = find_release(uri)
    require_reachable(release.location, bucket)
    return registry.register(uri, release)


def _rejection(version: int, failed: Sequence[str]) -> str:
    message = f"version {version} is not promoted, because these gates failed: {', '.join(failed)}. "
    if HELD_OUT_GATE in failed:
        message += (
            "Its run has no rides to evaluate it on, as those of `jobs train` have: give a month that it was "
            "not trained on with --held-out. "
        )
    return f"{message}--force promotes it anyway, and records that"


def _write(pointer: str, release: Release) -> None:
    try:
        write_pointer(pointer, release)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise PointerNotWritten(
            f"version {release.version} has the alias {ALIAS}, but {pointer} could not be written ({error}): "
            f"run `{job_command('sync')}` once it can"
        ) from error
