"""Read → predict on all cores → write, in the file's order and with little of it in memory."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from functions.model import Model
from jobs.scoring.layout import OutputFiles
from jobs.scoring.protocols import RowSource
from jobs.scoring.stats import ScoringStats
from jobs.storage.errors import translate_errors
from jobs.storage.parquet_writer import open_parquet_writer

BATCH_ROWS = 1 << 14
"""A tenth of a second's work for one core, so that small months still keep all cores busy."""
AHEAD = 2
"""Batches that are read before a core is free for them."""
IMPLAUSIBLE = "the model predicted an impossible value"
NO_FAULT = -1
CORES = os.cpu_count() or 1


class ScoredBatch(NamedTuple):
    """The output rows of a batch, and their statistics."""

    predicted: pa.RecordBatch
    rejected: pa.RecordBatch
    stats: ScoringStats


def score_rows(
    source: RowSource, model: Model, output: OutputFiles, on_progress: Callable[[ScoringStats], object]
) -> ScoringStats:
    """Predicts every row that can be predicted; the others are written with the reason.

    Readers see each file complete, or as it was before. The rejected rows appear first and the predictions a
    moment later; a run is finished when its predictions are there. `on_progress` is called after each batch
    with the statistics of all rows written so far.

    Raises:
        FileAccessError: the input is damaged or the output cannot be written; existing output stays.
        ModelUnavailable: the model failed.
    """
    stats = ScoringStats()
    with (
        open_parquet_writer(output.predictions) as predictions,
        open_parquet_writer(output.rejected) as rejections,
    ):
        for scored in _scored_batches(source, model):
            predictions.write(scored.predicted)
            rejections.write(scored.rejected)
            stats.add(scored.stats)
            on_progress(stats)
        # Complete both files before either becomes visible.
        predictions.close()
        rejections.close()
    return stats


def _scored_batches(source: RowSource, model: Model) -> Iterator[ScoredBatch]:
    pending: deque[Future[ScoredBatch]] = deque()
    first_row = 0
    # Threads: onnxruntime and Arrow release the GIL. One call of the model uses one core, so that
    # its sums have the same bits as in a function.
    with ThreadPoolExecutor(CORES) as pool:
        for batch in source.table.batches(source.source_columns, BATCH_ROWS):
            pending.append(pool.submit(score_batch, source, model, batch, first_row))
            first_row += batch.num_rows
            if len(pending) == CORES + AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def score_batch(source: RowSource, model: Model, batch: pa.RecordBatch, first_row: int) -> ScoredBatch:
    """Predicts the rows of a batch that can be predicted; `first_row` is the index of its first in the file.

    Raises FileAccessError if the batch is damaged, and ModelUnavailable if the model failed.
    """
    with translate_errors(source.table.uri):
        validated = source.validate(batch, first_row)
        reasons = [*validated.faults, IMPLAUSIBLE]
        fault = np.full(batch.num_rows, NO_FAULT)
        for number, mask in reversed(list(enumerate(validated.faults.values()))):
            fault[mask] = number
        usable = np.flatnonzero(fault == NO_FAULT)
        scores = model.score(validated.model_input(usable), len(usable))
        plausible = model.plausible(scores)
        fault[usable[~plausible]] = reasons.index(IMPLAUSIBLE)

        predicted, rejected = usable[plausible], np.flatnonzero(fault != NO_FAULT)
        predictions = scores[plausible]
        stats = ScoringStats.of(predictions, validated.actual(predicted))
        row_reasons = pa.array(reasons).take(pa.array(fault[rejected]))
        stats.rejected = Counter(row_reasons.to_pylist())
        for what, mask in validated.repaired.items():
            stats.repaired[what] = int(mask[predicted].sum())
        rejected_rows = validated.rejected(rejected, row_reasons)
        return ScoredBatch(validated.predicted(predicted, predictions), rejected_rows, stats)
