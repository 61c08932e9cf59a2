"""Batch scoring with Beam: parts of tables → Arrow batches → RunInference → shards."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference

from functions.model import Model, load_table_model
from functions.releases import Release
from jobs.beam.shards import ShardWriter, WrittenShard, commit_shards
from jobs.registry.release_pointer import artifact_server
from jobs.scoring.engine import BATCH_ROWS, ScoredBatch, score_batch
from jobs.scoring.job import ScoringRequest, open_row_source, refuse_overwriting, row_source
from jobs.scoring.layout import OutputFiles, output_files
from jobs.scoring.protocols import RowSource
from jobs.scoring.stats import ScoringStats
from jobs.storage.errors import FileAccessError
from jobs.storage.parquet import RowRange
from jobs.storage.tables import Table

SHARD_ROWS = 1 << 18
"""One second's work of a core: small enough that a month of a few million rows keeps all workers busy."""
ROWS, PREDICTED, REJECTED, REPAIRED = "rows", "predicted", "rejected: ", "mended: "
"""Names of Beam's counters; a reason is appended to the last two."""


class Shard(NamedTuple):
    """A part of an input, and where its predictions are written."""

    request: ScoringRequest
    table: Table
    """Holds the part, without the other files of the input."""
    columns: tuple[str, ...]
    """The columns to read."""
    part: RowRange
    number: int
    output: OutputFiles
    staging: str
    """Folder for its files until they are committed."""


class ShardBatch(NamedTuple):
    """A batch of a shard's rows."""

    shard: Shard
    first: int
    """Row number of the first row in the input."""
    batch: pa.RecordBatch


def split_into_shards(request: ScoringRequest, model: Model, staging: str) -> list[Shard]:
    """Splits a request's input into shards. CSV files are converted, into the staging folder.

    Raises FileAccessError if the input cannot be read, or the model does not accept its columns.
    """
    with open_row_source(request, model, staging) as source:
        output = output_files(request.output, source.partition, model.release)
        refuse_overwriting(source.table, output)
        return [
            Shard(request, table, tuple(source.source_columns), part, number, output, staging)
            for number, (table, part) in enumerate(source.table.split(SHARD_ROWS))
        ]


def build_batch_pipeline(
    pipeline: beam.Pipeline, shards: Sequence[Shard], release: Release, allow_pickle: bool
) -> None:
    """Adds the transforms that read, predict and write each shard, and commit each complete file."""
    counts = Counter(shard.output.predictions for shard in shards)
    (
        pipeline
        | "parts of files" >> beam.Create(shards)
        | "Arrow batches" >> beam.FlatMap(read_batches)
        | "predict" >> RunInference(TableModelHandler(release, allow_pickle))
        | "write" >> beam.ParDo(WriteShards())
        | "group by file" >> beam.GroupByKey()
        | "commit" >> beam.ParDo(CommitShards(counts))
    )


def read_batches(shard: Shard) -> Iterator[ShardBatch]:
    """Reads a shard in batches."""
    first = shard.part.first
    for batch in shard.table.batches(shard.columns, BATCH_ROWS, shard.part):
        yield ShardBatch(shard, first, batch)
        first += batch.num_rows


class TableModelHandler(ModelHandler[ShardBatch, tuple[Shard, ScoredBatch], Model]):  # type: ignore[misc]
    """Predicts with the release that was current when the pipeline was started."""

    def __init__(self, release: Release, allow_pickle: bool) -> None:
        super().__init__()
        self._release = release
        self._allow_pickle = allow_pickle
        self._row_sources: dict[ScoringRequest, RowSource] = {}

    def load_model(self) -> Model:
        server = artifact_server(self._release)
        return load_table_model(self._release, allow_pickle=self._allow_pickle, server=server)

    def should_skip_batching(self) -> bool:
        return True  # an element is a batch

    def run_inference(
        self, batch: Any, model: Model, inference_args: Any = None
    ) -> Iterable[tuple[Shard, ScoredBatch]]:
        rows: ShardBatch = batch
        scored = score_batch(self._row_source(rows.shard, model), model, rows.batch, rows.first)
        return [(rows.shard, scored)]

    def get_num_bytes(self, batch: Any) -> int:
        return int(batch.batch.nbytes)

    def _row_source(self, shard: Shard, model: Model) -> RowSource:
        if shard.request not in self._row_sources:
            self._row_sources = {shard.request: row_source(shard.request, model, shard.table)}
        return self._row_sources[shard.request]


class WriteShards(beam.DoFn):  # type: ignore[misc]
    """Writes scored batches to shards; yields each complete shard, keyed by its output file."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], ShardWriter] = {}

    def start_bundle(self) -> None:
        self._abort()

    def process(
        self, element: tuple[Shard, ScoredBatch]
    ) -> Iterator[tuple[str, tuple[OutputFiles, WrittenShard]]]:
        shard, scored = element
        key = shard.output.predictions, shard.number
        if key not in self._open:
            self._open[key] = ShardWriter(shard.staging, shard.number)
        writer = self._open[key]
        writer.write(scored)
        self._count(scored.stats)
        # Not later: a worker may receive many shards at once, and each open one buffers a row group.
        if writer.rows == shard.part.rows:
            del self._open[key]
            yield shard.output.predictions, (shard.output, writer.close())

    def teardown(self) -> None:
        self._abort()

    def _abort(self) -> None:
        for writer in self._open.values():
            writer.abort()
        self._open.clear()

    def _count(self, stats: ScoringStats) -> None:
        counts = {ROWS: stats.rows, PREDICTED: stats.predicted}
        counts |= {REJECTED + reason: rows for reason, rows in stats.rejected.items()}
        counts |= {REPAIRED + what: rows for what, rows in stats.repaired.items()}
        for name, rows in counts.items():
            Metrics.counter(WriteShards, name).inc(rows)


class CommitShards(beam.DoFn):  # type: ignore[misc]
    """Commits each file, which readers then see, once as many of its shards are written as `counts` says."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def process(self, element: tuple[str, Iterable[tuple[OutputFiles, WrittenShard]]]) -> None:
        file, written = element
        shards = list(written)
        count = self._counts[file]
        if len({shard.number for _, shard in shards}) != count:
            raise FileAccessError(f"{file} has {len(shards)} of {count} shards: start the run again")
        commit_shards([shard for _, shard in shards], shards[0][0])
