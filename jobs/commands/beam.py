"""python -m jobs beam: months on more machines than one, and streams, with Apache Beam."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.console import Console

from jobs.commands.error_boundary import JobCommand
from jobs.commands.options import model_option, pickle_option, taxi_option, year_option

if TYPE_CHECKING:
    from jobs.beam.launch import Done
    from jobs.scoring.job import Wish


TOPIC, SUBSCRIPTION = "projects/PROJECT/topics/TOPIC", "projects/PROJECT/subscriptions/SUBSCRIPTION"


OF_MONTHS = {"trips": "trips", "output": "output", "taxi": "taxi", "year": "year", "months": "month"}
"""Parameters of months alone, with their options."""


@click.command(cls=JobCommand, context_settings={"ignore_unknown_options": True})
@click.option(
    "--trips",
    envvar="INPUT_FILE_PATTERN",
    show_envvar=True,
    multiple=True,
    metavar="PLACE",
    help="Parquet of trips, or of any table that the model takes: a path or gs://…, with * and ? if need be; "
    "may be repeated. {year:04d}, {month:02d} and {taxi_type} are filled in.",
)
@click.option(
    "--output",
    envvar="OUTPUT_FILE_PATTERN",
    show_envvar=True,
    metavar="FOLDER",
    help="Local or gs://…, for the layout taxi_type=…/year=…/month=….",
)
@model_option
@taxi_option
@year_option
@click.option(
    "--month",
    "months",
    type=click.IntRange(1, 12),
    multiple=True,
    help="May be repeated where --trips has {month:02d}.",
)
@click.option("--streaming", is_flag=True, help="Answer ride events until Ctrl-C, instead of months.")
@click.option("--events", metavar=SUBSCRIPTION, help="With --streaming: where they come from.")
@click.option("--predictions", envvar="PREDICTIONS_TOPIC", show_envvar=True, metavar=TOPIC)
@click.option("--dead-letters", envvar="DEAD_LETTER_TOPIC", show_envvar=True, metavar=TOPIC)
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

    Each option that is not listed here is Beam's own: --runner=DataflowRunner --project=… --region=…
    --temp_location=gs://… --sdk_container_image=…, or --direct_num_workers=1 for this machine, all of whose
    cores work otherwise. MODEL_URI names the model if --model does not.
    """
    if not find_spec("apache_beam"):
        raise click.ClickException(
            "Apache Beam is not installed: install the dependency group dataflow with "
            "`pip install --group dataflow`"
        )
    model = model or os.environ.get("MODEL_URI", "")
    if streaming:
        _refuse_of_months()
        _need({"--events": events, "--predictions": predictions, "--dead-letters": dead_letters})
        route = str(events), str(predictions), str(dead_letters)
        _stream(route, {"MODEL_URI": model, "ALLOW_PICKLE": str(allow_pickle)}, options)
        return
    _need({"--trips": trips, "--output": output})
    if events:
        raise click.UsageError("--events is for a stream: give --streaming, too")
    if bool(year) != bool(months):
        raise click.UsageError("give --year and --month together")
    if len(months) > 1 and (fixed := [place for place in trips if "{month" not in place]):
        raise click.UsageError(f"{fixed[0]} is of one month: write {{month:02d}} where it says which")
    from jobs.scoring.job import Wish

    wish = Wish("", str(output), model, taxi or "", allow_pickle=allow_pickle)
    _score(wish, trips, [date(year or 1, month, 1) for month in months] or [None], options)


def _refuse_of_months() -> None:
    """Raises UsageError for an option that is typed, and that a stream has no use for."""
    context = click.get_current_context()
    typed = [
        f"--{option}"
        for name, option in OF_MONTHS.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"{' and '.join(typed)} are for months: leave --streaming out, or them")


def _need(given: Mapping[str, object]) -> None:
    if missing := [name for name, value in given.items() if not value]:
        raise click.UsageError(
            f"{' and '.join(missing)} must be given: months have --trips and --output, a stream has "
            "--streaming, --events, --predictions and --dead-letters"
        )


def _score(
    wish: "Wish", places: Sequence[str], months: Sequence[date | None], options: Sequence[str]
) -> None:
    from jobs.beam.launch import score_months
    from jobs.beam.pipeline_options import parse_options
    from jobs.storage.files import matching
    from jobs.trips.months import fill_in

    beam_options = parse_options(options)
    wishes = [
        wish._replace(trips=trips, month=month)
        for month in months
        for place in places
        for trips in matching(fill_in(place, month, wish.taxi))
    ]
    _print(score_months(wishes, beam_options))


def _stream(names: tuple[str, str, str], told: dict[str, str], options: Sequence[str]) -> None:
    from functions.settings import Settings
    from jobs.beam.handler import Route
    from jobs.beam.launch import answer_events
    from jobs.beam.pipeline_options import parse_options
    from jobs.registry.release_pointer import champion

    for name, form in zip(names, (SUBSCRIPTION, TOPIC, TOPIC), strict=True):
        if not re.fullmatch(re.sub("[A-Z]+", "[^/]+", form), name):
            raise click.UsageError(f"{name!r} must look like {form}")
    beam_options = parse_options(options, streaming=True)
    told["MODEL_URI"] = told["MODEL_URI"] or champion()
    answer_events(Route(*names), Settings.read({**os.environ, **told}), beam_options)


def _print(done: "Done") -> None:
    from jobs.beam.batch import MENDED, PREDICTED, REJECTED, ROWS
    from jobs.scoring.layout import shard

    console = Console(highlight=False, markup=False, soft_wrap=True)
    counts, model = done.counts, done.model
    if not counts:
        console.print("the job was made, and not started")
        return
    console.print(
        f"{counts[ROWS]:,} rows by {model.release.name} version {model.version} in {done.seconds:.1f} s "
        f"({counts[ROWS] / done.seconds:,.0f}/s)"
    )
    console.print(f"{counts[PREDICTED]:>12,} predicted")
    for name, rows in counts.items():
        if rows and name.startswith(MENDED):
            console.print(f"{rows:>12,} of them with a {name.removeprefix(MENDED)}: taken as not recorded")
    console.print(f"{counts[ROWS] - counts[PREDICTED]:>12,} rejected")
    for name, rows in counts.most_common():
        if name.startswith(REJECTED):
            console.print(f"{rows:>12,}   {name.removeprefix(REJECTED)}")
    for output, shards in done.outputs:
        for what, file in output._asdict().items():
            more = f" and {shards - 1:,} more" if shards > 1 else ""
            console.print(f"{what}: {shard(file, 0, shards)}{more}")
