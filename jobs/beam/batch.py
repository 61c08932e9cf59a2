"""Parquet in, Parquet out: parts of files → Arrow batches → RunInference → shards."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference

from functions.model import Model, load_table_model
from functions.releases import Release
from jobs.beam.shards import ShardWriter, Written, put_in_place
from jobs.scoring.engine import BATCH_ROWS, Scored, score_batch
from jobs.scoring.job import Wish, open_subject
from jobs.scoring.layout import Output, output_of
from jobs.scoring.protocols import Subject
from jobs.storage.files import FileAccessError
from jobs.storage.parquet import Part, open_parquet

SHARD_ROWS = 1 << 18
"""A second's work of one core: a month of a few millions keeps several workers busy to its end."""
ROWS, PREDICTED, REJECTED, MENDED = "rows", "predicted", "rejected: ", "mended: "
"""Names of Beam's counters; the last two with a reason behind them."""


class Shard(NamedTuple):
    """A part of a file, and what is made of it."""

    wish: Wish
    columns: tuple[str, ...]
    """Those that are read."""
    part: Part
    number: int
    output: Output
    waiting: str
    """The folder for what is written."""


class Rows(NamedTuple):
    """Some rows of a shard."""

    shard: Shard
    first: int
    """Where they begin in the file."""
    batch: pa.RecordBatch


def shards_of(wish: Wish, model: Model, waiting: str) -> list[Shard]:
    """The file that is wished for, in shards; only its footer is read.

    Raises:
        FileAccessError: it cannot be read, or is nothing that the model takes.
    """
    with open_subject(wish, model) as subject:
        columns, partition = tuple(subject.source_columns), subject.partition
    with open_parquet(wish.trips) as source:
        parts = source.parts(SHARD_ROWS)
    output = output_of(wish.output, partition, model.release)
    return [Shard(wish, columns, part, number, output, waiting) for number, part in enumerate(parts)]


def score_shards(
    pipeline: beam.Pipeline, shards: Sequence[Shard], release: Release, allow_pickle: bool
) -> None:
    """Adds to a pipeline: each shard is read, predicted and written, and each file is put in place."""
    counts: dict[str, int] = {}
    for each in shards:
        counts[each.output.predictions] = counts.get(each.output.predictions, 0) + 1
    (
        pipeline
        | "parts of files" >> beam.Create(shards)
        | "Arrow batches" >> beam.FlatMap(read)
        | "predict" >> RunInference(MonthModel(release, allow_pickle))
        | "write" >> beam.ParDo(WriteShards())
        | "of each file" >> beam.GroupByKey()
        | "in place" >> beam.ParDo(PutInPlace(counts))
    )


def read(shard: Shard) -> Iterator[Rows]:
    """The batches of a shard."""
    first = shard.part.first
    with open_parquet(shard.wish.trips) as source:
        for batch in source.batches(shard.columns, BATCH_ROWS, shard.part):
            yield Rows(shard, first, batch)
            first += batch.num_rows


class MonthModel(ModelHandler[Rows, tuple[Shard, Scored], Model]):  # type: ignore[misc]
    """Beam's way to the release that was found when the pipeline was started."""

    def __init__(self, release: Release, allow_pickle: bool) -> None:
        super().__init__()
        self._release = release
        self._allow_pickle = allow_pickle
        self._subjects: dict[Wish, Subject] = {}

    def load_model(self) -> Model:
        return load_table_model(self._release, allow_pickle=self._allow_pickle)

    def should_skip_batching(self) -> bool:
        return True  # an element is a batch

    def run_inference(
        self, batch: Any, model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[tuple[Shard, Scored]]:
        rows: Rows = batch
        scored = score_batch(self._subject(rows.shard.wish, model), model, rows.batch, rows.first)
        return [(rows.shard, scored)]

    def get_num_bytes(self, batch: Any) -> int:
        return int(batch.batch.nbytes)

    def _subject(self, wish: Wish, model: Model) -> Subject:
        if wish not in self._subjects:
            with open_subject(wish, model) as subject:
                self._subjects = {wish: subject}
        return self._subjects[wish]


class WriteShards(beam.DoFn):  # type: ignore[misc]
    """Scored batches in, written shards out, by the file to which they belong."""

    def start_bundle(self) -> None:
        self._give_up()
        self._open: dict[tuple[str, int], ShardWriter] = {}

    def process(self, element: tuple[Shard, Scored]) -> Iterator[tuple[str, tuple[Output, Written]]]:
        shard, scored = element
        key = shard.output.predictions, shard.number
        if key not in self._open:
            self._open[key] = ShardWriter(shard.waiting, shard.number)
        writer = self._open[key]
        writer.write(scored)
        self._count(scored)
        # No later: a worker may get many shards at once, and each that is open holds a row group.
        if writer.rows == shard.part.rows:
            del self._open[key]
            yield shard.output.predictions, (shard.output, writer.close())

    def teardown(self) -> None:
        self._give_up()

    def _give_up(self) -> None:
        for writer in getattr(self, "_open", {}).values():
            writer.give_up()
        self._open = {}

    def _count(self, scored: Scored) -> None:
        outcome = scored.outcome
        counts = {ROWS: outcome.rows, PREDICTED: outcome.predicted}
        counts |= {REJECTED + reason: rows for reason, rows in outcome.rejected.items()}
        counts |= {MENDED + what: rows for what, rows in outcome.mended.items()}
        for name, rows in counts.items():
            Metrics.counter(WriteShards, name).inc(rows)


class PutInPlace(beam.DoFn):  # type: ignore[misc]
    """All written shards of a file in; when this has been done, readers see the file.

    Args:
        counts: how many shards there must be, by file.
    """

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def process(self, element: tuple[str, Iterable[tuple[Output, Written]]]) -> None:
        file, found = element
        shards = list(found)
        if len({written.number for _, written in shards}) != self._counts[file]:
            raise FileAccessError(
                f"{file} has {len(shards)} shards of {self._counts[file]}: start the run again"
            )
        put_in_place([written for _, written in shards], shards[0][0])
