"""python -m jobs beam: predicts months on many machines, or a stream, with Apache Beam."""

import os
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.console import Console

from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import (
    SUBSCRIPTION,
    TOPIC,
    model_option,
    pickle_option,
    require_resource_name,
    taxi_option,
    year_option,
)
from jobs.ui.text import count

if TYPE_CHECKING:
    from jobs.beam.launch import BatchResult
    from jobs.scoring.job import ScoringRequest


BATCH_OPTIONS = {"trips": "trips", "output": "output", "taxi": "taxi", "year": "year", "months": "month"}
"""Parameters that only a batch takes → names of their options."""


@click.command(cls=JobCommand, context_settings={"ignore_unknown_options": True})
@click.option(
    "--trips",
    envvar="INPUT_FILE_PATTERN",
    show_envvar=True,
    multiple=True,
    metavar="URI",
    help="Trips, or any table that the model accepts, as Parquet or CSV: a file or a folder of part files, a "
    "path or gs://…, possibly with * and ?; may be repeated. {year:04d}, {month:02d} and {taxi_type} are "
    "replaced.",
)
@click.option(
    "--output",
    envvar="OUTPUT_FILE_PATTERN",
    show_envvar=True,
    metavar="FOLDER",
    help="A folder, local or gs://…, for the layout taxi_type=…/year=…/month=….",
)
@model_option
@taxi_option
@year_option
@click.option(
    "--month",
    "months",
    type=click.IntRange(1, 12),
    multiple=True,
    help="The month, 1 to 12; may be repeated if --trips contains {month:02d}.",
)
@click.option("--streaming", is_flag=True, help="Predict ride events until Ctrl-C, instead of months.")
@click.option("--events", metavar=SUBSCRIPTION, help="With --streaming: the ride events.")
@click.option(
    "--predictions",
    envvar="PREDICTIONS_TOPIC",
    show_envvar=True,
    metavar=TOPIC,
    help="With --streaming: receives the prediction events.",
)
@click.option(
    "--dead-letters",
    envvar="DEAD_LETTER_TOPIC",
    show_envvar=True,
    metavar=TOPIC,
    help="With --streaming: receives the events that cannot be predicted.",
)
@pickle_option
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[BEAM'S OPTIONS]...")
def command(  # noqa: PLR0913, PLR0917  # one for each option
    trips: tuple[str, ...],
    output: str | None,
    model: str,
    taxi: str | None,
    year: int | None,
    months: tuple[int, ...],
    streaming: bool,
    events: str | None,
    predictions: str | None,
    dead_letters: str | None,
    allow_pickle: bool,
    options: tuple[str, ...],
) -> None:
    """Predict months on many machines, or a stream of ride events, with Apache Beam.

    All other options are passed to Beam: --runner=DataflowRunner --project=… --region=…
    --temp_location=gs://… --sdk_container_image=…. Without a runner, Beam uses all cores of this machine;
    --direct_num_workers=1 limits it to one. MODEL_URI is the default of --model.
    """
    if not find_spec("apache_beam"):
        raise click.ClickException(
            "Apache Beam is not installed: install the dependency group dataflow with "
            "`pip install --group dataflow`"
        )
    model = model or os.environ.get("MODEL_URI", "")
    if streaming:
        _refuse_batch_options()
        _require({"--events": events, "--predictions": predictions, "--dead-letters": dead_letters})
        names = str(events), str(predictions), str(dead_letters)
        _run_streaming(names, {"MODEL_URI": model, "ALLOW_PICKLE": str(allow_pickle)}, options)
        return
    _require({"--trips": trips, "--output": output})
    if events:
        raise click.UsageError("--events requires --streaming")
    if bool(year) != bool(months):
        raise click.UsageError("give --year and --month together")
    if len(months) > 1 and (fixed := [uri for uri in trips if "{month" not in uri]):
        raise click.UsageError(f"{fixed[0]} is the same for all months: write {{month:02d}} in it")
    from jobs.scoring.job import ScoringRequest

    request = ScoringRequest("", str(output), model, taxi or "", allow_pickle=allow_pickle)
    _run_batch(request, trips, [date(year or 1, month, 1) for month in months] or [None], options)


def _refuse_batch_options() -> None:
    """Raises UsageError for options on the command line that a stream does not take."""
    context = click.get_current_context()
    typed = [
        f"--{option}"
        for name, option in BATCH_OPTIONS.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"{' and '.join(typed)} cannot be combined with --streaming")


def _require(values: Mapping[str, object]) -> None:
    if missing := [option for option, value in values.items() if not value]:
        raise click.UsageError(
            f"{' and '.join(missing)} must be given: months need --trips and --output, a stream needs "
            "--streaming, --events, --predictions and --dead-letters"
        )


def _run_batch(
    request: "ScoringRequest", templates: Sequence[str], months: Sequence[date | None], options: Sequence[str]
) -> None:
    from jobs.beam.launch import run_batch
    from jobs.beam.pipeline_options import parse_options
    from jobs.storage.tables import require_exists
    from jobs.trips.months import expand_months, format_uri

    beam_options = parse_options(options)
    requests = [
        request._replace(input=trips, month=month)
        for month in months
        for template in templates
        for trips in expand_months(format_uri(template, month, request.taxi))
    ]
    require_exists(*(request.input for request in requests))
    _print(run_batch(requests, beam_options))


def _run_streaming(names: tuple[str, str, str], environment: dict[str, str], options: Sequence[str]) -> None:
    from functions.settings import FunctionSettings
    from jobs.beam.handler import StreamTopics
    from jobs.beam.launch import run_streaming
    from jobs.beam.pipeline_options import parse_options
    from jobs.registry.release_pointer import champion_pointer

    for name, form in zip(names, (SUBSCRIPTION, TOPIC, TOPIC), strict=True):
        require_resource_name(name, form)
    beam_options = parse_options(options, streaming=True)
    environment["MODEL_URI"] = environment["MODEL_URI"] or champion_pointer()
    run_streaming(StreamTopics(*names), FunctionSettings.read({**os.environ, **environment}), beam_options)


def _print(result: "BatchResult") -> None:
    from jobs.beam.batch import PREDICTED, REJECTED, REPAIRED, ROWS
    from jobs.scoring.layout import shard_uri

    console = Console(highlight=False, markup=False, soft_wrap=True)
    counts, model = result.counts, result.model
    if not counts:
        console.print("the job was created, but not started")
        return
    console.print(
        f"{count(counts[ROWS], 'row')} by {model.release.name} version {model.version} in "
        f"{result.seconds:.1f} s ({counts[ROWS] / result.seconds:,.0f}/s)"
    )
    console.print(f"{counts[PREDICTED]:>12,} predicted")
    for name, rows in counts.items():
        if rows and name.startswith(REPAIRED):
            console.print(f"{rows:>12,} of them with a {name.removeprefix(REPAIRED)}: taken as not recorded")
    console.print(f"{counts[ROWS] - counts[PREDICTED]:>12,} rejected")
    for name, rows in counts.most_common():
        if name.startswith(REJECTED):
            console.print(f"{rows:>12,}   {name.removeprefix(REJECTED)}")
    for output, shards in result.outputs:
        for what, file in output._asdict().items():
            more = f" and {shards - 1:,} more" if shards > 1 else ""
            console.print(f"{what}: {shard_uri(file, 0, shards)}{more}")
